#pragma once

// What a transfer has fetched and verified, beside the state and not part of it:
//
//   f n <path> -> an inner node of the target's tree: its bitmap, and the hashes of its children
//   f l <path> -> a leaf there, with its value
//   S          -> a finished transfer is being switched to (transfer_switch.hpp)
//
// Each is checked against the hash that its parent wants before it is used, so what an earlier
// target left here is either still right or passed over.

#include <map>

#include "state/transfer_messages.hpp"

namespace hypermesh::state {

struct StagedNode {
  std::uint16_t present = 0;
  std::array<base::Digest, kFanout> hashes{};  ///< Zero where nothing is.

  base::Digest hash() const;
  bool has(int index) const { return present >> index & 1; }
};

void stage(Storage::Batch& batch, const Path& path, const StagedNode& node);
void stage(Storage::Batch& batch, const Path& path, const TransferLeaf& leaf);
/// Empty when nothing with this hash is staged there.
base::Result<std::optional<StagedNode>> staged_node(const Reader& storage, const Path& path,
                                                    const base::Digest& hash);
base::Result<std::optional<TransferLeaf>> staged_leaf(const Reader& storage, const Path& path,
                                                      const base::Digest& hash);

inline constexpr std::string_view kStagingPrefix = "f";
inline constexpr std::string_view kSwitchKey = "S";

}  // namespace hypermesh::state
