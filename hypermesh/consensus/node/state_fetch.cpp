#include "consensus/node/state_fetch.hpp"

#include <algorithm>

namespace hypermesh::consensus {

using base::Errc;
using base::Result;
using base::Task;
using state::Fetcher;

namespace {

constexpr unsigned kFailuresMax = 3;  // In a row; then a source is left alone.

}  // namespace

StateFetch::StateFetch(const base::Executor& executor, base::BlockingPool& pool,
                       stoq::rpc::Peers& peers, state::Storage& storage, base::Log log)
    : pool_(pool),
      peers_(peers),
      storage_(storage),
      log_(std::move(log)),
      scope_(executor),
      answered_(executor) {}

Task<> StateFetch::stop() {
  scope_.cancel();
  co_await scope_.join();
}

Task<> StateFetch::ask(stoq::NodeId source, stoq::Endpoint endpoint, std::uint64_t run,
                       std::uint64_t id, Frame request) {
  auto reply = co_await peers_.call(source, endpoint, kFetchState, request);
  answers_.push_back({run, id, source, std::move(reply)});
  answered_.notify();
}

std::map<stoq::NodeId, StateFetch::Source>::iterator StateFetch::choose() {
  return std::ranges::min_element(sources_, {}, [](const auto& each) {
    return std::pair(each.second.failures, each.second.asked);
  });
}

Task<Result<state::TransferProgress>> StateFetch::run(state::TransferTarget target,
                                                      Sources sources) {
  ++run_;
  sources_.clear();
  for (const auto& [id, endpoint] : sources) sources_.emplace(id, Source{endpoint, 0, 0});
  auto started = co_await pool_.run([this, target] {
    return Fetcher::start(storage_, target,
                          {.requests_max = std::max<std::size_t>(4, 2 * sources_.size())});
  });
  CO_TRY(const std::shared_ptr<Fetcher> fetcher, std::move(started));
  std::set<std::uint64_t> under_way;
  auto last = base::make_error(Errc::Unavailable, "there is no node to fetch the state from");
  while (!fetcher->complete()) {
    CO_TRY(auto requests, co_await pool_.run([fetcher] { return fetcher->next_requests(); }));
    for (auto& request : requests) {
      const auto source = choose();
      if (source == sources_.end()) {
        co_await pool_.run([fetcher, id = request.id] { fetcher->on_failure(id); });
        continue;
      }
      ++source->second.asked;
      under_way.insert(request.id);
      scope_.spawn(ask(source->first, source->second.endpoint, run_, request.id,
                       Frame{std::move(request.bytes)}));
    }
    if (under_way.empty()) co_return std::unexpected(last);
    while (answers_.empty()) co_await answered_.wait();
    const auto answer = std::make_shared<Answer>(std::move(answers_.front()));
    answers_.pop_front();
    if (answer->run != run_ || under_way.erase(answer->id) == 0) continue;
    const auto found = sources_.find(answer->from);
    if (found != sources_.end()) --found->second.asked;
    const auto took = co_await pool_.run([fetcher, answer]() -> Result<> {
      if (answer->frame) return fetcher->on_answer(answer->id, answer->frame->bytes);
      fetcher->on_failure(answer->id);
      return std::unexpected(answer->frame.error());
    });
    if (found == sources_.end()) continue;
    if (took) {
      found->second.failures = 0;
      continue;
    }
    last = took.error();
    const bool wrong = answer->frame && last.code != Errc::NotFound;
    log_.warning("a node does not help with the state",
                 {{"node", answer->from.text()}, {"why", last}});
    if (wrong && last.code != Errc::NotVerified && last.code != Errc::DataLoss)
      co_return std::unexpected(last);  // Our own storage.
    if (wrong || answer->frame || ++found->second.failures > kFailuresMax) sources_.erase(found);
  }
  CO_TRY_DO(co_await pool_.run([fetcher] { return fetcher->finish(); }));
  co_return fetcher->progress();
}

}  // namespace hypermesh::consensus
