#include "consensus/node/round_trips.hpp"

#include "consensus/node/frame.hpp"

namespace hypermesh::consensus {

using base::Result;
using base::Task;

namespace {

constexpr base::Duration kEvery = std::chrono::milliseconds(500);

}  // namespace

RoundTrips::RoundTrips(const base::Executor& executor, stoq::rpc::Peers& peers,
                       stoq::rpc::Server& server, const base::Clock& clock, OnEcho on_echo,
                       OnRound on_round)
    : peers_(peers),
      clock_(clock),
      on_echo_(std::move(on_echo)),
      on_round_(std::move(on_round)),
      scope_(executor) {
  server.handle(
      kEcho, [](stoq::rpc::Call&, const Frame& frame) -> Task<Result<Frame>> { co_return frame; });
  scope_.spawn(run());
}

Task<> RoundTrips::stop() {
  scope_.cancel();
  co_await scope_.join();
}

Task<> RoundTrips::run() {
  for (;;) {
    co_await base::sleep_for(kEvery);
    for (const auto& [peer, endpoint] : asked_) {
      if (open_.insert(peer).second) scope_.spawn(ask(peer, endpoint));
    }
    on_round_();
  }
}

Task<> RoundTrips::ask(stoq::NodeId peer, stoq::Endpoint endpoint) {
  const auto began = clock_.now();
  const auto answer = co_await peers_.call(peer, endpoint, kEcho, Frame{});
  open_.erase(peer);
  if (answer) on_echo_(peer, clock_.now() - began);
}

}  // namespace hypermesh::consensus
