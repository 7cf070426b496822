#pragma once

#include <map>

#include "audit/chain.hpp"

namespace nexus {

/// Reads a whole audit.log, in pieces of any size, and finds the first record that is not as it was
/// written.
///
/// Checks each record's own hash, its number, the chain, the tree, and the signed roots on the way.
/// Whoever changes a record has to change every later one and every signed root.
class AuditVerifier {
 public:
  /// `heads` are compared on the way; signatures are checked by whoever read them.
  explicit AuditVerifier(const std::vector<TreeHead>& heads = {});

  /// Errors: NotVerified (names the record).
  base::Result<> feed(base::BytesView bytes);
  /// After the last byte: the log must hold exactly the records of `expected`.
  /// Errors: NotVerified.
  base::Result<> finish(const TreeHead& expected);
  std::uint64_t records() const { return frontier_.size(); }
  base::Digest root() const { return frontier_.root(); }

 private:
  base::Result<std::size_t> take_frame(base::BytesView bytes);

  std::multimap<std::uint64_t, base::Digest> heads_;
  base::Bytes rest_;  // of a frame whose end has not come yet
  MerkleFrontier frontier_;
  base::Digest last_hash_{};
  std::optional<base::Error> failed_;
};

}  // namespace nexus
