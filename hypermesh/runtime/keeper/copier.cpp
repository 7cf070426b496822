#include "runtime/keeper/copier.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>

namespace hypermesh::keeper {
namespace {

using base::Errc;

constexpr std::size_t kBlockBytes = 64u << 10;
constexpr std::uint64_t kEntriesMax = 10'000'000;
// Names travel as the bytes that they are: converting them would load tables from the container's
// folders.
constexpr const char* kNames = "hdrcharset=BINARY";

struct FreeReader {
  void operator()(archive* a) const { ::archive_read_free(a); }
};
struct FreeWriter {
  void operator()(archive* a) const { ::archive_write_free(a); }
};
struct FreeEntry {
  void operator()(archive_entry* e) const { ::archive_entry_free(e); }
};
using Reader = std::unique_ptr<archive, FreeReader>;
using Writer = std::unique_ptr<archive, FreeWriter>;

std::unexpected<base::Error> problem(archive* a, std::string_view what) {
  const char* text = ::archive_error_string(a);
  const int number = ::archive_errno(a);
  const Errc code = number > 0 ? base::errno_error(number, "").code : Errc::InvalidArgument;
  return base::fail(code, fmt::format("{}: {}", what, text ? text : "unknown error"));
}

base::Result<> copy_data(archive* from, archive* to, std::string_view name) {
  for (;;) {
    const void* block = nullptr;
    std::size_t size = 0;
    la_int64_t offset = 0;
    const int read = ::archive_read_data_block(from, &block, &size, &offset);
    if (read == ARCHIVE_EOF) return {};
    if (read < ARCHIVE_WARN) return problem(from, name);
    if (::archive_write_data_block(to, block, size, offset) < ARCHIVE_WARN)
      return problem(to, name);
  }
}

base::Result<> copy_stream(archive* from, archive* to, std::string_view name) {
  std::array<char, kBlockBytes> block;
  for (;;) {
    const la_ssize_t count = ::archive_read_data(from, block.data(), block.size());
    if (count == 0) return {};
    if (count < 0) return problem(from, name);
    if (::archive_write_data(to, block.data(), static_cast<std::size_t>(count)) < 0)
      return problem(to, name);
  }
}

/// "/etc/app.conf" goes as "app.conf", "/" and "/etc/." as what they hold.
std::pair<std::string, std::string> split_path(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  if (path.empty()) path = ".";
  const std::size_t slash = path.rfind('/');
  std::string name = path.substr(slash == path.npos ? 0 : slash + 1);
  std::string folder = slash == path.npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  if (name.empty() || name == "." || name == "..") return {path, "."};
  return {folder, name};
}

base::Result<> copy_out(const CopyTask& task, int data_fd) {
  const auto [folder, name] = split_path(task.path);
  if (::chdir(folder.c_str()) != 0)
    return base::fail_errno(errno, fmt::format("cannot enter {}", folder));
  if (::access(name.c_str(), F_OK) != 0) {
    char target[1];
    if (::readlink(name.c_str(), target, sizeof target) < 0)
      return base::fail_errno(errno, task.path);
  }
  const Reader disk(::archive_read_disk_new());
  const Writer tar(::archive_write_new());
  ::archive_read_disk_set_symlink_physical(disk.get());
  ::archive_read_disk_set_behavior(
      disk.get(), ARCHIVE_READDISK_NO_XATTR | ARCHIVE_READDISK_NO_ACL | ARCHIVE_READDISK_NO_FFLAGS);
  ::archive_write_set_format_pax_restricted(tar.get());
  ::archive_write_set_options(tar.get(), kNames);
  ::archive_write_set_bytes_in_last_block(tar.get(), 1);
  if (::archive_write_open_fd(tar.get(), data_fd) != ARCHIVE_OK)
    return problem(tar.get(), "the stream");
  if (::archive_read_disk_open(disk.get(), name.c_str()) != ARCHIVE_OK)
    return problem(disk.get(), task.path);
  for (;;) {
    const std::unique_ptr<archive_entry, FreeEntry> entry(::archive_entry_new());
    const int next = ::archive_read_next_header2(disk.get(), entry.get());
    if (next == ARCHIVE_EOF) break;
    if (next < ARCHIVE_WARN) return problem(disk.get(), task.path);
    ::archive_read_disk_descend(disk.get());
    const std::string path = ::archive_entry_pathname(entry.get());
    const auto type = ::archive_entry_filetype(entry.get());
    if (type != AE_IFREG && type != AE_IFDIR && type != AE_IFLNK)
      continue;  // sockets, pipes and devices are no files
    if (::archive_write_header(tar.get(), entry.get()) < ARCHIVE_WARN)
      return problem(tar.get(), path);
    if (::archive_entry_size(entry.get()) > 0) {
      if (auto copied = copy_stream(disk.get(), tar.get(), path); !copied) return copied;
    }
  }
  if (::archive_write_close(tar.get()) != ARCHIVE_OK) return problem(tar.get(), "the stream");
  return {};
}

base::Result<> copy_in(const CopyTask& task, int data_fd) {
  const std::string folder = task.path.empty() ? "/" : task.path;
  if (::chdir(folder.c_str()) != 0)
    return base::fail_errno(errno, fmt::format("cannot enter {}", folder));
  const Reader tar(::archive_read_new());
  const Writer disk(::archive_write_disk_new());
  ::archive_read_support_format_tar(tar.get());
  ::archive_read_set_options(tar.get(), kNames);
  int flags = ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_UNLINK |
              ARCHIVE_EXTRACT_SECURE_NODOTDOT | ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS |
              ARCHIVE_EXTRACT_SECURE_SYMLINKS;
  ::archive_write_disk_set_options(disk.get(), flags);
  if (::archive_read_open_fd(tar.get(), data_fd, kBlockBytes) != ARCHIVE_OK)
    return problem(tar.get(), "the stream");
  for (std::uint64_t entries = 0;; ++entries) {
    archive_entry* entry = nullptr;
    const int next = ::archive_read_next_header(tar.get(), &entry);
    if (next == ARCHIVE_EOF) break;
    if (next < ARCHIVE_WARN) return problem(tar.get(), "the stream is no tar archive");
    if (entries >= kEntriesMax)
      return base::fail(Errc::ResourceExhausted, fmt::format("more than {} files", kEntriesMax));
    const char* name = ::archive_entry_pathname(entry);
    if (!name) return base::fail(Errc::InvalidArgument, "an entry of the archive has no name");
    const std::string path = name;
    if (::archive_write_header(disk.get(), entry) < ARCHIVE_WARN) return problem(disk.get(), path);
    if (::archive_entry_size(entry) > 0) {
      if (auto copied = copy_data(tar.get(), disk.get(), path); !copied) return copied;
    }
    if (::archive_write_finish_entry(disk.get()) < ARCHIVE_WARN) return problem(disk.get(), path);
  }
  if (::archive_write_close(disk.get()) != ARCHIVE_OK) return problem(disk.get(), task.path);
  return {};
}

/// Of those that this process has.
base::Result<> keep_capabilities(std::uint64_t kept) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  if (::syscall(SYS_capget, &header, sets.data()) != 0)
    return base::fail_errno(errno, "cannot read capabilities");
  for (std::size_t i = 0; i < sets.size(); ++i) {
    sets[i].permitted &= static_cast<std::uint32_t>(kept >> 32 * i);
    sets[i].effective = sets[i].permitted;
    sets[i].inheritable = 0;
  }
  if (::syscall(SYS_capset, &header, sets.data()) != 0)
    return base::fail_errno(errno, "cannot give up capabilities");
  return {};
}

}  // namespace

base::Result<> enter_container(const CopyTask& task, int process_fd) {
  const int kinds = CLONE_NEWNS | (task.machine_users ? 0 : CLONE_NEWUSER);
  if (::setns(process_fd, kinds) != 0) return base::fail_errno(errno, "cannot enter the container");
  ::close(process_fd);
  if (::setgroups(0, nullptr) != 0 || ::setresgid(task.gid, task.gid, task.gid) != 0 ||
      ::setresuid(task.uid, task.uid, task.uid) != 0) {
    return base::fail_errno(errno, "cannot become the container's user");
  }
  // Whoever is not root has none by now.
  if (task.uid == 0) TRY_DO(keep_capabilities(task.capabilities));
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  return {};
}

base::Result<> copy_files(const CopyTask& task, int data_fd) {
  return task.out ? copy_out(task, data_fd) : copy_in(task, data_fd);
}

}  // namespace hypermesh::keeper
