#include "state/folder_lock.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <fstream>

namespace nexus {
namespace {

// "4711 (hypermeshd)": what the holder wrote, and what that process is called now.
std::string describe_holder(int fd) {
  char text[32] = {};
  const auto count = ::pread(fd, text, sizeof text - 1, 0);
  int pid = 0;
  if (count <= 0 || std::from_chars(text, text + count, pid).ec != std::errc() || pid <= 0)
    return "another process";
  std::string name;
  std::getline(std::ifstream(fmt::format("/proc/{}/comm", pid)), name);
  return name.empty() ? fmt::format("process {}", pid) : fmt::format("process {} ({})", pid, name);
}

}  // namespace

base::Result<FolderLock> FolderLock::acquire(const std::filesystem::path& folder) {
  std::error_code made;
  std::filesystem::create_directories(folder, made);
  if (made) return base::fail_errno(made.value(), "make the state folder " + folder.string());
  if (::chmod(folder.c_str(), 0700) != 0)
    return base::fail_errno(errno, "protect the state folder " + folder.string());
  const auto path = folder / "lock";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return base::fail_errno(errno, "open " + path.string());
  FolderLock lock(fd);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return base::fail_errno(errno, "lock " + path.string());
    auto error = base::make_error(
        base::Errc::FailedPrecondition,
        fmt::format("the state folder {} is in use by {}", folder.string(), describe_holder(fd)));
    return std::unexpected(
        base::with_hint(std::move(error), "stop that process first, or name another state folder"));
  }
  const std::string pid = fmt::format("{}\n", ::getpid());
  if (::ftruncate(fd, 0) != 0 ||
      ::pwrite(fd, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    return base::fail_errno(errno, "write " + path.string());
  }
  return lock;
}

FolderLock& FolderLock::operator=(FolderLock&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = other.fd_;
    other.fd_ = -1;
  }
  return *this;
}

FolderLock::~FolderLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace nexus
