#include "steady_writes.hpp"

#include <fmt/format.h>

#include "consensus/execution/command.hpp"
#include "state/operation.hpp"

namespace bench {

using namespace hypermesh;
using namespace hypermesh::consensus;
using namespace std::chrono_literals;
using base::MonotonicTime;
using base::Result;
using base::Task;

namespace {

constexpr std::size_t kValueBytes = 256, kPageEntries = 2000;
constexpr base::Duration kReadLimit = 20s;

std::string value_of(std::uint64_t number) {
  base::SeededRng rng(number);
  std::string value(kValueBytes, '\0');
  rng.fill(std::span(reinterpret_cast<std::uint8_t*>(value.data()), value.size()));
  return value;
}

}  // namespace

SteadyWrites::SteadyWrites(SureClient& client, std::string prefix, unsigned at_once)
    : client_(client), prefix_(std::move(prefix)), at_once_(at_once), changed_(client.executor()) {}

std::string SteadyWrites::key(std::uint64_t number) const {
  return fmt::format("{}{:010}", prefix_, number);
}

void SteadyWrites::start() {
  running_ = true;
  last_acknowledged_ = client_.clock().now();
  while (under_way_ < at_once_) write();
}

Task<> SteadyWrites::stop() {
  running_ = false;
  while (under_way_ > 0) co_await changed_.wait();
}

void SteadyWrites::write() {
  const std::uint64_t number = written_.size();
  written_.push_back(false);
  ++under_way_;
  state::Transaction put;
  put.writes.push_back({key(number), value_of(number)});
  client_.order(encode_on_state(state::encode(state::Operation{0, std::move(put)})),
                [this, number, began = client_.clock().now()](Result<std::uint64_t> outcome) {
                  on_outcome(number, began, std::move(outcome));
                });
}

void SteadyWrites::on_outcome(std::uint64_t number, MonotonicTime began,
                              Result<std::uint64_t> outcome) {
  --under_way_;
  changed_.notify();
  if (!outcome) {
    running_ = false;
    if (!failure_) failure_ = base::wrap(std::move(outcome).error(), "write " + key(number));
    return;
  }
  const auto now = client_.clock().now();
  ++acknowledged_;
  written_[number] = true;
  gap_ = std::max(gap_, now - std::exchange(last_acknowledged_, now));
  if (began >= newest_began_) {
    newest_began_ = began;
    newest_acknowledged_ = now;
  }
  if (running_) write();
}

Task<Result<MonotonicTime>> SteadyWrites::acknowledged_since(MonotonicTime time) {
  while (newest_began_ < time) {
    if (failure_) co_return std::unexpected(*failure_);
    co_await changed_.wait();
  }
  co_return newest_acknowledged_;
}

base::Duration SteadyWrites::take_longest_gap() {
  return std::exchange(gap_, base::Duration::zero());
}

Task<Result<std::uint64_t>> SteadyWrites::check(SureClient::RequestClient& replica, bool local,
                                                std::uint64_t first) {
  BASE_ASSERT(!running_ && under_way_ == 0, "what is under way may or may not be there");
  const std::uint64_t end = written_.size();
  for (std::uint64_t number = first; number < end;) {
    RangeRequest request;
    request.query = {.prefix = prefix_, .entries_max = kPageEntries};
    if (number > 0) request.query.start_after = key(number - 1);
    request.local = local;
    CO_TRY(const auto reply, co_await replica.ask(request, kReadLimit));
    const auto& page = std::get<RangeReply>(reply).page;
    for (const auto& entry : page.entries) {
      for (; number < end && key(number) != entry.key; ++number) {
        if (written_[number])
          co_return base::fail(base::Errc::DataLoss,
                               "an acknowledged write is gone: " + key(number));
      }
      if (number == end || entry.value != value_of(number))
        co_return base::fail(base::Errc::DataLoss, "a write reads as another: " + entry.key);
      ++number;
    }
    if (page.more) continue;
    for (; number < end; ++number) {
      if (written_[number])
        co_return base::fail(base::Errc::DataLoss, "an acknowledged write is gone: " + key(number));
    }
  }
  co_return end;
}

}  // namespace bench
