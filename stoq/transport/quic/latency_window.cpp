#include "transport/quic/latency_window.hpp"

#include <algorithm>
#include <cmath>

namespace stoq::quic {

namespace {

constexpr double kSmallest = 1000;  // Nanoseconds.

std::int64_t period_of(base::MonotonicTime now) {
  return now.time_since_epoch() / LatencyWindow::kHalf;
}

}  // namespace

std::size_t LatencyWindow::bucket_of(base::Duration latency) {
  const double times = std::max(static_cast<double>(latency.count()) / kSmallest, 1.0);
  return std::min<std::size_t>(static_cast<std::size_t>(std::log2(times) * kPerDoubling),
                               kBuckets - 1);
}

void LatencyWindow::observe(base::Duration latency, base::MonotonicTime now) {
  const std::int64_t period = period_of(now);
  Half& half = halves_[static_cast<std::size_t>(period & 1)];
  if (half.period.load(std::memory_order_relaxed) != period) {
    for (auto& count : half.counts) count.store(0, std::memory_order_relaxed);
    half.period.store(period, std::memory_order_relaxed);
  }
  half.counts[bucket_of(latency)].fetch_add(1, std::memory_order_relaxed);
}

base::Duration LatencyWindow::quantile(double share, base::MonotonicTime now) const {
  const std::int64_t period = period_of(now);
  std::array<std::uint64_t, kBuckets> counts{};
  std::uint64_t total = 0;
  for (const Half& half : halves_) {
    if (half.period.load(std::memory_order_relaxed) < period - 1) continue;
    for (std::size_t i = 0; i < kBuckets; ++i) {
      const auto count = half.counts[i].load(std::memory_order_relaxed);
      counts[i] += count;
      total += count;
    }
  }
  if (total == 0) return {};
  const auto wanted = std::max(
      static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(total))), std::uint64_t{1});
  std::uint64_t seen = 0;
  std::size_t bucket = 0;
  while ((seen += counts[bucket]) < wanted) ++bucket;
  return base::Duration(
      std::llround(kSmallest * std::exp2(static_cast<double>(bucket + 1) / kPerDoubling)));
}

}  // namespace stoq::quic
