#pragma once

#include <array>
#include <base/bytes.hpp>
#include <base/crypto.hpp>
#include <base/time.hpp>
#include <mutex>
#include <unordered_set>

namespace stoq::quic {

/// The early requests that were seen, so that none is served twice (RFC 8446, section 8). Shared by
/// all cores. An entry is kept until its time is over; when the store is full, early data is
/// refused rather than forgotten, which costs a round trip.
class ReplayStore {
 public:
  static constexpr std::size_t kEntriesMax = 1 << 20;  ///< Default; 48 bytes each.

  explicit ReplayStore(std::size_t entries_max = kEntriesMax);

  /// False when `key` was added before and `until` of then is not over, or when there is no room.
  /// `now` and `until` may come from a clock that jumps.
  bool add(base::BytesView key, base::WallTime until, base::WallTime now);
  std::size_t size() const;

 private:
  struct Hash {
    std::size_t operator()(const base::Digest& digest) const;
  };
  using Generation = std::unordered_set<base::Digest, Hash>;
  // Entries live in two generations: those of the current period and of the one before. A period is
  // as long as the longest entry's life, so that what is in neither is over.
  struct Shard {
    std::mutex mutex;
    Generation current, previous;
    base::Duration longest{};
    base::WallTime period_end{};
  };
  static constexpr std::size_t kShards = 16;

  std::size_t entries_max_per_shard_;
  mutable std::array<Shard, kShards> shards_;
};

}  // namespace stoq::quic
