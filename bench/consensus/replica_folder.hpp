#pragma once

// A cluster of replicas on loopback, in a folder: what it began with, and each one's key.
//
//   FOLDER/genesis     consensus::Genesis
//   FOLDER/client      a client's identity (stoq::open_identity)
//   FOLDER/<i>/        of replica i, from 0: identity, ring, ring.key, state/, log/

#include <base/file.hpp>
#include <filesystem>

#include "consensus/execution/configuration.hpp"
#include "identity/identity_file.hpp"

namespace bench {

inline std::filesystem::path of_replica(const std::filesystem::path& folder, std::size_t i) {
  return folder / std::to_string(i);
}

inline base::Result<hypermesh::consensus::Genesis> read_genesis(
    const std::filesystem::path& folder) {
  TRY(const auto bytes, base::read_file((folder / "genesis").string(), 1 << 20));
  return hypermesh::consensus::decode_genesis(base::as_bytes(bytes));
}

}  // namespace bench
