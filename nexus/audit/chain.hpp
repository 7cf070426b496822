#pragma once

// The log's growth, decided: entries in, framed records and tree nodes out.
//
// A frame in audit.log is: length of the record (u32), the record, its hash (32 bytes).

#include "audit/merkle.hpp"
#include "audit/record.hpp"

namespace nexus {

inline constexpr std::size_t kAuditFrameOverhead = 4 + 32;

/// Everything needed to go on after a record.
struct AuditCheckpoint {
  std::uint64_t records = 0;
  std::uint64_t log_bytes = 0;  ///< Of their frames.
  Revision revision = 0;        ///< Of the last one.
  base::Digest last_hash{};
  std::vector<base::Digest> peaks;
  bool operator==(const AuditCheckpoint&) const = default;
};
std::string encode_checkpoint(const AuditCheckpoint& checkpoint);
base::Result<AuditCheckpoint> decode_checkpoint(std::string_view bytes);

/// What appending made, to be written behind what the files hold.
struct AuditGrowth {
  base::Bytes frames;
  base::Bytes nodes;    ///< 32 bytes each.
  base::Bytes offsets;  ///< Of each frame in audit.log; 8 bytes each.
  void add(AuditGrowth more);
  std::size_t bytes() const { return frames.size() + nodes.size() + offsets.size(); }
};

class AuditChain {
 public:
  AuditChain() = default;
  /// Errors: DataLoss.
  static base::Result<AuditChain> restore(AuditCheckpoint checkpoint);

  /// Gives `entry` the next place.
  AuditGrowth append(AuditEntry entry, Revision revision);
  AuditCheckpoint checkpoint() const;
  std::uint64_t records() const { return frontier_.size(); }
  std::uint64_t log_bytes() const { return log_bytes_; }
  Revision revision() const { return revision_; }
  base::Digest root() const { return frontier_.root(); }

 private:
  MerkleFrontier frontier_;
  std::uint64_t log_bytes_ = 0;
  Revision revision_ = 0;
  base::Digest last_hash_{};
};

}  // namespace nexus
