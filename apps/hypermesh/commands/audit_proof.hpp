#pragma once

// Checks the proof that a node gives for an audit record, without believing the node. Pure.

#include <base/error.hpp>
#include <cstdint>
#include <string>

#include "output/json_access.hpp"

namespace cli {

struct CheckedProof {
  std::uint64_t tree_size = 0;
  std::string root;
  std::size_t signatures = 0;  ///< Valid ones, each of another voter.
  std::size_t voters = 0;      ///< That the answer names.
  Json record;                 ///< What the proven bytes say, not what the node says beside them.
};

/// `proof`: {"leaf","treeSize","root","headTime","path","signatures"} of the API
/// (docs/wire/api.md). Errors: NotVerified (which part does not hold), DataLoss (not such an
/// answer).
base::Result<CheckedProof> check_proof(const Json& proof, std::uint64_t sequence);

}  // namespace cli
