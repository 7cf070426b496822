#include "transport/quic/latency_window.hpp"

#include <gtest/gtest.h>

namespace stoq::quic {
namespace {

using namespace std::chrono_literals;

const base::MonotonicTime kStart(1000min);

TEST(LatencyWindow, QuantilesAreWithinTheirBucket) {
  LatencyWindow window;
  for (int i = 1; i <= 1000; ++i) window.observe(i * 100us, kStart);
  const auto p50 = window.quantile(0.5, kStart), p99 = window.quantile(0.99, kStart);
  EXPECT_GE(p50, 50ms);
  EXPECT_LE(p50, 55ms);
  EXPECT_GE(p99, 99ms);
  EXPECT_LE(p99, 108ms);
}

TEST(LatencyWindow, ForgetsWhatIsOld) {
  LatencyWindow window;
  EXPECT_EQ(window.quantile(0.99, kStart), 0ns);
  window.observe(1s, kStart);
  window.observe(1ms, kStart + 1min);
  EXPECT_GE(window.quantile(0.99, kStart + 1min), 1s);
  EXPECT_LT(window.quantile(0.99, kStart + 2min), 2ms);
  EXPECT_EQ(window.quantile(0.99, kStart + 3min), 0ns);
}

TEST(LatencyWindow, TakesWhatIsOutOfItsRange) {
  LatencyWindow window;
  window.observe(0ns, kStart);
  window.observe(-1s, kStart);
  window.observe(24h, kStart);
  EXPECT_GT(window.quantile(1, kStart), 1min);
  EXPECT_LE(window.quantile(0.5, kStart), 2us);
}

}  // namespace
}  // namespace stoq::quic
