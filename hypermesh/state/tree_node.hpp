#pragma once

// Nodes of the sparse Merkle tree: 16 children each, over the nibbles of SHA-256(full key).
// Versioned for LSM stores as the Jellyfish Merkle Tree (Gao, Hu, Wu 2021), with these differences:
// small subtrees are stored whole (tree_page.hpp), and hashing is flat (all children of a node in
// one hash): a fifth of the hashing for proofs that are twice as long.
//
// The tree is a function of its leaves alone: a leaf lies at the shortest path that no other leaf
// shares, an inner node other than the root has at least two leaves below it.

#include <array>
#include <base/bytes.hpp>
#include <base/crypto.hpp>
#include <compare>
#include <memory>

#include "state/keys.hpp"

namespace hypermesh::state {

inline constexpr int kFanout = 16;
inline constexpr std::size_t kPathNibblesMax = 64;

inline int nibble(const base::Digest& key_hash, std::size_t depth) {
  return depth % 2 == 0 ? key_hash[depth / 2] >> 4 : key_hash[depth / 2] & 15;
}

/// Where a node lies: the first nibbles of the key hashes below it.
struct Path {
  std::uint8_t depth = 0;  ///< Nibbles, at most kPathNibblesMax.
  base::Digest nibbles{};  ///< Zero behind them.

  Path child(int index) const;
  bool covers(const base::Digest& key_hash) const;
  auto operator<=>(const Path&) const = default;

  static Path of(const base::Digest& key_hash, std::size_t depth);
  void encode(std::string& to) const;  ///< Depth, then (depth + 1) / 2 bytes.
  /// Errors: DataLoss (longer than allowed, or bits set behind the end).
  static base::Result<Path> decode(base::ByteReader& reader);
};

/// What is certified of one key, beside its value.
struct LeafMeta {
  Stamp created = 0;
  Stamp modified = 0;
  LeaseId lease = 0;
  bool operator==(const LeafMeta&) const = default;
};
struct Leaf {
  std::string key;  ///< Full.
  Stamp created = 0;
  Stamp modified = 0;
  LeaseId lease = 0;
  base::Digest hash{};  ///< leaf_hash of these and of the value.
  bool operator==(const Leaf&) const = default;
};

base::Digest leaf_hash(const base::Digest& key_hash, Stamp created, Stamp modified, LeaseId lease,
                       const base::Digest& value_digest);

/// Where a node is stored: the version and the depth of the record that holds it (tree_page.hpp).
struct NodeRef {
  std::uint64_t version = 0;  ///< 0: nowhere.
  std::uint8_t depth = 0;
  bool operator==(const NodeRef&) const = default;
};

struct Child {
  base::Digest hash{};
  NodeRef at;                  ///< Of an inner child.
  std::uint64_t leaves = 0;    ///< How many are below; 1 of a leaf.
  std::unique_ptr<Leaf> leaf;  ///< Null: an inner node, or nothing.
};

/// An inner node as the tree is defined, however it is stored.
struct Node {
  std::uint16_t present = 0;  ///< Bit i: child i is there.
  std::array<Child, kFanout> children;

  bool has(int index) const { return present >> index & 1; }
  void set(int index, Child child) {
    present = static_cast<std::uint16_t>(present | 1u << index);
    children[static_cast<std::size_t>(index)] = std::move(child);
  }
};

/// Hash of an inner node: of its bitmap and the hashes of the children that are there, in order.
base::Digest inner_hash(std::uint16_t present, std::span<const base::Digest> hashes);
/// Of a tree without leaves.
base::Digest empty_root();

}  // namespace hypermesh::state
