#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <locale.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "runtime/images/fd.hpp"
#include "runtime/images/unpack_process.hpp"
#include "runtime/images/unpack_request.hpp"

namespace hypermesh {
namespace {

constexpr unsigned kIds = 65536;

base::Result<base::Bytes> read_all(int fd) {
  base::Bytes out;
  std::uint8_t piece[65536];
  while (true) {
    const ssize_t got = pread(fd, piece, sizeof piece, off_t(out.size()));
    if (got < 0) return base::fail_errno(errno, "cannot read the request");
    if (got == 0) return out;
    out.insert(out.end(), piece, piece + got);
  }
}

bool write_all(int fd, base::BytesView bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    bytes = bytes.subspan(std::size_t(written));
  }
  return true;
}

// The layers below belong to the ids that we are about to become: without this, a parser that was
// taken over could change them.
base::Result<Fd> read_only_view(int fd) {
  Fd view(int(syscall(SYS_open_tree, fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
  mount_attr attributes{};
  attributes.attr_set =
      MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  if (!view || syscall(SYS_mount_setattr, view.get(), "", AT_EMPTY_PATH, &attributes,
                       sizeof attributes) != 0) {
    return base::fail_errno(errno, "cannot make a read-only view of a layer");
  }
  return view;
}

bool write_map(pid_t pid, const char* name, std::uint32_t id_base) {
  const std::string path = fmt::format("/proc/{}/{}", pid, name);
  const std::string line = fmt::format("0 {} {}\n", id_base, kIds);
  Fd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return file && write(file.get(), line.data(), line.size()) == ssize_t(line.size());
}

// A process may not map foreign ids into its own new namespace: a child that stays outside does it.
base::Result<> enter_namespaces(std::uint32_t id_base) {
  int go[2];
  if (pipe2(go, O_CLOEXEC) != 0) return base::fail_errno(errno, "cannot make a pipe");
  Fd go_read(go[0]), go_write(go[1]);
  const pid_t self = getpid();
  const pid_t helper = fork();
  if (helper < 0) return base::fail_errno(errno, "cannot fork");
  if (helper == 0) {
    go_write.reset();
    char byte;
    const bool good = read(go_read.get(), &byte, 1) == 1 && write_map(self, "uid_map", id_base) &&
                      write_map(self, "gid_map", id_base);
    _exit(good ? 0 : 1);
  }
  const int made =
      unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS);
  const int why = errno;
  if (made == 0) {
    while (write(go_write.get(), "x", 1) < 0 && errno == EINTR) {
    }
  }
  go_write.reset();
  int status = 0;
  while (waitpid(helper, &status, 0) < 0 && errno == EINTR) {
  }
  if (made != 0) return base::fail_errno(why, "cannot make a user namespace");
  if (status != 0)
    return base::fail(base::Errc::Internal,
                      fmt::format("cannot map the ids {} to {}", id_base, id_base + kIds - 1));
  if (setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0 || setgroups(0, nullptr) != 0) {
    return base::fail_errno(errno, "cannot become root of the user namespace");
  }
  return {};
}

base::Result<> keep_only_file_rights(const UnpackLimits& limits) {
  if (fchdir(kUnpackTargetFd) != 0 || chroot(".") != 0)
    return base::fail_errno(errno, "cannot make the layer's folder the root");
  const auto limit = [](auto what, std::uint64_t value) {
    const rlimit both{value, value};
    return setrlimit(what, &both) == 0;
  };
  if (!limit(RLIMIT_CORE, 0) ||
      !limit(RLIMIT_FSIZE, std::max<std::uint64_t>(limits.bytes_max, 1 << 20)) ||
      !limit(RLIMIT_NOFILE, 512) || !limit(RLIMIT_NPROC, 0)) {
    return base::fail_errno(errno, "cannot set limits");
  }
#if !defined(__SANITIZE_ADDRESS__) && !__has_feature(address_sanitizer) && \
    !__has_feature(thread_sanitizer)
  // A sanitizer reserves the address space for its shadow.
  constexpr std::uint64_t kMemoryBytesMax = 2ull << 30;
  if (!limit(RLIMIT_AS, kMemoryBytesMax)) return base::fail_errno(errno, "cannot set limits");
#endif
  constexpr unsigned kKept[] = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_SETFCAP};
  std::uint64_t kept = 0;
  for (const unsigned capability : kKept) kept |= 1ull << capability;
  for (unsigned capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability) {
    if (!(kept >> capability & 1) && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0)
      return base::fail_errno(errno, "cannot drop a capability");
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  for (int half = 0; half < 2; ++half)
    data[half].effective = data[half].permitted = std::uint32_t(kept >> (32 * half));
  if (syscall(SYS_capset, &header, data) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return base::fail_errno(errno, "cannot drop capabilities");
  return {};
}

base::Result<UnpackReport> work() {
  // If whoever wants the layer goes away, so do we.
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  TRY(const base::Bytes bytes, read_all(kUnpackRequestFd));
  TRY(const UnpackerRequest request, decode_unpacker_request(bytes));
  close(kUnpackRequestFd);
  if (request.id_base == 0)
    return base::fail(base::Errc::InvalidArgument,
                      "the unpacker does not write as the machine's root");
  umask(0);
  if (!setlocale(LC_CTYPE, "C.UTF-8"))
    return base::fail(base::Errc::Unsupported, "the C library has no C.UTF-8 locale");
  std::vector<Fd> views;
  std::vector<ParentLayer> parents;
  for (std::size_t i = 0; i < request.parents.size(); ++i) {
    Fd given(kUnpackParentsFd + int(i));
    TRY(Fd view, read_only_view(given.get()));
    parents.push_back({view.get(), request.parents[i]});
    views.push_back(std::move(view));
  }
  TRY_DO(enter_namespaces(request.id_base));
  // Changing ids forgets it.
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  TRY_DO(keep_only_file_rights(request.limits));
  return unpack_layer(kUnpackBlobFd, kUnpackTargetFd, request.limits, request.diff_id, parents);
}

}  // namespace

int unpacker_main() {
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);  // a write beyond the limit fails instead
  const auto outcome = work();
  return write_all(kUnpackOutcomeFd, encode_unpack_outcome(outcome)) && outcome ? 0 : 1;
}

}  // namespace hypermesh
