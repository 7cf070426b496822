#include "consensus/log/disk_files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <memory>

namespace hypermesh::consensus {
namespace {

constexpr std::string_view kNewSuffix = ".new";
constexpr std::size_t kPageBytes = 4096;
// Reserved blocks become written ones with an entry in the file system's journal. Zeros are
// written ahead by this much, so that few syncs wait for that entry.
constexpr std::uint64_t kZerosAheadBytes = 1u << 20;

class Fd {
 public:
  Fd() = default;
  explicit Fd(int number) : number_(number) {}
  Fd(Fd&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Fd() {
    if (number_ >= 0) ::close(number_);
  }
  int get() const { return number_; }
  bool valid() const { return number_ >= 0; }

 private:
  int number_ = -1;
};

/// Writes `bytes` and then `zeros` zeros. Returns errno or 0.
int write_all(int fd, std::uint64_t offset, base::BytesView bytes, std::uint64_t zeros) {
  static constexpr std::array<std::uint8_t, 64 * 1024> kZeros{};
  while (!bytes.empty() || zeros > 0) {
    std::array<iovec, 17> parts{};
    int count = 0;
    if (!bytes.empty())
      parts[static_cast<std::size_t>(count++)] = {const_cast<std::uint8_t*>(bytes.data()),
                                                  bytes.size()};
    std::uint64_t left = zeros;
    for (; left > 0 && count < static_cast<int>(parts.size()); ++count) {
      const std::uint64_t piece = std::min<std::uint64_t>(left, kZeros.size());
      parts[static_cast<std::size_t>(count)] = {const_cast<std::uint8_t*>(kZeros.data()), piece};
      left -= piece;
    }
    const ssize_t done = ::pwritev(fd, parts.data(), count, static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return done < 0 ? errno : ENOSPC;
    const auto written = static_cast<std::uint64_t>(done);
    offset += written;
    const std::uint64_t of_bytes = std::min<std::uint64_t>(written, bytes.size());
    bytes = bytes.subspan(of_bytes);
    zeros -= written - of_bytes;
  }
  return 0;
}

/// Writes past the page cache, on disk when a call returns: about half the work of write and sync
/// through it. Blocks are written whole, so the last one is kept and written again.
class DirectFile {
 public:
  /// Not valid where the file system has no such writes.
  void open(int folder, const std::string& name, base::BytesView head) {
    file_ =
        Fd(::openat(folder, name.c_str(), O_WRONLY | O_DIRECT | O_DSYNC | O_CLOEXEC | O_NOFOLLOW));
    end_ = 0;
    tail_.clear();
    keep_tail(head);
  }
  bool valid() const { return file_.valid(); }

  /// Behind what was written last. Returns errno or 0.
  int write(std::uint64_t offset, base::BytesView bytes, std::uint64_t zeros) {
    BASE_ASSERT(offset == end_, "records follow each other");
    const std::size_t begin = tail_.size();
    const std::uint64_t whole =
        (begin + bytes.size() + zeros + kPageBytes - 1) / kPageBytes * kPageBytes;
    if (const int error = reserve(whole); error != 0) return error;
    std::uint8_t* const out = buffer_.get();
    std::ranges::copy(tail_, out);
    std::ranges::copy(bytes, out + begin);
    std::fill(out + begin + bytes.size(), out + whole, std::uint8_t{0});
    for (std::uint64_t done = 0; done < whole;) {
      const ssize_t count = ::pwrite(file_.get(), out + done, whole - done,
                                     static_cast<off_t>(offset - begin + done));
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return count < 0 ? errno : ENOSPC;
      done += static_cast<std::uint64_t>(count);
    }
    keep_tail(bytes);
    return 0;
  }

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };

  // All but whole blocks of what is there now.
  void keep_tail(base::BytesView bytes) {
    end_ += bytes.size();
    const std::size_t used = end_ % kPageBytes;
    if (used <= bytes.size()) tail_.clear();
    const auto added = bytes.last(std::min(used, bytes.size()));
    tail_.insert(tail_.end(), added.begin(), added.end());
  }
  int reserve(std::size_t bytes) {
    if (bytes <= room_) return 0;
    void* memory = nullptr;
    if (const int error = ::posix_memalign(&memory, kPageBytes, bytes); error != 0) return error;
    buffer_.reset(static_cast<std::uint8_t*>(memory));
    room_ = bytes;
    return 0;
  }

  Fd file_;
  std::uint64_t end_ = 0;
  base::Bytes tail_;  // The last block, as far as it is used.
  std::unique_ptr<std::uint8_t, Free> buffer_;
  std::size_t room_ = 0;
};

class DiskFiles final : public LogFiles {
 public:
  DiskFiles(std::filesystem::path folder, Fd folder_fd)
      : folder_(std::move(folder)), folder_fd_(std::move(folder_fd)) {}

  std::string path(const std::string& name) const override { return (folder_ / name).string(); }

  base::Result<std::vector<std::string>> list() const override {
    std::error_code error;
    std::vector<std::string> names;
    for (auto it = std::filesystem::directory_iterator(folder_, error);
         !error && it != std::filesystem::directory_iterator(); it.increment(error))
      names.push_back(it->path().filename().string());
    if (error) return refuse(error.value(), "cannot list", folder_.string());
    std::ranges::sort(names);
    return names;
  }

  base::Result<Content> read(const std::string& name, std::uint64_t bytes_max) const override {
    const Fd file(::openat(folder_fd_.get(), name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    struct stat status{};
    if (!file.valid() || ::fstat(file.get(), &status) != 0)
      return refuse(errno, "cannot open", path(name));
    Content content;
    content.bytes.resize(std::min(static_cast<std::uint64_t>(status.st_size), bytes_max));
    for (std::size_t at = 0; at < content.bytes.size();) {
      const ssize_t count = ::pread(file.get(), content.bytes.data() + at,
                                    content.bytes.size() - at, static_cast<off_t>(at));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0 && errno == EIO) {
        at = skip_unreadable(content, at);
      } else if (count < 0) {
        return refuse(errno, "cannot read", path(name));
      } else if (count == 0) {
        content.bytes.resize(at);
      } else {
        at += static_cast<std::size_t>(count);
      }
    }
    return content;
  }

  base::Result<> create(const std::string& name, base::BytesView head,
                        std::uint64_t size) override {
    const std::string aside = name + std::string(kNewSuffix);
    ::unlinkat(folder_fd_.get(), aside.c_str(), 0);
    Fd file(::openat(folder_fd_.get(), aside.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!file.valid()) return refuse(errno, "cannot make", path(name));
    if (const int error = fill(file.get(), head, size); error != 0) {
      // Asked before the file goes: what is free while it is there.
      auto refused = refuse(error, "cannot make", path(name));
      ::unlinkat(folder_fd_.get(), aside.c_str(), 0);
      return refused;
    }
    if (::renameat(folder_fd_.get(), aside.c_str(), folder_fd_.get(), name.c_str()) != 0 ||
        ::fsync(folder_fd_.get()) != 0)
      return refuse(errno, "cannot make", path(name));
    active_ = Active{.name = name, .file = std::move(file), .size = size, .zeroed = head.size()};
    direct_ = {};
    if (size % kPageBytes == 0) direct_.open(folder_fd_.get(), name, head);
    return {};
  }

  base::Result<> write(const std::string& name, std::uint64_t offset,
                       base::BytesView bytes) override {
    BASE_ASSERT(active_.name == name && offset + bytes.size() <= active_.size,
                "records go to the file made last");
    const std::uint64_t end = offset + bytes.size();
    std::uint64_t zeros = 0;
    if (end > active_.zeroed) {
      const std::uint64_t ahead = (end / kZerosAheadBytes + 1) * kZerosAheadBytes;
      zeros = std::min(ahead, active_.size) - end;
    }
    const int error = direct_.valid() ? direct_.write(offset, bytes, zeros)
                                      : write_all(active_.file.get(), offset, bytes, zeros);
    if (error != 0) return refuse(error, "cannot write", path(name));
    active_.zeroed = std::max(active_.zeroed, end + zeros);
    return {};
  }

  base::Result<> sync(const std::string& name) override {
    BASE_ASSERT(active_.name == name, "records go to the file made last");
    if (direct_.valid()) return {};
    if (::fdatasync(active_.file.get()) != 0)
      return refuse(errno, "cannot bring to disk", path(name));
    return {};
  }

  base::Result<> cut(const std::string& name, std::uint64_t size) override {
    const Fd file(::openat(folder_fd_.get(), name.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!file.valid() || ::ftruncate(file.get(), static_cast<off_t>(size)) != 0 ||
        ::fsync(file.get()) != 0)
      return refuse(errno, "cannot cut", path(name));
    return {};
  }

  base::Result<> remove(const std::string& name) override {
    if (::unlinkat(folder_fd_.get(), name.c_str(), 0) != 0 && errno != ENOENT)
      return refuse(errno, "cannot remove", path(name));
    return {};
  }

  /// What was written before this process, to disk and out of memory.
  base::Result<> settle() {
    TRY(const auto names, list());
    for (const std::string& name : names) {
      if (name.ends_with(kNewSuffix)) {
        TRY_DO(remove(name));
        continue;
      }
      if (!parse_segment_name(name)) continue;
      const Fd file(::openat(folder_fd_.get(), name.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
      if (!file.valid() || ::fdatasync(file.get()) != 0) {
        return std::unexpected(
            base::with_hint(refuse(errno, "cannot bring to disk", path(name)).error(),
                            "what was last written there may be lost; start again to see what is"));
      }
      ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED);
    }
    return {};
  }

 private:
  struct Active {
    std::string name;
    Fd file;
    std::uint64_t size = 0;
    std::uint64_t zeroed = 0;  // Up to there blocks are written.
  };

  static int fill(int fd, base::BytesView head, std::uint64_t size) {
    int error = 0;
    do {
      error = ::fallocate(fd, 0, 0, static_cast<off_t>(size)) == 0 ? 0 : errno;
    } while (error == EINTR);
    if (error == EOPNOTSUPP) {
      error = write_all(fd, 0, head, size - head.size());
    } else if (error == 0) {
      error = write_all(fd, 0, head, 0);
    }
    if (error == 0 && ::fsync(fd) != 0) error = errno;
    return error;
  }

  static std::size_t skip_unreadable(Content& content, std::size_t at) {
    const std::size_t end = std::min(content.bytes.size(), (at / kPageBytes + 1) * kPageBytes);
    content.unreadable.push_back({.offset = at, .bytes = end - at});
    return end;
  }

  std::unexpected<base::Error> refuse(int error, std::string_view what,
                                      const std::string& where) const {
    if (error != ENOSPC && error != EDQUOT && error != EFBIG)
      return base::fail_errno(error, fmt::format("{} {}", what, where));
    struct statvfs space{};
    ::fstatvfs(folder_fd_.get(), &space);
    const std::uint64_t free = std::uint64_t{space.f_bavail} * space.f_frsize;
    auto full =
        base::errno_error(error, fmt::format("{} {}: {} bytes are free there", what, where, free));
    full.code = base::Errc::ResourceExhausted;
    return std::unexpected(base::with_hint(
        std::move(full), error == ENOSPC
                             ? fmt::format("free space on the disk of {}", folder_.string())
                             : "raise the quota or the file size limit (ulimit -f) of this user"));
  }

  std::filesystem::path folder_;
  Fd folder_fd_;
  Active active_;
  DirectFile direct_;  // Of the active file.
};

}  // namespace

base::Result<std::unique_ptr<LogFiles>> open_disk_files(std::filesystem::path folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return base::fail_errno(error.value(), fmt::format("cannot make {}", folder.string()));
  Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return base::fail_errno(errno, fmt::format("cannot open {}", folder.string()));
  ::fchmod(fd.get(), 0700);
  const Fd above(::openat(fd.get(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!above.valid() || ::fsync(above.get()) != 0)
    return base::fail_errno(errno, fmt::format("cannot bring {} to disk", folder.string()));
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    return std::unexpected(base::with_hint(
        base::errno_error(errno, fmt::format("another process uses {}", folder.string())),
        "stop that process, or give this one a data folder of its own"));
  }
  auto files = std::make_unique<DiskFiles>(std::move(folder), std::move(fd));
  TRY_DO(files->settle());
  return files;
}

}  // namespace hypermesh::consensus
