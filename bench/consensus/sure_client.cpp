#include "sure_client.hpp"

#include <base/async/timeout.hpp>

#include "consensus/node/awaited.hpp"
#include "consensus/node/replica_node.hpp"

namespace bench {

using namespace hypermesh::consensus;
using namespace std::chrono_literals;
using base::Result;
using base::Task;

namespace {

constexpr base::Duration kLimit = 20s, kStatusLimit = 1s;

// What the replicas have answered so far.
struct Answers {
  std::vector<std::pair<BundleReply, std::size_t>> given;  // And how many gave it.
  std::size_t open = 0, most = 0;
  SureClient::Done done;  // Null once it was called.
};

}  // namespace

SureClient::SureClient(const base::Executor& executor, const std::filesystem::path& folder,
                       const char* identity, std::size_t replicas, std::size_t voters)
    : executor_(executor),
      quic_(must(stoq::open_identity((folder / identity).string(), rng_), "open an identity")),
      next_(static_cast<std::uint64_t>(clock_.wall().time_since_epoch().count()) / 1000) {
  stoq::Transport& transport = quic_.start(executor, {.limits = no_limits()});
  peers_ = std::make_unique<stoq::rpc::Peers>(
      stoq::rpc::Peers::Parts{executor, &transport, &clock_, &rng_},
      stoq::rpc::PeersOptions{.backoff_min = 20ms, .backoff_max = 200ms});
  cluster_ = cluster_of(must(read_genesis(folder), "read the genesis"));
  faulty_max_ = (voters - 1) / 3;
  for (std::size_t i = 0; i < replicas; ++i) {
    const auto member = must(read_member(folder, i), "read a replica's folder");
    keys_.push_back(member.key);
    replicas_.push_back(std::make_unique<RequestClient>(
        executor, peers_->to(stoq::NodeId::of(member.key), must(endpoint_of(member), "endpoint"))));
  }
}

Task<> SureClient::stop() {
  for (auto& replica : replicas_) co_await replica->stop();
  co_await peers_->stop(0s);
}

void SureClient::order(base::Bytes command, Done done) {
  auto bundle = std::make_shared<Bundle>();
  bundle->client = quic_.identity().key.public_key();
  bundle->sequence = next_++;
  bundle->operations.push_back(std::move(command));
  bundle->signature = quic_.identity().key.sign(signed_bytes(cluster_, *bundle));
  const auto answers = std::make_shared<Answers>();
  answers->open = replicas_.size();
  answers->done = std::move(done);
  const auto take = [answers, needed = faulty_max_ + 1](const RequestClient::Answer& answer) {
    --answers->open;
    if (answers->done == nullptr) return;
    if (answer) {
      const auto& reply = std::get<BundleReply>(*answer);
      auto same = std::ranges::find(answers->given, reply, [](const auto& e) { return e.first; });
      if (same == answers->given.end()) same = answers->given.insert(same, {reply, 0});
      answers->most = std::max(answers->most, ++same->second);
      if (same->second == needed) {
        return std::exchange(answers->done, nullptr)(reply.outcomes.at(0).result());
      }
    }
    if (answers->most + answers->open >= needed) return;
    std::exchange(answers->done, nullptr)(
        answer ? base::fail(base::Errc::NotVerified, "the replicas do not agree on an outcome")
               : std::unexpected(answer.error()));
  };
  for (const auto& replica : replicas_) replica->ask(BundleRequest{bundle}, kLimit, take);
}

Task<Result<std::uint64_t>> SureClient::order(base::Bytes command) {
  return awaited<Result<std::uint64_t>>(executor_,
                                        [this, command = std::move(command)](auto done) mutable {
                                          order(std::move(command), std::move(done));
                                        });
}

Task<Result<StatusReply>> SureClient::status(std::size_t replica) {
  auto asked = [](RequestClient& to) -> Task<Result<StatusReply>> {
    CO_TRY(auto reply, co_await to.ask(StatusRequest{}, kStatusLimit));
    co_return std::get<StatusReply>(std::move(reply));
  };
  return base::with_timeout(asked(*replicas_.at(replica)), kStatusLimit, "a replica's status");
}

Task<Result<std::vector<StatusReply>>> SureClient::statuses() {
  std::vector<StatusReply> all;
  for (std::size_t i = 0; i < replicas_.size(); ++i) {
    CO_TRY(auto status, co_await this->status(i));
    all.push_back(std::move(status));
  }
  co_return all;
}

}  // namespace bench
