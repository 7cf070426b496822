#include <algorithm>
#include <cstdlib>

#include "audit/merkle.hpp"
#include "audit/record.hpp"
#include "audit/verifier.hpp"

// What decodes encodes to the same bytes; a proof made of any bytes never leads a verifier astray.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const base::BytesView bytes(data, size);
  if (const auto record = nexus::decode_record(bytes)) {
    if (!std::ranges::equal(nexus::encode_record(*record), bytes)) std::abort();
  }
  if (const auto entries = nexus::decode_staged(base::as_text(bytes))) {
    if (nexus::encode_staged(*entries) != base::as_text(bytes)) std::abort();
  }
  (void)nexus::decode_signed_tree_head(bytes);

  // The same verdict however the bytes arrive, and never a root that was not made of them.
  nexus::AuditVerifier whole, pieces;
  const bool fed_whole = whole.feed(bytes).has_value();
  bool fed_pieces = true;
  for (std::size_t at = 0; at < size && fed_pieces; at += 7) {
    fed_pieces = pieces.feed(bytes.subspan(at, std::min<std::size_t>(7, size - at))).has_value();
  }
  if (fed_whole != fed_pieces || whole.records() != pieces.records()) std::abort();
  if (whole.finish({whole.records(), base::sha256("another root"), {}})) std::abort();

  base::ByteReader reader(bytes);
  const auto index = reader.u64(), tree_size = reader.u64();
  if (!index || !tree_size) return 0;
  std::vector<base::Digest> proof;
  while (const auto part = reader.raw(32))
    std::copy(part->begin(), part->end(), proof.emplace_back().begin());
  const base::Digest leaf = base::sha256("leaf"),
                     root = base::sha256("a root that nobody can hash to");
  if (nexus::verify_inclusion(leaf, *index, *tree_size, proof, root)) std::abort();
  const bool same = *index == *tree_size && *index != 0 && proof.empty();
  if (!same && nexus::verify_consistency(*index, root, *tree_size, root, proof)) std::abort();
  return 0;
}
