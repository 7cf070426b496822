#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace stoq::quic {

/// Memory for many connections that allocate the same sizes, most of them blocks of several KiB of
/// which only the beginning is ever used: a block of a page and more begins at a page, so that what
/// is not used costs nothing. Blocks of one size share slabs. Some slabs without blocks are kept
/// for blocks of any size, the others go back to the system. For one thread.
class BlockPool {
 public:
  static constexpr std::size_t kSlabBytes = 256 * 1024;
  static constexpr std::size_t kBlockBytesMax = 32 * 1024;  ///< Larger ones have a slab each.
  static constexpr std::size_t kSparesMax = 16;             ///< Slabs without blocks.

  BlockPool() = default;
  /// Everything was given back before.
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  /// Null when the system has none. Aligned for any type.
  void* allocate(std::size_t bytes);
  /// `block` may be null.
  void free(void* block);
  /// What allocate() gave for `block`: at least what was asked for.
  static std::size_t bytes_of(const void* block);
  /// Taken from the system now.
  std::size_t slabs() const { return slab_count_; }

 private:
  struct Slab;
  static constexpr std::size_t kPageBytes = 4096, kStepBytes = 64;
  static constexpr std::size_t kSmallSizes = kPageBytes / kStepBytes,
                               kLargeSizes = kBlockBytesMax / kPageBytes;

  static std::size_t rounded(std::size_t bytes);
  static Slab& slab_of(const void* block);
  Slab*& slabs_for(std::size_t block_bytes);
  Slab* make_slab(std::size_t block_bytes);
  void release(Slab& slab);
  void unmap(Slab& slab);
  void link(Slab& slab);
  void unlink(Slab& slab);

  std::array<Slab*, kSmallSizes + kLargeSizes> with_room_{};  // By size; those that are not full.
  std::vector<Slab*> spares_;
  std::size_t slab_count_ = 0;
};

}  // namespace stoq::quic
