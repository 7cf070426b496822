#include "transport/quic/replay_store.hpp"

#include <algorithm>
#include <cstring>

namespace stoq::quic {

ReplayStore::ReplayStore(std::size_t entries_max)
    : entries_max_per_shard_(std::max<std::size_t>(entries_max / kShards, 1)) {}

std::size_t ReplayStore::Hash::operator()(const base::Digest& digest) const {
  std::size_t value;
  std::memcpy(&value, digest.data() + 1, sizeof value);
  return value;
}

bool ReplayStore::add(base::BytesView key, base::WallTime until, base::WallTime now) {
  const base::Digest digest = base::sha256(key);
  Shard& shard = shards_[digest[0] % kShards];
  const std::lock_guard lock(shard.mutex);
  shard.longest = std::max(shard.longest, until - now);
  if (now >= shard.period_end) {
    shard.previous.clear();
    if (now < shard.period_end + shard.longest) shard.previous.swap(shard.current);
    shard.current.clear();
    shard.period_end = now + shard.longest;
  }
  if (shard.previous.contains(digest)) return false;
  if (shard.current.size() + shard.previous.size() >= entries_max_per_shard_) return false;
  return shard.current.insert(digest).second;
}

std::size_t ReplayStore::size() const {
  std::size_t total = 0;
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    total += shard.current.size() + shard.previous.size();
  }
  return total;
}

}  // namespace stoq::quic
