#pragma once

// Reads one layer's archive into a folder. Depends on nothing but the file descriptors it is given,
// so it runs in a process without privilege, network or any other file.
//
// What the archive says is never trusted: each name is resolved part by part beneath the folder, no
// link is followed by the kernel, and what would lead out is refused.

#include <base/error.hpp>
#include <span>
#include <string>
#include <vector>

#include "runtime/images/unpack_limits.hpp"
#include "runtime/images/unpack_report.hpp"

namespace hypermesh {

/// A layer below the one that is unpacked. Borrowed.
struct ParentLayer {
  int folder_fd = -1;
  std::vector<std::string>
      opaque_folders;  ///< From its report: the mark itself cannot be read without privilege.
};

/// Unpacks gzip, zstd or plain tar from `blob_fd` into the empty folder `target_fd` (not O_PATH).
/// `parents`, bottom first, give folders that the archive does not hold itself their mode and
/// owner, as on the finished stack.
///
/// Needs the right to give files away (root, or root of a user namespace with ids 0 to 65535).
/// Whiteouts become character devices 0/0; opaque folders are reported, not marked.
///
/// Errors: InvalidArgument (malformed or hostile archive: names the entry), NotVerified (both
/// digests),
///         ResourceExhausted (a limit or the disk: names it). The folder then holds rubbish.
base::Result<UnpackReport> unpack_layer(int blob_fd, int target_fd, const UnpackLimits& limits,
                                        const ContentDigest& diff_id,
                                        std::span<const ParentLayer> parents = {});

}  // namespace hypermesh
