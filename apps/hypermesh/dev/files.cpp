#include "dev/files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <utility>
#include <vector>

namespace cli::dev {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kReadBytesMax = 4u << 20;
constexpr std::size_t kTailBytesMax = 64u << 10;

base::Result<> write_all(int fd, std::string_view text, const fs::path& file) {
  while (!text.empty()) {
    const ssize_t wrote = ::write(fd, text.data(), text.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return base::fail_errno(errno, fmt::format("cannot write {}", file.string()));
    text.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return {};
}

// Containers make folders as deep as they like; an open one costs a descriptor. Deeper ones are
// moved up first.
constexpr int kDepthMax = 32;

class Emptier {
 public:
  Emptier(int top, dev_t device) : top_(top), device_(device) {}

  /// Removes what is in the open folder.
  base::Result<> empty(UniqueFd fd, const fs::path& path, int depth) {
    DIR* entries = ::fdopendir(fd.get());
    if (entries == nullptr)
      return base::fail_errno(errno, fmt::format("cannot read {}", path.string()));
    const int folder = fd.release();
    base::Result<> outcome;
    while (outcome) {
      const dirent* entry = ::readdir(entries);
      if (entry == nullptr) break;
      const std::string name = entry->d_name;
      if (name != "." && name != "..") outcome = remove(folder, name, path / name, depth);
    }
    ::closedir(entries);
    return outcome;
  }
  bool moved_some() { return std::exchange(moved_some_, false); }

 private:
  base::Result<> remove(int folder, const std::string& name, const fs::path& path, int depth) {
    if (::unlinkat(folder, name.c_str(), 0) == 0 || errno == ENOENT) return {};
    if (errno != EISDIR && errno != EPERM && errno != EBUSY) return failed(path);
    UniqueFd inner(::openat(folder, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    struct stat status{};
    if (!inner || ::fstat(inner.get(), &status) != 0) return failed(path);
    if (status.st_dev != device_) {
      return base::fail(base::Errc::FailedPrecondition,
                        fmt::format("{} is mounted; it is not removed", path.string()));
    }
    if (depth >= kDepthMax) {
      moved_some_ = true;
      // An earlier, interrupted removal may have left some of these names.
      while (::renameat(folder, name.c_str(), top_, fmt::format(".removed-{}", ++moved_).c_str()) !=
             0) {
        if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR) return failed(path);
      }
      return {};
    }
    TRY_DO(empty(std::move(inner), path, depth + 1));
    if (::unlinkat(folder, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) return failed(path);
    return {};
  }
  static base::Result<> failed(const fs::path& path) {
    return base::fail_errno(errno, fmt::format("cannot remove {}", path.string()));
  }

  int top_;
  dev_t device_;
  std::uint64_t moved_ = 0;
  bool moved_some_ = false;
};

}  // namespace

std::string read_text(const fs::path& file) {
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  if (!fd) return text;
  char buffer[16 * 1024];
  while (text.size() < kReadBytesMax) {
    const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    text.append(buffer, static_cast<std::size_t>(got));
  }
  return text;
}

base::Result<> replace_file(const fs::path& file, std::string_view text, mode_t mode) {
  const fs::path fresh = file.string() + ".new";
  {
    const UniqueFd fd(
        ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode));
    if (!fd) return base::fail_errno(errno, fmt::format("cannot make {}", fresh.string()));
    TRY_DO(write_all(fd.get(), text, fresh));
    if (::fchmod(fd.get(), mode) != 0 || ::fsync(fd.get()) != 0) {
      return base::fail_errno(errno, fmt::format("cannot write {}", fresh.string()));
    }
  }
  if (::rename(fresh.c_str(), file.c_str()) != 0) {
    return base::fail_errno(errno, fmt::format("cannot replace {}", file.string()));
  }
  const UniqueFd folder(::open(file.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder || ::fsync(folder.get()) != 0) {
    return base::fail_errno(errno, fmt::format("cannot write {}", file.parent_path().string()));
  }
  return {};
}

base::Result<> make_folder(const fs::path& folder, uid_t owner, gid_t group, mode_t mode) {
  if (::mkdir(folder.c_str(), mode) != 0 && errno != EEXIST) {
    return base::fail_errno(errno, fmt::format("cannot make {}", folder.string()));
  }
  const UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) {
    return base::fail(base::Errc::FailedPrecondition,
                      fmt::format("{} is there but is not a folder", folder.string()));
  }
  if (::fchown(fd.get(), owner, group) != 0 || ::fchmod(fd.get(), mode) != 0) {
    return base::fail_errno(errno, fmt::format("cannot set the owner of {}", folder.string()));
  }
  return {};
}

base::Result<> remove_tree(const fs::path& top) {
  if (::unlink(top.c_str()) == 0 || errno == ENOENT || errno == ENOTDIR) return {};
  const UniqueFd fd(::open(top.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status{};
  if (!fd || ::fstat(fd.get(), &status) != 0) {
    return base::fail_errno(errno, fmt::format("cannot remove {}", top.string()));
  }
  Emptier emptier(fd.get(), status.st_dev);
  do {
    UniqueFd reading(::openat(fd.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!reading) return base::fail_errno(errno, fmt::format("cannot read {}", top.string()));
    TRY_DO(emptier.empty(std::move(reading), top, 0));
  } while (emptier.moved_some());
  if (::rmdir(top.c_str()) != 0 && errno != ENOENT) {
    return base::fail_errno(errno, fmt::format("cannot remove {}", top.string()));
  }
  return {};
}

std::string tail(const fs::path& file, std::uintmax_t offset, std::size_t lines_max) {
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status{};
  if (!fd || ::fstat(fd.get(), &status) != 0) return {};
  const auto size = static_cast<std::uintmax_t>(status.st_size);
  const std::uintmax_t from = std::max(offset, size > kTailBytesMax ? size - kTailBytesMax : 0);
  if (from >= size) return {};
  std::string text(size - from, '\0');
  const ssize_t got = ::pread(fd.get(), text.data(), text.size(), static_cast<off_t>(from));
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  std::size_t start = text.size();
  for (std::size_t lines = 0; lines < lines_max && start != 0; ++lines) {
    const auto newline = text.rfind('\n', start - 1);
    start = newline == std::string::npos ? 0 : newline;
  }
  return text.substr(start == 0 ? 0 : start + 1);
}

base::Result<FileLock> FileLock::take(const fs::path& file, int limit_ms) {
  constexpr timespec kPause{0, 10'000'000};
  for (int waited = 0;; waited += 10) {
    UniqueFd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd) return base::fail_errno(errno, fmt::format("cannot open {}", file.string()));
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) {
      // Its last holder may have removed the file that we have locked.
      struct stat ours{}, named{};
      if (::fstat(fd.get(), &ours) == 0 && ::stat(file.c_str(), &named) == 0 &&
          ours.st_ino == named.st_ino && ours.st_dev == named.st_dev) {
        return FileLock(std::move(fd), file);
      }
      continue;
    }
    if (waited >= limit_ms) {
      return base::fail(
          base::Errc::FailedPrecondition,
          fmt::format("another hm dev is at work in {}", file.parent_path().string()));
    }
    ::nanosleep(&kPause, nullptr);
  }
}

void FileLock::remove() {
  ::unlink(file_.c_str());
}

}  // namespace cli::dev
