#include "transport/quic/stream_buffers.hpp"

#include <gtest/gtest.h>

#include <base/random.hpp>

namespace stoq::quic {
namespace {

// Whatever is appended, sent, lost to a rewind and acknowledged in whatever portions: what leaves
// is what was put in, and memory is let go.
TEST(SendBuffer, SendsWhatWasAppendedInOrder) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    base::SeededRng rng(seed);
    SendBuffer buffer;
    base::Bytes in, out;
    std::uint64_t acknowledged = 0;
    for (int step = 0; step < 200; ++step) {
      switch (rng.below(4)) {
        case 0: {
          base::Bytes bytes(rng.below(3) == 0 ? rng.below(40'000) : rng.below(300));
          rng.fill(bytes);
          in.insert(in.end(), bytes.begin(), bytes.end());
          switch (rng.below(3)) {
            case 0:
              buffer.append(std::move(bytes));
              break;
            case 1:
              buffer.append(std::make_shared<const base::Bytes>(std::move(bytes)));
              break;
            default:
              buffer.append(base::BytesView(bytes));
          }
          break;
        }
        case 1:
        case 2: {
          base::BytesView pieces[4];
          const std::size_t count = buffer.gather(pieces, 1 + rng.below(5000));
          std::size_t total = 0;
          for (std::size_t i = 0; i < count; ++i) total += pieces[i].size();
          if (total == 0) {
            ASSERT_EQ(buffer.unsent(), 0u);
            break;
          }
          // Not everything that was offered is taken.
          std::size_t taken = 1 + rng.below(total);
          buffer.sent(taken);
          for (std::size_t i = 0; i < count && taken > 0; ++i) {
            const auto part = pieces[i].first(std::min(taken, pieces[i].size()));
            out.insert(out.end(), part.begin(), part.end());
            taken -= part.size();
          }
          break;
        }
        default:
          acknowledged += rng.below(buffer.unacknowledged() + 1);
          buffer.acknowledged(acknowledged);
          break;
      }
      if (acknowledged == 0 && rng.below(20) == 0) {
        buffer.rewind();
        out.clear();
      }
      ASSERT_EQ(buffer.end(), in.size());
      ASSERT_EQ(buffer.end() - buffer.unsent(), out.size());
      ASSERT_TRUE(std::equal(out.begin(), out.end(), in.begin())) << "seed " << seed;
    }
  }
}

TEST(SendBuffer, LetsASharedBlockGoWhenItHasArrived) {
  const auto block = std::make_shared<const base::Bytes>(1000);
  SendBuffer buffer;
  buffer.append(block);
  buffer.append(block);
  EXPECT_EQ(block.use_count(), 3);
  buffer.sent(2000);
  buffer.acknowledged(1999);
  EXPECT_EQ(block.use_count(), 2);
  buffer.acknowledged(2000);
  EXPECT_EQ(block.use_count(), 1);
}

TEST(ReceiveBuffer, GivesBackWhatArrived) {
  base::SeededRng rng(5);
  ReceiveBuffer buffer;
  base::Bytes in, out;
  for (int step = 0; step < 5000; ++step) {
    base::Bytes bytes(rng.below(1500));
    rng.fill(bytes);
    in.insert(in.end(), bytes.begin(), bytes.end());
    buffer.append(bytes);
    if (rng.below(100) == 0) {
      const auto block = buffer.take();
      out.insert(out.end(), block.begin(), block.end());
    }
    ASSERT_EQ(buffer.size(), in.size() - out.size());
  }
  while (buffer.size() > 0) {
    const auto block = buffer.take();
    out.insert(out.end(), block.begin(), block.end());
  }
  EXPECT_EQ(in, out);
  EXPECT_TRUE(buffer.take().empty());
}

}  // namespace
}  // namespace stoq::quic
