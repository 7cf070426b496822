#pragma once

// One line of the audit log, and the signed head of its tree. Both have one canonical layout
// (base::ByteWriter); hashes and signatures are over it.

#include <base/crypto.hpp>
#include <base/time.hpp>
#include <nexus/revision.hpp>
#include <optional>
#include <string>

#include "audit/receipt.hpp"

namespace nexus {

/// What happened, before it has its place in the log.
struct AuditEntry {
  base::WallTime time{};
  std::string who;
  std::string role;
  std::string action;      ///< "create", "update", "delete", "exec", "attach"
  std::string name_space;  ///< Of the object; empty for cluster-scoped ones.
  std::string object;      ///< "deployment/web"
  std::string result;      ///< "ok", "denied"; else the error's code.
  std::string detail;      ///< Why it was denied, which command was run. Free text, never a secret.
  std::string origin;
  std::string trace_id;
  std::optional<base::Digest>
      digest;  ///< SHA-256 of the object as it was stored (a Secret's: sealed).
  bool operator==(const AuditEntry&) const = default;
};

/// An "ok" entry of `actor`, for the caller to complete.
AuditEntry audit_entry(const Actor& actor, std::string action, base::WallTime time);

inline constexpr std::size_t kAuditTextBytesMax =
    512;  ///< Of each text; longer ones are cut and end in "...".
inline constexpr std::size_t kAuditRecordBytesMax = 16 * kAuditTextBytesMax;
inline constexpr std::size_t kAuditStagedMax = 1024;  ///< Entries of one transaction.

/// An entry in its place. Each holds the hash of the one before it, so none can be changed, left
/// out or moved alone.
struct AuditRecord {
  std::uint64_t sequence = 0;  ///< From 1, without gaps.
  Revision revision = 0;       ///< Of the commit that it came with.
  AuditEntry entry;
  base::Digest previous{};  ///< audit_record_hash of the record before; zeros for the first.
  bool operator==(const AuditRecord&) const = default;
};

base::Bytes encode_record(const AuditRecord& record);
/// Errors: DataLoss, Unsupported (a newer format).
base::Result<AuditRecord> decode_record(base::BytesView bytes);
inline base::Digest audit_record_hash(base::BytesView encoded) {
  return base::sha256(encoded);
}

/// The entries of one transaction while they wait in the state for their place.
std::string encode_staged(const std::vector<AuditEntry>& entries);
base::Result<std::vector<AuditEntry>> decode_staged(std::string_view bytes);

/// A root that its signers vouch for.
struct TreeHead {
  std::uint64_t size = 0;
  base::Digest root{};
  base::WallTime time{};
  bool operator==(const TreeHead&) const = default;
};
struct SignedTreeHead {
  TreeHead head;
  base::PublicKey key{};
  base::Signature signature{};
  bool operator==(const SignedTreeHead&) const = default;
};
inline constexpr std::size_t kSignedTreeHeadBytes = 8 + 32 + 8 + 32 + 64;

SignedTreeHead sign_tree_head(const TreeHead& head, const base::SigningKey& key);
/// Errors: NotVerified.
base::Result<> verify_tree_head(const SignedTreeHead& head);
base::Bytes encode_signed_tree_head(const SignedTreeHead& head);
base::Result<SignedTreeHead> decode_signed_tree_head(base::BytesView bytes);

}  // namespace nexus
