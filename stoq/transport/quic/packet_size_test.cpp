#include "transport/quic/packet_size.hpp"

#include <gtest/gtest.h>

namespace stoq::quic {
namespace {

using namespace std::chrono_literals;

constexpr base::MonotonicTime kStart{1000s};
constexpr auto kAny = std::numeric_limits<std::size_t>::max();

void send(PacketSize& size, std::size_t bytes, std::int64_t stream, std::uint64_t end,
          base::MonotonicTime now) {
  if (size.wants(bytes)) size.watch(stream, end, now, 100ms);
}

TEST(PacketSize, APathThatAnswersIsNotHeldDown) {
  PacketSize size;
  send(size, 1452, 0, 10'000, kStart);
  size.acknowledged(0, 9'999);
  size.acknowledged(4, 10'000);
  size.acknowledged(0, 10'000);
  size.update(kStart + 1h);
  EXPECT_EQ(size.bytes_max(), kAny);
  // Small packets prove nothing, whether they arrive or not.
  send(size, 1200, 0, 20'000, kStart);
  size.update(kStart + 2h);
  EXPECT_EQ(size.bytes_max(), kAny);
  size.timed_out(1, true, kStart);
  size.timed_out(9, false, kStart);
  EXPECT_EQ(size.bytes_max(), kAny);
}

TEST(PacketSize, SilenceAfterLargePacketsHoldsThemDownForLongerEachTime) {
  PacketSize size;
  auto now = kStart;
  for (const auto hold : {10s, 20s, 40s, 80s, 160s, 320s, 600s, 600s}) {
    size.timed_out(PacketSize::kTimeoutsInDoubt, true, now);
    EXPECT_EQ(size.bytes_max(), PacketSize::kAlwaysBytes);
    size.update(now + hold - 1ns);
    EXPECT_EQ(size.bytes_max(), PacketSize::kAlwaysBytes);
    now += hold;
    size.update(now);
    EXPECT_EQ(size.bytes_max(), kAny);
  }
  send(size, 1452, 8, 5, now);
  size.acknowledged(8, 5);
  size.timed_out(PacketSize::kTimeoutsInDoubt, true, now);
  size.update(now + 10s);
  EXPECT_EQ(size.bytes_max(), kAny);
}

// Small packets of other streams arrive all the time, so nothing times out.
TEST(PacketSize, OneLargePacketThatNeverArrivesIsEnough) {
  PacketSize size;
  send(size, 1452, 0, 10'000, kStart);
  send(size, 1452, 0, 20'000, kStart + 50ms);
  size.update(kStart + 599ms);
  EXPECT_EQ(size.bytes_max(), kAny);
  size.update(kStart + 600ms);
  EXPECT_EQ(size.bytes_max(), PacketSize::kAlwaysBytes);
}

TEST(PacketSize, AStreamThatEndedAndAnotherPathProveNothing) {
  PacketSize size;
  send(size, 1452, 0, 10'000, kStart);
  size.stream_ended(0);
  size.update(kStart + 1h);
  EXPECT_EQ(size.bytes_max(), kAny);
  size.timed_out(3, true, kStart);
  size.path_changed();
  EXPECT_EQ(size.bytes_max(), kAny);
}

}  // namespace
}  // namespace stoq::quic
