#pragma once

#include <base/crypto.hpp>
#include <cstdint>
#include <string>

namespace nexus {

/// Who does something, as the access layer established it. Goes into the audit log word for word.
struct Actor {
  std::string user;      ///< "ana", "uid:1000", "system:deployment-controller"
  std::string role;      ///< The role that allowed it: "admin", "deploy", "system".
  std::string origin;    ///< Where the request came from: "unix", "[fd00::9]:40122", "node n1".
  std::string trace_id;  ///< Of the request; empty when there is none.
};

/// What a write leaves behind for its author: its place in the audit log, and the signed root that
/// covers it.
struct Receipt {
  std::uint64_t sequence = 0;   ///< Number of the audit record, from 1.
  std::uint64_t tree_size = 0;  ///< Records under `root`; at least `sequence`.
  base::Digest root{};          ///< RFC 6962 tree hash of the first `tree_size` records.
  unsigned signatures = 0;      ///< Signatures of voters that the root carries,
  unsigned voters = 0;          ///< of so many: 1 of 1 on one node.
};

}  // namespace nexus
