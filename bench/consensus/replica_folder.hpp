#pragma once

// A cluster of replicas on loopback, in a folder: what it began with, and each one's key.
//
//   FOLDER/genesis     consensus::Genesis
//   FOLDER/client      a client's identity (stoq::open_identity)
//   FOLDER/operator    an operator's
//   FOLDER/<i>/        of replica i, from 0: identity, endpoint, ring, ring.key, state/, log/

#include <base/file.hpp>
#include <filesystem>
#include <stoq/types.hpp>

#include "consensus/execution/configuration.hpp"
#include "identity/identity_file.hpp"

namespace bench {

struct ClusterShape {
  std::size_t voters = 4;
  std::size_t spares = 0;  ///< Numbered after the voters; no members yet.
  hypermesh::consensus::Slot checkpoint_interval = 1000;
};
/// In a folder that is there. Ends the program if it cannot.
void make_cluster(const std::filesystem::path& folder, const ClusterShape& shape);

inline std::filesystem::path of_replica(const std::filesystem::path& folder, std::size_t i) {
  return folder / std::to_string(i);
}

inline base::Result<hypermesh::consensus::Genesis> read_genesis(
    const std::filesystem::path& folder) {
  TRY(const auto bytes, base::read_file((folder / "genesis").string(), 1 << 20));
  return hypermesh::consensus::decode_genesis(base::as_bytes(bytes));
}

/// What replica i is as a member.
base::Result<hypermesh::consensus::Member> read_member(const std::filesystem::path& folder,
                                                       std::size_t i);

}  // namespace bench
