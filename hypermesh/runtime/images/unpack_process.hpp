#pragma once

// The unpacker in a process of its own: a fresh user namespace (ids 0 to 65535 are id_base and up),
// no network, the layer's folder as its root, the capabilities to write files there and no others.

#include <sys/types.h>

#include <base/error.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/images/unpack_layer.hpp"

namespace hypermesh {

struct UnpackJob {
  std::string unpacker_path;  ///< hypermesh-unpack
  int blob_fd = -1;           ///< Borrowed; read from its start.
  int target_fd = -1;         ///< Empty folder, belongs to id_base.
  std::uint32_t id_base = 0;
  ContentDigest diff_id;
  std::vector<ParentLayer> parents;  ///< Bottom first; the process sees them read-only.
  UnpackLimits limits;
};

/// Runs the program and waits for it, killing it after limits.time_max. Needs root. Blocks.
/// Errors: those of unpack_layer; TimedOut; Internal (it died: says of what).
base::Result<UnpackReport> run_unpacker(const UnpackJob& job);

/// What the program does: takes its job from the descriptors that run_unpacker hands over, gives up
/// every right, unpacks, answers. Returns the exit code.
int unpacker_main();

}  // namespace hypermesh
