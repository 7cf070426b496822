#include "consensus/pbft/bundle_pool.hpp"

#include <algorithm>

namespace hypermesh::consensus::pbft {

namespace {

constexpr std::size_t kBytesOfOperation = 1024;

}  // namespace

BundlePool::BundlePool(const BundlePool& other)
    : limits_(other.limits_),
      waiting_(other.waiting_),
      per_client_(other.per_client_),
      ordered_(other.ordered_),
      ordered_order_(other.ordered_order_),
      next_place_(other.next_place_),
      turn_(other.turn_),
      bytes_(other.bytes_),
      free_bytes_(other.free_bytes_),
      free_operations_(other.free_operations_) {
  // Places refer to what is in this map.
  for (auto at = waiting_.begin(); at != waiting_.end(); ++at) {
    all_.emplace(at->second.place, at);
    if (!at->second.taken) free_.emplace(turn_of(at->second), at);
  }
}

bool BundlePool::may_add(const Bundle& bundle) const {
  const std::size_t bytes = bundle.bytes();
  const auto known = per_client_.find(bundle.client);
  const Share share = known == per_client_.end() ? Share() : known->second;
  return bytes_ + bytes <= limits_.bytes_max && share.bundles < limits_.bundles_per_client_max &&
         share.operations + bundle.operations.size() <= limits_.operations_per_client_max &&
         share.bytes + bytes <= limits_.bytes_per_client_max;
}

BundlePool::Added BundlePool::add(BundlePtr bundle, const base::Digest& digest,
                                  base::MonotonicTime now) {
  if (contains(digest) || ordered(digest)) return Added::Known;
  const std::size_t size = bundle->bytes();
  if (!may_add(*bundle)) return Added::Full;
  Share& share = per_client_[bundle->client];
  ++share.bundles;
  share.operations += bundle->operations.size();
  share.bytes += size;
  bytes_ += size;
  free_bytes_ += size;
  free_operations_ += bundle->operations.size();
  // What it costs to order it, more or less.
  share.turn = std::max(share.turn, turn_) + bundle->operations.size() + size / kBytesOfOperation;
  const std::uint64_t place = next_place_++;
  const auto added =
      waiting_.emplace(digest, Waiting{std::move(bundle), place, share.turn, now, false}).first;
  all_.emplace(place, added);
  free_.emplace(turn_of(added->second), added);
  return Added::Yes;
}

void BundlePool::set_taken(const base::Digest& digest, bool taken) {
  const auto found = waiting_.find(digest);
  if (found != waiting_.end()) mark(found, taken);
}

void BundlePool::mark(ByDigest::iterator found, bool taken) {
  Waiting& waiting = found->second;
  if (waiting.taken == taken) return;
  waiting.taken = taken;
  if (taken) {
    free_.erase(turn_of(waiting));
    turn_ = std::max(turn_, waiting.turn);
    free_bytes_ -= waiting.bundle->bytes();
    free_operations_ -= waiting.bundle->operations.size();
  } else {
    free_.emplace(turn_of(waiting), found);
    free_bytes_ += waiting.bundle->bytes();
    free_operations_ += waiting.bundle->operations.size();
  }
}

void BundlePool::release_all() {
  for (const auto& [place, waiting] : all_) mark(waiting, false);
}

void BundlePool::remove(const base::Digest& digest) {
  if (ordered_.insert(digest).second) {
    ordered_order_.push_back(digest);
    if (ordered_order_.size() > limits_.remembered_max) {
      ordered_.erase(ordered_order_.front());
      ordered_order_.pop_front();
    }
  }
  const auto found = waiting_.find(digest);
  if (found == waiting_.end()) return;
  mark(found, true);
  const Waiting& waiting = found->second;
  bytes_ -= waiting.bundle->bytes();
  const auto client = per_client_.find(waiting.bundle->client);
  Share& share = client->second;
  share.operations -= waiting.bundle->operations.size();
  share.bytes -= waiting.bundle->bytes();
  if (--share.bundles == 0) per_client_.erase(client);
  all_.erase(waiting.place);
  waiting_.erase(found);
}

std::vector<BundlePtr> BundlePool::next(std::size_t operations_max, std::size_t bytes_max) const {
  std::vector<BundlePtr> chosen;
  std::size_t operations = 0, bytes = 0;
  for (const auto& [turn, waiting] : free_) {
    const BundlePtr& bundle = waiting->second.bundle;
    operations += bundle->operations.size();
    bytes += bundle->bytes();
    if (!chosen.empty() && (operations > operations_max || bytes > bytes_max)) break;
    if (chosen.size() == kBundlesPerBlockMax) break;
    chosen.push_back(bundle);
  }
  return chosen;
}

base::MonotonicTime BundlePool::free_since() const {
  return free_.empty() ? base::MonotonicTime::max() : free_.begin()->second->second.since;
}

std::vector<BundlePtr> BundlePool::waiting_since(base::MonotonicTime then,
                                                 std::size_t bytes_max) const {
  std::vector<BundlePtr> chosen;
  std::size_t bytes = 0;
  for (const auto& [place, found] : all_) {
    const Waiting& waiting = found->second;
    if (waiting.since > then) break;
    if (waiting.taken) continue;
    bytes += waiting.bundle->bytes();
    if (!chosen.empty() && bytes > bytes_max) break;
    chosen.push_back(waiting.bundle);
  }
  return chosen;
}

base::MonotonicTime BundlePool::waiting_since() const {
  return all_.empty() ? base::MonotonicTime::max() : all_.begin()->second->second.since;
}

void BundlePool::restart_waiting(base::MonotonicTime now) {
  for (auto& [digest, waiting] : waiting_) waiting.since = now;
}

void BundlePool::describe(base::ByteWriter& out, base::MonotonicTime now) const {
  for (const auto& [place, found] : all_) {
    const auto& [digest, waiting] = *found;
    out.raw(digest);
    out.u8(waiting.taken ? 1 : 0);
    out.u64(waiting.turn > turn_ ? waiting.turn - turn_ : 0);
    if (now != base::MonotonicTime::max())
      out.u64(static_cast<std::uint64_t>((now - waiting.since).count()));
  }
  out.u64(ordered_order_.size());
  for (const auto& digest : ordered_order_) out.raw(digest);
}

}  // namespace hypermesh::consensus::pbft
