#include "transport/quic/timer_wheel.hpp"

#include <gtest/gtest.h>

#include <base/random.hpp>
#include <vector>

namespace stoq::quic {
namespace {

using namespace std::chrono_literals;
using Node = TimerWheel::Node;

const base::MonotonicTime kStart(1234567s);

TEST(TimerWheel, FiresEveryNodeOnceNeverEarlyAndAtMostATickLate) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    base::SeededRng rng(seed);
    TimerWheel wheel(kStart);
    std::vector<Node> nodes(300);
    std::vector<base::MonotonicTime> due(nodes.size(), base::MonotonicTime::max());
    base::MonotonicTime now = kStart;
    const auto delay = [&] {
      // From nothing to days.
      return base::Duration(rng.below(std::uint64_t{1} << (1 + rng.below(48))));
    };
    for (int step = 0; step < 3000; ++step) {
      const std::size_t i = rng.below(nodes.size());
      switch (rng.below(4)) {
        case 0:
        case 1:
          due[i] = now + delay();
          wheel.arm(nodes[i], due[i]);
          break;
        case 2:
          due[i] = base::MonotonicTime::max();
          wheel.disarm(nodes[i]);
          break;
        default: {
          now = rng.below(2) == 0 ? now + delay() : std::max(now, std::min(wheel.next(), now + 1h));
          while (Node* node = wheel.expire(now)) {
            const auto at = static_cast<std::size_t>(node - nodes.data());
            ASSERT_LE(due[at], now);
            due[at] = base::MonotonicTime::max();
          }
          for (const auto& left : due) ASSERT_GE(left, now - 2 * TimerWheel::kTick);
          break;
        }
      }
      auto earliest = base::MonotonicTime::max();
      for (const auto& at : due) earliest = std::min(earliest, at);
      if (earliest == base::MonotonicTime::max()) {
        ASSERT_EQ(wheel.next(), base::MonotonicTime::max());
      } else {
        ASSERT_LE(wheel.next(), std::max(earliest, now) + TimerWheel::kTick);
      }
    }
    for (Node& node : nodes) wheel.disarm(node);
    EXPECT_EQ(wheel.next(), base::MonotonicTime::max());
  }
}

// A driver that sleeps until next() and calls expire() gets there in few steps.
TEST(TimerWheel, IsAskedSeldom) {
  TimerWheel wheel(kStart);
  Node node;
  wheel.arm(node, kStart + 30s);
  int asked = 0;
  for (base::MonotonicTime now = kStart; wheel.expire(now) == nullptr; now = wheel.next()) ++asked;
  EXPECT_LE(asked, 8);
}

}  // namespace
}  // namespace stoq::quic
