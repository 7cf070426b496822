#include "consensus/node/state_fetch.hpp"

#include <algorithm>
#include <ranges>

namespace hypermesh::consensus {

using base::Errc;
using base::Result;
using base::Task;
using state::Fetcher;

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

Task<> StateFetch::ask(stoq::Endpoint endpoint, Asked asked, std::uint64_t id, Frame request) {
  auto reply = co_await peers_.call(asked.source, endpoint, kFetchState, request,
                                    {.timeout = sources_.patience(asked.source)});
  answers_.push_back({id, asked, std::move(reply)});
  answered_.notify();
}

Task<Result<state::TransferProgress>> StateFetch::run(state::TransferTarget target, Sources sources,
                                                      std::function<bool()> newer) {
  sources_.begin(std::views::keys(sources));
  auto started = co_await pool_.run([this, target] {
    return Fetcher::start(storage_, target,
                          {.requests_max = std::max<std::size_t>(4, 2 * sources_.size())});
  });
  CO_TRY(const std::shared_ptr<Fetcher> fetcher, std::move(started));
  std::size_t under_way = 0;
  auto last = base::make_error(Errc::Unavailable, "there is no node to fetch the state from");
  while (!fetcher->complete()) {
    CO_TRY(auto requests, co_await pool_.run([fetcher] { return fetcher->next_requests(); }));
    for (auto& request : requests) {
      const auto asked = sources_.choose();
      if (!asked) {
        co_await pool_.run([fetcher, id = request.id] { fetcher->on_failure(id); });
        continue;
      }
      ++under_way;
      scope_.spawn(
          ask(sources.at(asked->source), *asked, request.id, Frame{std::move(request.bytes)}));
    }
    if (under_way == 0) co_return std::unexpected(last);
    while (answers_.empty()) co_await answered_.wait();
    const auto answer = std::make_shared<Answer>(std::move(answers_.front()));
    answers_.pop_front();
    const Asked& asked = answer->asked;
    if (asked.transfer != sources_.transfer()) {
      if (!answer->frame) sources_.on_silent(asked);
      continue;
    }
    --under_way;
    const auto took = co_await pool_.run([fetcher, answer]() -> Result<> {
      if (answer->frame) return fetcher->on_answer(answer->id, answer->frame->bytes);
      fetcher->on_failure(answer->id);
      return std::unexpected(answer->frame.error());
    });
    if (!answer->frame) {
      sources_.on_silent(asked);
    } else if (!sources_.on_answer(asked, took)) {
      co_return std::unexpected(took.error());
    }
    if (took) continue;
    last = took.error();
    log_.warning("a node does not help with the state",
                 {{"node", asked.source.text()}, {"why", last}});
    if (newer()) co_return std::unexpected(last);
  }
  CO_TRY_DO(co_await pool_.run([fetcher] { return fetcher->finish(); }));
  co_return fetcher->progress();
}

}  // namespace hypermesh::consensus
