#pragma once

#include <base/log.hpp>
#include <filesystem>

#include "audit/chain.hpp"

namespace nexus {

/// Which records to list. Empty fields match everything.
struct AuditQuery {
  std::optional<base::WallTime> since, until;
  std::string who;
  std::string name_space;
  std::string object;  ///< "deployment/web", or all of a kind: "deployment/".
  std::string action;
  std::string result;
  std::uint64_t after = 0;  ///< Only records with a higher number.
  std::size_t limit = 100;
  bool newest_first = true;
};

/// The files of the log in one folder. Blocks; used by one thread at a time.
///
///   - audit.log: the records. What counts, and what `verify` reads.
///   - audit.nodes: hashes of complete subtrees, in the order of merkle_node_position: proofs
///     without rehashing.
///   - audit.offsets: where each record starts in audit.log.
///   - audit.heads: signed heads, one for each time that the log went to disk.
class AuditFiles {
 public:
  /// Opens or makes the files (mode 0600).
  static base::Result<std::unique_ptr<AuditFiles>> open(const std::filesystem::path& folder,
                                                        base::Log log);
  AuditFiles(const AuditFiles&) = delete;
  AuditFiles& operator=(const AuditFiles&) = delete;
  ~AuditFiles();

  /// Makes the files end after `checkpoint` + `growth`, the records that the state knows of. What
  /// the log held beyond that or otherwise is kept aside and reported: nobody who wrote it was told
  /// that it counts.
  base::Result<> resume(const AuditCheckpoint& checkpoint, const AuditGrowth& growth);
  /// After `resume` of a log of `records`, for a state that may have lost its end with the power:
  /// puts signed heads beyond that aside, or they would speak against every record to come. How
  /// many records they say were lost.
  base::Result<std::uint64_t> put_lost_heads_aside(std::uint64_t records);
  /// Writes behind the end, and to disk.
  base::Result<> append(const AuditGrowth& growth, const SignedTreeHead& head);

  base::Result<std::vector<AuditRecord>> list(const AuditQuery& query) const;
  /// The encoded record. Errors: NotFound, DataLoss.
  base::Result<base::Bytes> read(std::uint64_t sequence) const;
  base::Result<base::Digest> node(MerkleNode node) const;
  /// The whole log, the signed heads on the way (all by `signer`), and that it ends with
  /// `expected`. Errors: NotVerified (names the record).
  base::Result<> verify(const TreeHead& expected, const base::PublicKey& signer) const;
  base::Result<std::vector<SignedTreeHead>> heads() const;
  std::uint64_t records() const { return records_; }

 private:
  AuditFiles() = default;
  base::Result<> keep_aside(int from_fd, std::string_view name, std::uint64_t from,
                            std::uint64_t end) const;
  base::Result<std::uint64_t> offset_of(std::uint64_t sequence) const;

  std::filesystem::path folder_;
  base::Log log_;
  int log_fd_ = -1, nodes_fd_ = -1, offsets_fd_ = -1, heads_fd_ = -1;
  std::uint64_t records_ = 0;
  std::uint64_t log_bytes_ = 0, node_bytes_ = 0, offset_bytes_ = 0, head_bytes_ = 0;
};

}  // namespace nexus
