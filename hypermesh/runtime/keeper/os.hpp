#pragma once

// Thin wrappers of what the keeper asks of Linux. Names of folders and mounts that strangers have a
// hand in are always resolved beneath a descriptor, never by path.

#include <sys/types.h>

#include <base/bytes.hpp>
#include <base/error.hpp>
#include <base/file.hpp>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "datapath/unique_fd.hpp"

namespace hypermesh::keeper {

using base::read_file;
using datapath::UniqueFd;

// --- Files
// ------------------------------------------------------------------------------------------------

/// Errors: those of the system, ResourceExhausted (longer than `bytes_max`).
base::Result<std::string> read_all(int fd, std::size_t bytes_max);
/// One write(2) to an existing file, as files of the kernel want it.
base::Result<> write_kernel_file(const std::string& path, std::string_view text);
/// Replaces the file as a whole; it is on disk when this returns.
base::Result<> write_durably(const std::string& path, base::BytesView bytes);
/// As write_durably, without waiting for the disk: whole after a crash of ours, perhaps not after
/// one of the machine.
base::Result<> write_whole(const std::string& path, base::BytesView bytes, mode_t mode = 0600);

struct Owner {
  uid_t uid = 0;
  gid_t gid = 0;
};
/// Makes the folder if it is missing; owner and mode are set in either case.
base::Result<> make_folder(const std::string& path, mode_t mode, Owner owner = {});
base::Result<> give_file(const std::string& path, Owner owner);
/// Removes a folder and everything in it, following no link and entering no mount (of the same file
/// system either). Not an error when there is none. Depth is no danger to it. Blocks. Errors: also
/// what is still mounted there.
base::Result<> remove_tree(const std::string& path);
std::vector<std::string> list_folder(const std::string& path);

/// Opens `path` beneath `root_fd` as if that were "/": links cannot lead out. Flags as open(2).
base::Result<UniqueFd> open_in_root(int root_fd, const std::string& path, int flags);

// --- Mounts
// -------------------------------------------------------------------------------------------------

/// A copy of the mount at `path` (or of the file behind `fd` when `path` is empty), not yet
/// anywhere, with ids shifted as the user namespace `ids_fd` says (-1: not). `recursive` takes what
/// is mounted below along. Errors: Unsupported (the kernel or the file system knows no idmapped
/// mounts).
struct CloneOptions {
  int ids_fd = -1;
  bool recursive = false;
  bool read_only = false;
};
base::Result<UniqueFd> clone_mount(int fd, const std::string& path, const CloneOptions& options);
base::Result<> place_mount(int mount_fd, const std::string& target);
base::Result<> mount_tmpfs(const std::string& target, std::uint64_t bytes_max, mode_t mode,
                           Owner owner, bool no_exec);
/// Takes the mount away at once; what uses it goes on with it. Not an error when there is none.
void unmount(const std::string& target);

// --- Descriptors and processes
// ------------------------------------------------------------------------------

struct Pipe {
  UniqueFd read, write;
};
base::Result<Pipe> make_pipe();
base::Result<> set_nonblocking(int fd);
base::Result<UniqueFd> duplicate(int fd);
/// "/proc/<this process>/fd/<fd>": how a child, wherever it is, finds one of our descriptors.
std::string path_of_fd(int fd);

/// A child that becomes another program. All descriptors but 0, 1, 2 are closed in it, signals are
/// as a program expects them.
struct Program {
  std::vector<std::string> argv;                      ///< argv[0] is a path.
  int stdin_fd = -1, stdout_fd = -1, stderr_fd = -1;  ///< -1: /dev/null.
  int extra_fd = -1;                                  ///< Descriptor 3 of the program; -1: none.
  /// In the child, before it becomes the program. False: it ends with 126.
  std::function<bool()> prepare;
};
base::Result<pid_t> start_program(const Program& program);
/// A child that runs `body` in a copy of this process and ends with what it answers, or with this
/// process. It holds no descriptor but 0, 1, 2 and `kept`: whoever waits for the end of a pipe or
/// socket of ours does not wait for it as well.
base::Result<pid_t> start_copy(std::vector<int> kept, const std::function<int()>& body);

/// 128 + signal when killed.
int exit_code_of(int wait_status);
std::string boot_id();

}  // namespace hypermesh::keeper
