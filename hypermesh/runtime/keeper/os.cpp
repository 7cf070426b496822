#include "runtime/keeper/os.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>

namespace hypermesh::keeper {

using base::Errc;
using base::fail_errno;

// --- Files
// ------------------------------------------------------------------------------------------------

base::Result<std::string> read_all(int fd, std::size_t bytes_max) {
  std::string text;
  std::array<char, 16'384> buffer;
  for (;;) {
    const ssize_t count = ::read(fd, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno(errno, "cannot read");
    if (count == 0) return text;
    if (text.size() + static_cast<std::size_t>(count) > bytes_max) {
      return base::fail(Errc::ResourceExhausted, fmt::format("longer than {} bytes", bytes_max));
    }
    text.append(buffer.data(), static_cast<std::size_t>(count));
  }
}

base::Result<> write_kernel_file(const std::string& path, std::string_view text) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return fail_errno(errno, fmt::format("cannot open {}", path));
  if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return fail_errno(errno, fmt::format("cannot write {} to {}", text, path));
  }
  return {};
}

namespace {

base::Result<> write_bytes(int fd, base::BytesView bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno(errno, "cannot write");
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

base::Result<> replace_file(const std::string& path, base::BytesView bytes, mode_t mode,
                            bool durably) {
  const std::string temporary = path + ".new";
  const auto problem = [&](base::Error error) {
    ::unlink(temporary.c_str());
    return std::unexpected(base::wrap(std::move(error), fmt::format("cannot write {}", path)));
  };
  {
    const UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
    if (!fd) return fail_errno(errno, fmt::format("cannot make {}", temporary));
    if (auto written = write_bytes(fd.get(), bytes); !written)
      return problem(std::move(written).error());
    if (::fchmod(fd.get(), mode) != 0)
      return problem(base::errno_error(errno, "cannot set the mode"));
    if (durably && ::fsync(fd.get()) != 0)
      return problem(base::errno_error(errno, "cannot reach the disk"));
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0)
    return problem(base::errno_error(errno, "cannot rename"));
  if (durably) {
    const UniqueFd folder(
        ::open(path.substr(0, path.rfind('/')).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder || ::fsync(folder.get()) != 0)
      return problem(base::errno_error(errno, "cannot reach the disk"));
  }
  return {};
}

}  // namespace

base::Result<> write_durably(const std::string& path, base::BytesView bytes) {
  return replace_file(path, bytes, 0600, true);
}
base::Result<> write_whole(const std::string& path, base::BytesView bytes, mode_t mode) {
  return replace_file(path, bytes, mode, false);
}

base::Result<> make_folder(const std::string& path, mode_t mode, Owner owner) {
  if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST) {
    return fail_errno(errno, fmt::format("cannot make the folder {}", path));
  }
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return fail_errno(errno, fmt::format("{} is no folder", path));
  if (::fchown(fd.get(), owner.uid, owner.gid) != 0 || ::fchmod(fd.get(), mode) != 0) {
    return fail_errno(errno, fmt::format("cannot set owner and mode of {}", path));
  }
  return {};
}

base::Result<> give_file(const std::string& path, Owner owner) {
  if (::lchown(path.c_str(), owner.uid, owner.gid) == 0) return {};
  return fail_errno(errno, fmt::format("cannot set the owner of {}", path));
}

std::vector<std::string> list_folder(const std::string& path) {
  std::vector<std::string> names;
  DIR* folder = ::opendir(path.c_str());
  if (!folder) return names;
  while (const dirent* entry = ::readdir(folder)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  ::closedir(folder);
  return names;
}

namespace {

// Folders deeper than this are moved up to the top, so that no hostile depth exhausts descriptors
// or the stack.
constexpr int kRemoveDepthMax = 32;

/// A folder right below `parent`; never one that something is mounted on, be it from the same file
/// system: a mount that could not be taken away must not cost what it shows.
UniqueFd open_folder_of_same_mount(int parent, const char* name) {
  open_how how{};
  how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH;
  return UniqueFd(static_cast<int>(::syscall(SYS_openat2, parent, name, &how, sizeof how)));
}

class TreeRemover {
 public:
  /// `moved` counts the folders that were moved up, over all rounds.
  TreeRemover(int top, std::uint64_t& moved) : top_(top), moved_(moved) {}

  bool empty_folder(int folder_fd, int depth) {
    const int copy = ::dup(folder_fd);
    DIR* folder = copy >= 0 ? ::fdopendir(copy) : nullptr;
    if (!folder) {
      if (copy >= 0) ::close(copy);
      return false;
    }
    bool all = true;
    while (const dirent* entry = ::readdir(folder)) {
      const std::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      all = remove_entry(folder_fd, entry->d_name, depth) && all;
    }
    ::closedir(folder);
    return all;
  }

 private:
  bool remove_entry(int parent, const char* name, int depth) {
    if (::unlinkat(parent, name, 0) == 0 || errno == ENOENT) return true;
    if (errno != EISDIR && errno != EPERM) return false;
    if (::unlinkat(parent, name, AT_REMOVEDIR) == 0) return true;
    if (errno != ENOTEMPTY && errno != EEXIST) return false;
    if (depth >= kRemoveDepthMax) return move_up(parent, name);
    {
      const UniqueFd child = open_folder_of_same_mount(parent, name);
      if (!child || !empty_folder(child.get(), depth + 1)) return false;
    }
    return ::unlinkat(parent, name, AT_REMOVEDIR) == 0;
  }

  /// The top is read again until it is empty. Names that are taken already are passed over.
  bool move_up(int parent, const char* name) {
    int moved = -1;
    do {
      const std::string target = fmt::format(".removed-{}", ++moved_);
      moved = ::renameat2(parent, name, top_, target.c_str(), RENAME_NOREPLACE);
    } while (moved != 0 && errno == EEXIST);
    return moved == 0;
  }

  int top_;
  std::uint64_t& moved_;
};

}  // namespace

base::Result<> remove_tree(const std::string& path) {
  constexpr int kRoundsMax = 100'000;
  const std::size_t slash = path.rfind('/');
  BASE_ASSERT(slash != path.npos && slash > 0 && slash + 1 < path.size(),
              "only folders well below / are removed");
  const std::string name = path.substr(slash + 1);
  const UniqueFd parent(::open(path.substr(0, slash).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!parent)
    return errno == ENOENT ? base::Result<>{}
                           : fail_errno(errno, fmt::format("cannot remove {}", path));
  std::uint64_t moved = 0;
  for (int round = 0; round < kRoundsMax; ++round) {
    if (::unlinkat(parent.get(), name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
    if (errno == ENOTDIR && ::unlinkat(parent.get(), name.c_str(), 0) == 0) return {};
    if (errno != ENOTEMPTY && errno != EEXIST)
      return fail_errno(errno, fmt::format("cannot remove {}", path));
    const UniqueFd top = open_folder_of_same_mount(parent.get(), name.c_str());
    if (!top) return fail_errno(errno, fmt::format("cannot remove {}", path));
    if (!TreeRemover(top.get(), moved).empty_folder(top.get(), 0)) {
      return fail_errno(errno ? errno : EBUSY, fmt::format("cannot remove everything in {}", path));
    }
  }
  return base::fail(Errc::Internal, fmt::format("{} does not get empty", path));
}

base::Result<UniqueFd> open_in_root(int root_fd, const std::string& path, int flags) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags) | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, root_fd, path.c_str(), &how, sizeof how)));
  if (!fd) return fail_errno(errno, fmt::format("cannot open {}", path));
  return fd;
}

// --- Mounts
// -------------------------------------------------------------------------------------------------

base::Result<UniqueFd> clone_mount(int fd, const std::string& path, const CloneOptions& options) {
  unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
  if (path.empty()) flags |= AT_EMPTY_PATH;
  if (options.recursive) flags |= AT_RECURSIVE;
  UniqueFd mount(::open_tree(fd, path.c_str(), flags));
  if (!mount) return fail_errno(errno, fmt::format("cannot clone the mount of {}", path));
  mount_attr attributes{};
  attributes.propagation = MS_PRIVATE;
  if (options.read_only) attributes.attr_set |= MOUNT_ATTR_RDONLY;
  if (options.ids_fd >= 0) {
    attributes.attr_set |= MOUNT_ATTR_IDMAP;
    attributes.userns_fd = static_cast<std::uint64_t>(options.ids_fd);
  }
  const unsigned set_flags = AT_EMPTY_PATH | (options.recursive ? AT_RECURSIVE : 0u);
  if (::mount_setattr(mount.get(), "", set_flags, &attributes, sizeof attributes) != 0) {
    if (options.ids_fd >= 0 && (errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP)) {
      return std::unexpected(base::with_hint(
          base::make_error(
              Errc::Unsupported,
              fmt::format("no idmapped mount of {}: its file system or this kernel has none",
                          path)),
          "use ext4, XFS or btrfs and Linux 6.1 or later, or give the pod hostUsers: true"));
    }
    return fail_errno(errno, fmt::format("cannot set the attributes of the mount of {}", path));
  }
  return mount;
}

base::Result<> place_mount(int mount_fd, const std::string& target) {
  if (::move_mount(mount_fd, "", AT_FDCWD, target.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    return fail_errno(errno, fmt::format("cannot mount at {}", target));
  }
  return {};
}

base::Result<> mount_tmpfs(const std::string& target, std::uint64_t bytes_max, mode_t mode,
                           Owner owner, bool no_exec) {
  std::string options = fmt::format("mode={:o},uid={},gid={}", mode, owner.uid, owner.gid);
  if (bytes_max) options += fmt::format(",size={}", bytes_max);
  const unsigned long flags = MS_NOSUID | MS_NODEV | (no_exec ? MS_NOEXEC : 0);
  if (::mount("tmpfs", target.c_str(), "tmpfs", flags, options.c_str()) != 0) {
    return fail_errno(errno, fmt::format("cannot mount a tmpfs at {}", target));
  }
  return {};
}

void unmount(const std::string& target) {
  ::umount2(target.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
}

// --- Descriptors and processes
// ------------------------------------------------------------------------------

base::Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno(errno, "cannot make a pipe");
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

base::Result<> set_nonblocking(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
    return fail_errno(errno, "cannot set a descriptor");
  return {};
}

base::Result<UniqueFd> duplicate(int fd) {
  UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!copy) return fail_errno(errno, "cannot duplicate a descriptor");
  return copy;
}

std::string path_of_fd(int fd) {
  return fmt::format("/proc/{}/fd/{}", ::getpid(), fd);
}

namespace {

// Only system calls from here to exec: this is a copy of the keeper in another process.
void reset_signals() {
  struct sigaction usual{};
  usual.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) ::sigaction(signal, &usual, nullptr);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

bool set_stdio(int fd, int number) {
  if (fd == number) return ::fcntl(fd, F_SETFD, 0) == 0;
  if (fd >= 0) return ::dup2(fd, number) == number;
  const int null = ::open("/dev/null", O_RDWR);
  if (null < 0 || null == number) return null == number;
  const bool done = ::dup2(null, number) == number;
  ::close(null);
  return done;
}

}  // namespace

base::Result<pid_t> start_program(const Program& program) {
  std::vector<char*> argv;
  for (const auto& word : program.argv) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const pid_t child = ::fork();
  if (child < 0) return fail_errno(errno, fmt::format("cannot start {}", program.argv[0]));
  if (child > 0) return child;
  reset_signals();
  // Whatever the keeper's own standing with the kernel's out-of-memory killer is, it is not
  // inherited.
  (void)write_kernel_file("/proc/self/oom_score_adj", "0");
  if (program.prepare && !program.prepare()) ::_exit(126);
  if (!set_stdio(program.stdin_fd, 0) || !set_stdio(program.stdout_fd, 1) ||
      !set_stdio(program.stderr_fd, 2)) {
    ::_exit(126);
  }
  ::close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
  if (program.extra_fd >= 0 && !set_stdio(program.extra_fd, 3)) ::_exit(126);
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

base::Result<pid_t> start_copy(std::vector<int> kept, const std::function<int()>& body) {
  std::ranges::sort(kept);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return fail_errno(errno, "cannot fork");
  if (child > 0) return child;
  reset_signals();
  // A successor of ours must not find it at work.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(126);
  unsigned next = 3;
  for (const int fd : kept) {
    if (fd < 3) continue;
    const auto number = static_cast<unsigned>(fd);
    if (number > next) ::close_range(next, number - 1, 0);
    next = std::max(next, number + 1);
  }
  ::close_range(next, ~0u, 0);
  ::_exit(body());
}

int exit_code_of(int wait_status) {
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

std::string boot_id() {
  auto text = read_file("/proc/sys/kernel/random/boot_id", 64);
  if (!text) return {};
  while (!text->empty() && text->back() == '\n') text->pop_back();
  return *std::move(text);
}

}  // namespace hypermesh::keeper
