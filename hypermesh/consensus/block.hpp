#pragma once

// What is put into order: bundles of operations, each signed by its client, in blocks that are
// chained by their hashes.

#include <memory>

#include "consensus/types.hpp"

namespace hypermesh::consensus {

inline constexpr std::size_t kOperationsPerBundleMax = 1024;
inline constexpr std::size_t kBundlesPerBlockMax = 4096;
inline constexpr std::size_t kBundleBytesMax = 4 << 20;
inline constexpr std::size_t kBlockBytesMax = 8 << 20;

/// What one client sends at once. Its sequence numbers rise by one, but bundles may arrive in
/// another order.
struct Bundle {
  base::PublicKey client{};
  std::uint64_t sequence = 0;  ///< From 1.
  std::vector<base::Bytes> operations;
  base::Signature signature{};

  std::size_t bytes() const;
};
base::Bytes signed_bytes(const ClusterId& cluster, const Bundle& bundle);
/// Over all of it, its signature too.
base::Digest digest_of(const Bundle& bundle);
using BundlePtr = std::shared_ptr<const Bundle>;

struct Block {
  Slot slot = 0;
  base::Digest parent{};   ///< Of the block in the slot before.
  std::uint64_t time = 0;  ///< Nanoseconds of UTC since 1970, never less than the parent's.
  ReplicaId proposer = 0;  ///< Who made it; another primary may propose it again, unchanged.
  std::vector<BundlePtr> bundles;

  std::size_t operations() const;
};
/// Does not depend on the view: what is proposed again is the same block. `bundles`: their digests.
base::Digest digest_of(const ClusterId& cluster, const Block& block,
                       const std::vector<base::Digest>& bundles);

/// A block and its digests, computed once.
struct Link {
  Block block;
  base::Digest digest{};
  std::vector<base::Digest> bundle_digests;  ///< In the order of the bundles.
  std::size_t bytes = 0;                     ///< Encoded.
};
using LinkPtr = std::shared_ptr<const Link>;
LinkPtr make_link(const ClusterId& cluster, Block block);

void write(base::ByteWriter& out, const Bundle& bundle);
/// Errors: DataLoss (ends early, too many or too large).
base::Result<BundlePtr> read_bundle(base::ByteReader& in);
void write(base::ByteWriter& out, const Block& block);
base::Result<Block> read_block(base::ByteReader& in);

}  // namespace hypermesh::consensus
