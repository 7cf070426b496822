#include "commands/audit_proof.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <audit/merkle.hpp>
#include <audit/record.hpp>
#include <set>

namespace cli {
namespace {

using base::Errc;
using base::Result;

template <class Array>
Result<Array> read_hex(const std::string& text, std::string_view what) {
  const auto bytes = base::from_hex(text);
  Array out{};
  if (!bytes || bytes->size() != out.size())
    return base::fail(Errc::DataLoss, fmt::format("the proof's {} is not {} bytes in hexadecimal",
                                                  what, out.size()));
  std::ranges::copy(*bytes, out.begin());
  return out;
}

}  // namespace

Result<CheckedProof> check_proof(const Json& proof, std::uint64_t sequence) {
  constexpr std::size_t kPathMax = 64, kSignaturesMax = 256;
  TRY(const auto root, read_hex<base::Digest>(text_at(proof, {"root"}), "root"));
  const auto encoded = base::from_hex(text_at(proof, {"leaf"}));
  if (!encoded || encoded->empty()) return base::fail(Errc::DataLoss, "the proof has no record");
  const std::int64_t size = number_at(proof, {"treeSize"});
  if (size <= 0) return base::fail(Errc::DataLoss, "the proof names no tree");
  std::vector<base::Digest> path;
  for (const Json& step : list_at(proof, {"path"})) {
    if (path.size() == kPathMax)
      return base::fail(Errc::NotVerified, "the proof's path is longer than any tree is high");
    TRY(const auto digest,
        read_hex<base::Digest>(step.is_string() ? step.get<std::string>() : "", "path"));
    path.push_back(digest);
  }
  CheckedProof out;
  out.tree_size = static_cast<std::uint64_t>(size);
  out.root = base::to_hex(root);
  if (auto included = nexus::verify_inclusion(nexus::merkle_leaf_hash(*encoded), sequence - 1,
                                              out.tree_size, path, root);
      !included) {
    return std::unexpected(
        base::wrap(std::move(included).error(),
                   fmt::format("record {} is not under root {}", sequence, out.root.substr(0, 8))));
  }

  TRY(const auto record, nexus::decode_record(*encoded));
  if (record.sequence != sequence)
    return base::fail(Errc::NotVerified, fmt::format("the node proves record {} instead of {}",
                                                     record.sequence, sequence));

  const nexus::AuditEntry& entry = record.entry;
  out.record = {{"sequence", sequence},
                {"time", base::to_rfc3339(entry.time)},
                {"user", entry.who},
                {"role", entry.role},
                {"action", entry.action},
                {"object", entry.object},
                {"namespace", entry.name_space},
                {"result", entry.result},
                {"from", entry.origin},
                {"traceId", entry.trace_id},
                {"detail", entry.detail}};
  TRY(const base::WallTime time, base::parse_rfc3339(text_at(proof, {"headTime"})));
  std::set<base::PublicKey> voters;
  for (const Json& signature : list_at(proof, {"signatures"})) {
    if (out.voters == kSignaturesMax) break;
    ++out.voters;
    nexus::SignedTreeHead head;
    head.head = {out.tree_size, root, time};
    TRY(head.key, read_hex<base::PublicKey>(text_at(signature, {"voter"}), "voter"));
    TRY(head.signature, read_hex<base::Signature>(text_at(signature, {"signature"}), "signature"));
    if (auto valid = nexus::verify_tree_head(head); !valid) {
      return std::unexpected(
          base::wrap(std::move(valid).error(),
                     fmt::format("the signature of {}… on root {}… does not hold",
                                 base::to_hex(head.key).substr(0, 8), out.root.substr(0, 8))));
    }
    if (voters.insert(head.key).second) ++out.signatures;
  }
  if (out.signatures == 0)
    return base::fail(Errc::NotVerified,
                      fmt::format("nobody signed root {}…", out.root.substr(0, 8)));
  return out;
}

}  // namespace cli
