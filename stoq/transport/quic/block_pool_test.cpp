#include "transport/quic/block_pool.hpp"

#include <gtest/gtest.h>

#include <base/random.hpp>
#include <cstring>
#include <vector>

namespace stoq::quic {
namespace {

TEST(BlockPool, LargeBlocksBeginAtAPage) {
  BlockPool pool;
  for (const std::size_t bytes : {4096u, 4248u, 8216u, 12'184u, 32'768u, 40'000u, 300'000u}) {
    void* block = pool.allocate(bytes);
    ASSERT_NE(block, nullptr);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % 4096, 0u) << bytes;
    EXPECT_GE(BlockPool::bytes_of(block), bytes);
    std::memset(block, 1, bytes);
    pool.free(block);
  }
  pool.free(nullptr);
  // One after the other took the same slab; the last two, with slabs of their own, gave them back.
  EXPECT_EQ(pool.slabs(), 1u);
}

// A script of a seed: blocks do not overlap, and memory that is not used goes back.
TEST(BlockPool, BlocksAreTheirOwnersAlone) {
  base::SeededRng rng(1);
  BlockPool pool;
  struct Block {
    std::uint8_t* at;
    std::size_t bytes;
    std::uint8_t mark;
  };
  std::vector<Block> blocks;
  const auto check = [&](const Block& block) {
    for (const std::size_t at : {std::size_t{0}, block.bytes / 2, block.bytes - 1})
      ASSERT_EQ(block.at[at], block.mark);
  };
  const std::size_t sizes[] = {1, 64, 65, 200, 1024, 2056, 4032, 4095, 8216, 12'184, 33'000};
  for (int step = 0; step < 20'000; ++step) {
    if (blocks.size() < 300 && rng.below(2) == 0) {
      const std::size_t bytes = sizes[rng.below(std::size(sizes))];
      const Block block{static_cast<std::uint8_t*>(pool.allocate(bytes)), bytes,
                        static_cast<std::uint8_t>(step)};
      ASSERT_NE(block.at, nullptr);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block.at) % alignof(std::max_align_t), 0u);
      std::memset(block.at, block.mark, bytes);
      blocks.push_back(block);
    } else if (!blocks.empty()) {
      const std::size_t which = rng.below(blocks.size());
      check(blocks[which]);
      pool.free(blocks[which].at);
      blocks[which] = blocks.back();
      blocks.pop_back();
    }
  }
  for (const Block& block : blocks) {
    check(block);
    pool.free(block.at);
  }
  EXPECT_LE(pool.slabs(), BlockPool::kSparesMax);
}

}  // namespace
}  // namespace stoq::quic
