#pragma once

#include <base/time.hpp>
#include <deque>
#include <map>
#include <set>

#include "consensus/block.hpp"

namespace hypermesh::consensus::pbft {

/// Bundles whose signature is good and that wait to be ordered. Clients take turns: who has sent
/// much waits behind those who have sent little (fair queueing, Demers, Keshav, Shenker 1989).
class BundlePool {
 public:
  struct Limits {
    /// Of one client: what others wait for at most when it floods. A node's gateway needs as much.
    std::size_t bundles_per_client_max = 256;
    std::size_t operations_per_client_max = 16'384;
    std::size_t bytes_per_client_max = 16 << 20;
    std::size_t bytes_max = 64 << 20;
    std::size_t remembered_max = 65'536;  ///< Bundles that were ordered and are not taken again.
  };
  explicit BundlePool(const Limits& limits) : limits_(limits) {}
  BundlePool(const BundlePool& other);

  enum class Added : std::uint8_t { Yes, Known, Full };
  Added add(BundlePtr bundle, const base::Digest& digest, base::MonotonicTime now);
  /// Whether its signature was found good before.
  bool contains(const base::Digest& digest) const { return waiting_.contains(digest); }
  bool ordered(const base::Digest& digest) const { return ordered_.contains(digest); }
  bool may_add(const Bundle& bundle) const;

  /// It is in a block that is under way, or no longer is.
  void set_taken(const base::Digest& digest, bool taken);
  void release_all();
  /// It is ordered for good.
  void remove(const base::Digest& digest);

  /// The next ones that are not taken, up to the limits, at least one if there is any.
  std::vector<BundlePtr> next(std::size_t operations_max, std::size_t bytes_max) const;
  /// Of those that are not taken.
  std::size_t free_operations() const { return free_operations_; }
  std::size_t free_bytes() const { return free_bytes_; }
  /// Since when the next that is not taken waits; max() for none.
  base::MonotonicTime free_since() const;
  /// The oldest that are not taken and wait since `then` or longer, up to the limit, at least one
  /// if there is any.
  std::vector<BundlePtr> waiting_since(base::MonotonicTime then, std::size_t bytes_max) const;
  /// Since when the oldest of all waits.
  base::MonotonicTime waiting_since() const;
  /// Whoever waits begins to wait anew: another primary deserves its time.
  void restart_waiting(base::MonotonicTime now);
  std::size_t size() const { return waiting_.size(); }
  std::size_t bytes() const { return bytes_; }
  /// Writes all that decides what it answers; ages instead of times, none for a `now` of max().
  void describe(base::ByteWriter& out, base::MonotonicTime now) const;

 private:
  struct Waiting {
    BundlePtr bundle;
    std::uint64_t place = 0, turn = 0;
    base::MonotonicTime since{};
    bool taken = false;
  };

  using ByDigest = std::map<base::Digest, Waiting>;
  /// When its turn is, then by place.
  using Turn = std::pair<std::uint64_t, std::uint64_t>;
  static Turn turn_of(const Waiting& waiting) { return {waiting.turn, waiting.place}; }
  void mark(ByDigest::iterator found, bool taken);

  const Limits limits_;
  ByDigest waiting_;
  std::map<std::uint64_t, ByDigest::iterator> all_;  // By place.
  std::map<Turn, ByDigest::iterator> free_;
  struct Share {
    std::size_t bundles = 0, operations = 0, bytes = 0;
    std::uint64_t turn = 0;  // Of its last bundle.
  };
  std::map<base::PublicKey, Share> per_client_;
  std::set<base::Digest> ordered_;
  std::deque<base::Digest> ordered_order_;
  std::uint64_t next_place_ = 0, turn_ = 0;  // Whose turn it was last.
  std::size_t bytes_ = 0, free_bytes_ = 0, free_operations_ = 0;
};

}  // namespace hypermesh::consensus::pbft
