#pragma once

#include <filesystem>

#include "at_rest/key_ring.hpp"
#include "consensus/execution/configuration.hpp"

namespace bench {

inline constexpr std::size_t kFilledValueBytes = 256;
std::string filled_key(std::uint64_t number);

/// The keys under which a replica's folder is sealed; made on first use.
base::Result<std::unique_ptr<hypermesh::at_rest::KeyRing>> open_keys(
    const std::filesystem::path& replica);

/// Gives every voter of a cluster that has not run the state of so many keys with random values:
/// the blocks that write them are executed once, without a network and a log, and the others get
/// copies of the files. The last is a checkpoint, which the replicas certify when they begin. Ends
/// the program if it cannot.
void fill_state(const std::filesystem::path& cluster, std::uint64_t keys);

}  // namespace bench
