#include "audit/merkle.hpp"

#include <fmt/format.h>

#include <bit>

namespace nexus {
namespace {

base::Error not_verified(std::string message) {
  return base::make_error(base::Errc::NotVerified, std::move(message));
}

// Hash of leaves [begin, end), where begin is a multiple of the largest power of two below the
// range.
base::Result<base::Digest> range_hash(std::uint64_t begin, std::uint64_t end,
                                      const MerkleReader& read) {
  const std::uint64_t count = end - begin;
  if (std::has_single_bit(count)) {
    const auto level = static_cast<unsigned>(std::countr_zero(count));
    return read({level, begin >> level});
  }
  const std::uint64_t split = begin + std::bit_floor(count);
  TRY(const auto left, range_hash(begin, split, read));
  TRY(const auto right, range_hash(split, end, read));
  return merkle_node_hash(left, right);
}

// SUBPROOF of RFC 6962, 2.1.2, over leaves [begin, end).
base::Result<> subproof(std::uint64_t old_size, std::uint64_t begin, std::uint64_t end, bool whole,
                        const MerkleReader& read, std::vector<base::Digest>& proof) {
  if (old_size == end - begin) {
    if (whole) return {};
    TRY(const auto hash, range_hash(begin, end, read));
    proof.push_back(hash);
    return {};
  }
  const std::uint64_t left_count = std::bit_floor(end - begin - 1);
  const std::uint64_t split = begin + left_count;
  if (old_size <= left_count) {
    TRY_DO(subproof(old_size, begin, split, whole, read, proof));
    TRY(const auto right, range_hash(split, end, read));
    proof.push_back(right);
  } else {
    TRY_DO(subproof(old_size - left_count, split, end, false, read, proof));
    TRY(const auto left, range_hash(begin, split, read));
    proof.push_back(left);
  }
  return {};
}

}  // namespace

base::Digest merkle_leaf_hash(base::BytesView record) {
  base::Sha256 hash;
  const std::uint8_t prefix = 0;
  hash.update({&prefix, 1});
  hash.update(record);
  return hash.finish();
}

base::Digest merkle_node_hash(const base::Digest& left, const base::Digest& right) {
  std::array<std::uint8_t, 65> bytes;
  bytes[0] = 1;
  std::copy(left.begin(), left.end(), bytes.begin() + 1);
  std::copy(right.begin(), right.end(), bytes.begin() + 33);
  return base::sha256(base::BytesView(bytes));
}

base::Digest merkle_empty_root() {
  return base::sha256(std::string_view());
}

std::uint64_t merkle_nodes_written(std::uint64_t leaves) {
  return 2 * leaves - static_cast<unsigned>(std::popcount(leaves));
}

std::uint64_t merkle_node_position(MerkleNode node) {
  const std::uint64_t last_leaf = ((node.index + 1) << node.level) - 1;
  return merkle_nodes_written(last_leaf) + node.level;
}

base::Result<MerkleFrontier> MerkleFrontier::restore(std::uint64_t size,
                                                     std::vector<base::Digest> peaks) {
  if (peaks.size() != static_cast<std::size_t>(std::popcount(size))) {
    return base::fail(base::Errc::DataLoss,
                      fmt::format("a tree of {} records has {} peaks; {} were stored", size,
                                  std::popcount(size), peaks.size()));
  }
  MerkleFrontier frontier;
  frontier.size_ = size;
  frontier.peaks_ = std::move(peaks);
  return frontier;
}

void MerkleFrontier::append(const base::Digest& leaf_hash,
                            const std::function<void(const base::Digest&)>& completed) {
  base::Digest hash = leaf_hash;
  completed(hash);
  for (std::uint64_t rest = size_; rest & 1; rest >>= 1) {
    hash = merkle_node_hash(peaks_.back(), hash);
    peaks_.pop_back();
    completed(hash);
  }
  peaks_.push_back(hash);
  ++size_;
}

base::Digest MerkleFrontier::root() const {
  if (peaks_.empty()) return merkle_empty_root();
  base::Digest hash = peaks_.back();
  for (std::size_t i = peaks_.size() - 1; i-- > 0;) hash = merkle_node_hash(peaks_[i], hash);
  return hash;
}

base::Result<base::Digest> merkle_root(std::uint64_t size, const MerkleReader& read) {
  if (size == 0) return merkle_empty_root();
  return range_hash(0, size, read);
}

base::Result<std::vector<base::Digest>> merkle_inclusion_proof(std::uint64_t index,
                                                               std::uint64_t size,
                                                               const MerkleReader& read) {
  if (index >= size) {
    return base::fail(base::Errc::InvalidArgument,
                      fmt::format("a tree of {} records has no record {}", size, index));
  }
  // From the root down to the leaf: the other half of each split. The path is told from the leaf
  // up.
  std::vector<base::Digest> path;
  std::uint64_t begin = 0, end = size;
  while (end - begin > 1) {
    const std::uint64_t split = begin + std::bit_floor(end - begin - 1);
    if (index < split) {
      TRY(const auto right, range_hash(split, end, read));
      path.push_back(right);
      end = split;
    } else {
      TRY(const auto left, range_hash(begin, split, read));
      path.push_back(left);
      begin = split;
    }
  }
  return std::vector(path.rbegin(), path.rend());
}

base::Result<std::vector<base::Digest>> merkle_consistency_proof(std::uint64_t old_size,
                                                                 std::uint64_t new_size,
                                                                 const MerkleReader& read) {
  if (old_size == 0 || old_size > new_size) {
    return base::fail(
        base::Errc::InvalidArgument,
        fmt::format("no proof leads from a tree of {} records to one of {}", old_size, new_size));
  }
  std::vector<base::Digest> proof;
  TRY_DO(subproof(old_size, 0, new_size, true, read, proof));
  return proof;
}

// RFC 9162, 2.1.3.2.
base::Result<> verify_inclusion(const base::Digest& leaf_hash, std::uint64_t index,
                                std::uint64_t size, std::span<const base::Digest> proof,
                                const base::Digest& root) {
  if (index >= size)
    return std::unexpected(
        not_verified(fmt::format("a tree of {} records has no record {}", size, index)));
  std::uint64_t at = index, last = size - 1;
  base::Digest hash = leaf_hash;
  for (const base::Digest& sibling : proof) {
    if (last == 0) return std::unexpected(not_verified("the proof is too long"));
    if ((at & 1) != 0 || at == last) {
      hash = merkle_node_hash(sibling, hash);
      while ((at & 1) == 0 && at != 0) {
        at >>= 1;
        last >>= 1;
      }
    } else {
      hash = merkle_node_hash(hash, sibling);
    }
    at >>= 1;
    last >>= 1;
  }
  if (last != 0) return std::unexpected(not_verified("the proof is too short"));
  if (hash != root) return std::unexpected(not_verified("the proof leads to another root"));
  return {};
}

// RFC 9162, 2.1.4.2.
base::Result<> verify_consistency(std::uint64_t old_size, const base::Digest& old_root,
                                  std::uint64_t new_size, const base::Digest& new_root,
                                  std::span<const base::Digest> proof) {
  if (old_size == 0 || old_size > new_size) {
    return std::unexpected(not_verified(
        fmt::format("no proof leads from a tree of {} records to one of {}", old_size, new_size)));
  }
  if (old_size == new_size) {
    if (!proof.empty()) return std::unexpected(not_verified("the proof is too long"));
    if (old_root != new_root) return std::unexpected(not_verified("two roots of one size differ"));
    return {};
  }
  std::uint64_t at = old_size - 1, last = new_size - 1;
  while ((at & 1) != 0) {
    at >>= 1;
    last >>= 1;
  }
  // A complete old tree is itself the first hash of the path.
  base::Digest old_hash = old_root;
  if (at != 0) {
    if (proof.empty()) return std::unexpected(not_verified("the proof is too short"));
    old_hash = proof.front();
    proof = proof.subspan(1);
  }
  base::Digest new_hash = old_hash;
  for (const base::Digest& sibling : proof) {
    if (last == 0) return std::unexpected(not_verified("the proof is too long"));
    if ((at & 1) != 0 || at == last) {
      old_hash = merkle_node_hash(sibling, old_hash);
      new_hash = merkle_node_hash(sibling, new_hash);
      while ((at & 1) == 0 && at != 0) {
        at >>= 1;
        last >>= 1;
      }
    } else {
      new_hash = merkle_node_hash(new_hash, sibling);
    }
    at >>= 1;
    last >>= 1;
  }
  if (last != 0) return std::unexpected(not_verified("the proof is too short"));
  if (old_hash != old_root)
    return std::unexpected(not_verified("the proof does not lead to the old root"));
  if (new_hash != new_root)
    return std::unexpected(not_verified("the proof does not lead to the new root"));
  return {};
}

}  // namespace nexus
