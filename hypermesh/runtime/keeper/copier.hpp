#pragma once

// Copies files out of and into a running container as a tar stream. Runs in a process of its own
// that first becomes what the container's process is: its users, its mounts, its user id and, as
// its root, its capabilities. So it sees and may do what a program in the container may, and
// nothing outside.

#include <base/error.hpp>
#include <string>

namespace hypermesh::keeper {

struct CopyTask {
  bool out = true;             ///< Out of the container, to `data_fd`; else from there into it.
  bool machine_users = false;  ///< The container has no user namespace of its own.
  std::uint32_t uid = 0, gid = 0;
  std::uint64_t capabilities = 0;  ///< Of the container's root; bit i for capability i.
  std::string
      path;  ///< In the container. Out: what to copy. In: an existing folder to unpack into.
};

/// Enters the namespaces of the process behind `process_fd` (a pidfd) and becomes its user.
/// Everything that has to be loaded must be: what lies in the container's folders is not to be
/// trusted.
base::Result<> enter_container(const CopyTask& task, int process_fd);

/// Errors: NotFound, Forbidden, ResourceExhausted (disk full, an archive beyond the limits),
/// InvalidArgument (no tar).
base::Result<> copy_files(const CopyTask& task, int data_fd);

}  // namespace hypermesh::keeper
