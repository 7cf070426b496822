#include "load.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace bench {

namespace {

std::uint32_t microseconds(base::Duration duration) {
  const auto count = std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
  return static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(count, 0, std::numeric_limits<std::uint32_t>::max()));
}

}  // namespace

Key key_of(std::uint64_t index) {
  Key key;
  fmt::format_to_n(key.data(), key.size(), "key-{:012}", index);
  return key;
}

base::Result<> check_value(const Key& key, base::BytesView value) {
  if (value.size() != kValueBytes)
    return base::fail(base::Errc::DataLoss, fmt::format("the value has {} bytes; {} were written",
                                                        value.size(), kValueBytes));
  if (!std::ranges::equal(value.first(kKeyBytes), base::as_bytes({key.data(), key.size()})))
    return base::fail(base::Errc::DataLoss,
                      fmt::format("the value of {} was written under another key",
                                  std::string_view(key.data(), key.size())));
  return {};
}

std::string Report::line() const {
  const double rate = seconds > 0 ? static_cast<double>(operations) / seconds : 0;
  return fmt::format("{} {:.3f} {:.1f} {} {} {} {} {}", operations, seconds, rate, p50_us, p99_us,
                     max_us, gap_us, failures);
}

std::uint64_t percentile(std::span<std::uint32_t> samples, double share) {
  if (samples.empty()) return 0;
  const auto count = static_cast<double>(samples.size());
  const auto rank = static_cast<std::size_t>(std::clamp(std::ceil(share * count), 1.0, count)) - 1;
  const auto at = samples.begin() + static_cast<std::ptrdiff_t>(rank);
  std::ranges::nth_element(samples, at);
  return *at;
}

Load::Load(const LoadOptions& options, base::MonotonicTime now)
    : options_(options), rng_(options.seed), last_answer_(now), under_way_(options.clients) {
  latencies_us_.reserve(1u << 20);  // Growing in the middle of a run would be seen.
  if (options_.fill) {
    options_.reads = false;
    options_.operations = options_.keys;
  }
  begin_ = counted() ? now : now + options_.warm_up;
  end_ = counted() ? base::MonotonicTime::max() : begin_ + options_.measured;
  last_acknowledged_ = begin_;
}

bool Load::ended(base::MonotonicTime now) const {
  if (failures_ > 0) return true;
  return counted() ? begun_ == options_.operations : now >= end_;
}

std::optional<Operation> Load::next(std::uint32_t client, base::MonotonicTime now) {
  if (under_way_.at(client) == options_.outstanding || ended(now)) return std::nullopt;
  Operation operation{.read = options_.reads, .began = now};
  operation.key = key_of(options_.fill ? begun_ : rng_.below(options_.keys));
  if (!operation.read) {
    std::ranges::copy(operation.key, operation.value.begin());
    rng_.fill(std::span(operation.value).subspan(kKeyBytes));
  }
  ++begun_, ++all_under_way_, ++under_way_[client];
  if (all_under_way_ == 1) last_answer_ = now;
  return operation;
}

void Load::done(std::uint32_t client, const Operation& operation, base::MonotonicTime now) {
  BASE_ASSERT(under_way_.at(client) > 0, "an operation ends once");
  --all_under_way_, --under_way_[client];
  last_answer_ = now;
  if (in_window(operation.began)) latencies_us_.push_back(microseconds(now - operation.began));
  if (!in_window(now)) return;
  ++operations_;
  gap_ = std::max(gap_, now - last_acknowledged_);
  last_acknowledged_ = now;
}

void Load::failed(std::uint32_t client, std::string why) {
  BASE_ASSERT(under_way_.at(client) > 0, "an operation ends once");
  --all_under_way_, --under_way_[client];
  if (failures_++ == 0) failure_ = std::move(why);
}

bool Load::over(base::MonotonicTime now) const {
  return all_under_way_ == 0 && ended(now);
}

bool Load::stuck(base::MonotonicTime now) const {
  return all_under_way_ > 0 && now - last_answer_ > kAnswerMax;
}

Report Load::report() {
  // Counted, the last answer is the end; by time, what follows it is silence too.
  const base::MonotonicTime end = counted() ? last_acknowledged_ : end_;
  Report report{.operations = operations_,
                .seconds = std::chrono::duration<double>(end - begin_).count(),
                .gap_us = microseconds(std::max(gap_, end - last_acknowledged_)),
                .failures = failures_};
  report.p50_us = percentile(latencies_us_, 0.50);
  report.p99_us = percentile(latencies_us_, 0.99);
  report.max_us = percentile(latencies_us_, 1.00);
  return report;
}

}  // namespace bench
