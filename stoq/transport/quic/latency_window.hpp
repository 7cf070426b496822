#pragma once

#include <array>
#include <atomic>
#include <base/time.hpp>
#include <cstdint>

namespace stoq::quic {

/// Quantiles of what was observed in the last one to two minutes, within 9 %: counts in buckets,
/// eight for each doubling (as HdrHistogram), in two halves that take turns. One thread observes,
/// any reads.
class LatencyWindow {
 public:
  static constexpr base::Duration kHalf = std::chrono::minutes(1);

  void observe(base::Duration latency, base::MonotonicTime now);
  /// `share` of the observations are not longer than the answer; zero when there are none.
  base::Duration quantile(double share, base::MonotonicTime now) const;

 private:
  static constexpr int kPerDoubling = 8, kDoublings = 27;  // 1 us to about two minutes.
  static constexpr std::size_t kBuckets = kPerDoubling * kDoublings;
  static std::size_t bucket_of(base::Duration latency);

  struct Half {
    std::atomic<std::int64_t> period = -1;
    std::array<std::atomic<std::uint32_t>, kBuckets> counts{};
  };
  std::array<Half, 2> halves_;
};

}  // namespace stoq::quic
