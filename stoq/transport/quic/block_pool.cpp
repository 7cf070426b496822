#include "transport/quic/block_pool.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <base/error.hpp>
#include <new>

namespace stoq::quic {

// At the beginning of kSlabBytes that are aligned to their size: a block's address leads to it.
struct BlockPool::Slab {
  std::size_t mapped_bytes;
  std::size_t block_bytes;
  std::size_t next_unused;  // Offset of what was never given out.
  std::size_t live = 0;
  void* unused = nullptr;  // Blocks that were given back, each pointing to the next.
  Slab* previous = nullptr;
  Slab* next = nullptr;

  bool full() const { return unused == nullptr && next_unused + block_bytes > mapped_bytes; }
};

BlockPool::~BlockPool() {
  for (Slab* slab : spares_) unmap(*slab);
  BASE_ASSERT(slab_count_ == 0, "every block was given back");
}

std::size_t BlockPool::rounded(std::size_t bytes) {
  const std::size_t step = bytes > kPageBytes - kStepBytes ? kPageBytes : kStepBytes;
  return std::max((bytes + step - 1) / step * step, step);
}

BlockPool::Slab& BlockPool::slab_of(const void* block) {
  const auto offset = reinterpret_cast<std::uintptr_t>(block) % kSlabBytes;
  auto* const begin = static_cast<std::uint8_t*>(const_cast<void*>(block)) - offset;
  return *reinterpret_cast<Slab*>(begin);
}

std::size_t BlockPool::bytes_of(const void* block) {
  return slab_of(block).block_bytes;
}

BlockPool::Slab*& BlockPool::slabs_for(std::size_t block_bytes) {
  return with_room_[block_bytes < kPageBytes ? block_bytes / kStepBytes
                                             : kSmallSizes + block_bytes / kPageBytes - 1];
}

BlockPool::Slab* BlockPool::make_slab(std::size_t block_bytes) {
  const std::size_t first = block_bytes < kPageBytes ? (sizeof(Slab) + 63) / 64 * 64 : kPageBytes;
  const std::size_t bytes = block_bytes <= kBlockBytesMax
                                ? kSlabBytes
                                : (first + block_bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
  if (bytes == kSlabBytes && !spares_.empty()) {
    Slab* const spare = spares_.back();
    spares_.pop_back();
    return new (spare) Slab{bytes, block_bytes, first};
  }
  // Aligned: the system gives more, and what lies around goes back.
  auto* const mapped =
      static_cast<std::uint8_t*>(mmap(nullptr, bytes + kSlabBytes, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  if (mapped == MAP_FAILED) return nullptr;
  const auto offset = reinterpret_cast<std::uintptr_t>(mapped) % kSlabBytes;
  const std::size_t before = offset == 0 ? 0 : kSlabBytes - offset;
  if (before > 0) (void)munmap(mapped, before);
  (void)munmap(mapped + before + bytes, kSlabBytes - before);
  ++slab_count_;
  // A page that is used alone must stay alone.
  (void)madvise(mapped + before, bytes, MADV_NOHUGEPAGE);
  return new (mapped + before) Slab{bytes, block_bytes, first};
}

void BlockPool::release(Slab& slab) {
  if (slab.mapped_bytes == kSlabBytes && spares_.size() < kSparesMax) {
    spares_.push_back(&slab);
  } else {
    unmap(slab);
  }
}

void BlockPool::unmap(Slab& slab) {
  --slab_count_;
  (void)munmap(&slab, slab.mapped_bytes);
}

void BlockPool::link(Slab& slab) {
  Slab*& head = slabs_for(slab.block_bytes);
  slab.previous = nullptr;
  slab.next = head;
  if (head != nullptr) head->previous = &slab;
  head = &slab;
}

void BlockPool::unlink(Slab& slab) {
  if (slab.next != nullptr) slab.next->previous = slab.previous;
  (slab.previous != nullptr ? slab.previous->next : slabs_for(slab.block_bytes)) = slab.next;
}

void* BlockPool::allocate(std::size_t bytes) {
  const std::size_t size = rounded(bytes);
  if (size > kBlockBytesMax) {
    Slab* slab = make_slab(size);
    if (slab == nullptr) return nullptr;
    slab->live = 1;
    return reinterpret_cast<std::uint8_t*>(slab) + slab->next_unused;
  }
  Slab* slab = slabs_for(size);
  if (slab == nullptr) {
    slab = make_slab(size);
    if (slab == nullptr) return nullptr;
    link(*slab);
  }
  void* block = slab->unused;
  if (block != nullptr) {
    slab->unused = *static_cast<void**>(block);
  } else {
    block = reinterpret_cast<std::uint8_t*>(slab) + slab->next_unused;
    slab->next_unused += size;
  }
  ++slab->live;
  if (slab->full()) unlink(*slab);
  return block;
}

void BlockPool::free(void* block) {
  if (block == nullptr) return;
  Slab& slab = slab_of(block);
  --slab.live;
  if (slab.block_bytes > kBlockBytesMax) {
    release(slab);
    return;
  }
  const bool was_full = slab.full();
  *static_cast<void**>(block) = slab.unused;
  slab.unused = block;
  if (was_full) link(slab);
  if (slab.live > 0) return;
  unlink(slab);
  release(slab);
}

}  // namespace stoq::quic
