#include "consensus/block.hpp"

#include <fmt/format.h>

#include "consensus/wire.hpp"

namespace hypermesh::consensus {

using base::Errc;
using base::Result;

namespace {

constexpr std::string_view kBundleTag = "hypermesh bundle 1", kBlockTag = "hypermesh block 1";

void write_content(base::ByteWriter& out, const Bundle& bundle) {
  out.raw(bundle.client);
  out.u64(bundle.sequence);
  out.u16(static_cast<std::uint16_t>(bundle.operations.size()));
  for (const auto& operation : bundle.operations) out.sized(operation);
}

}  // namespace

std::size_t Bundle::bytes() const {
  std::size_t sum = 32 + 8 + 2 + 64;
  for (const auto& operation : operations) sum += 4 + operation.size();
  return sum;
}

base::Bytes signed_bytes(const ClusterId& cluster, const Bundle& bundle) {
  base::ByteWriter out(kBundleTag.size() + cluster.size() + bundle.bytes());
  out.raw(base::as_bytes(kBundleTag));
  out.raw(cluster);
  write_content(out, bundle);
  return std::move(out).take();
}

base::Digest digest_of(const Bundle& bundle) {
  base::ByteWriter out(bundle.bytes());
  write(out, bundle);
  return base::sha256(out.view());
}

std::size_t Block::operations() const {
  std::size_t sum = 0;
  for (const auto& bundle : bundles) sum += bundle->operations.size();
  return sum;
}

base::Digest digest_of(const ClusterId& cluster, const Block& block,
                       const std::vector<base::Digest>& bundles) {
  base::ByteWriter out(kBlockTag.size() + 2 * 32 + 3 * 8 + 32 * bundles.size());
  out.raw(base::as_bytes(kBlockTag));
  out.raw(cluster);
  out.u64(block.slot);
  out.raw(block.parent);
  out.u64(block.time);
  out.u16(block.proposer);
  for (const auto& digest : bundles) out.raw(digest);
  return base::sha256(out.view());
}

LinkPtr make_link(const ClusterId& cluster, Block block) {
  auto link = std::make_shared<Link>();
  for (const auto& bundle : block.bundles) link->bundle_digests.push_back(digest_of(*bundle));
  link->digest = digest_of(cluster, block, link->bundle_digests);
  link->bytes = 8 + 32 + 8 + 2 + 2;
  for (const auto& bundle : block.bundles) link->bytes += bundle->bytes();
  link->block = std::move(block);
  return link;
}

void write(base::ByteWriter& out, const Bundle& bundle) {
  write_content(out, bundle);
  out.raw(bundle.signature);
}

Result<BundlePtr> read_bundle(base::ByteReader& in) {
  auto bundle = std::make_shared<Bundle>();
  const std::size_t begin = in.offset();
  TRY_DO(read_array(in, bundle->client));
  TRY(bundle->sequence, in.u64());
  TRY(const auto count, read_count(in, kOperationsPerBundleMax, "operations of a bundle"));
  for (std::size_t i = 0; i < count; ++i) {
    TRY(const auto operation, in.sized(kBundleBytesMax));
    bundle->operations.emplace_back(operation.begin(), operation.end());
  }
  TRY_DO(read_array(in, bundle->signature));
  if (in.offset() - begin > kBundleBytesMax) {
    return base::fail(Errc::DataLoss, fmt::format("a bundle of {} bytes; {} are allowed",
                                                  in.offset() - begin, kBundleBytesMax));
  }
  return bundle;
}

void write(base::ByteWriter& out, const Block& block) {
  out.u64(block.slot);
  out.raw(block.parent);
  out.u64(block.time);
  out.u16(block.proposer);
  out.u16(static_cast<std::uint16_t>(block.bundles.size()));
  for (const auto& bundle : block.bundles) write(out, *bundle);
}

Result<Block> read_block(base::ByteReader& in) {
  Block block;
  const std::size_t begin = in.offset();
  TRY(block.slot, in.u64());
  TRY_DO(read_array(in, block.parent));
  TRY(block.time, in.u64());
  TRY(block.proposer, in.u16());
  TRY(const auto count, read_count(in, kBundlesPerBlockMax, "bundles of a block"));
  for (std::size_t i = 0; i < count; ++i) {
    TRY(auto bundle, read_bundle(in));
    block.bundles.push_back(std::move(bundle));
    if (in.offset() - begin > kBlockBytesMax) {
      return base::fail(Errc::DataLoss, fmt::format("a block above {} bytes", kBlockBytesMax));
    }
  }
  return block;
}

}  // namespace hypermesh::consensus
