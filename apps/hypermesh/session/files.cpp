#include "session/files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <utility>

namespace cli {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

base::Result<std::string> read_descriptor(int fd, std::string_view what, std::size_t bytes_max) {
  std::string text;
  std::string piece(64 * 1024, '\0');
  for (;;) {
    const ssize_t count = read(fd, piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return base::fail_errno(errno, fmt::format("cannot read {}", what));
    if (count == 0) return text;
    text.append(piece, 0, static_cast<std::size_t>(count));
    if (text.size() > bytes_max)
      return base::fail(base::Errc::ResourceExhausted,
                        fmt::format("{} has more than {} bytes", what, bytes_max));
  }
}

base::Result<std::string> read_file(const std::string& path, std::size_t bytes_max) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return base::fail_errno(errno, fmt::format("cannot read {}", path));
  return read_descriptor(file.get(), path, bytes_max);
}

base::Result<> write_private_file(const std::string& path, std::string_view content) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  std::error_code error;
  for (std::filesystem::path part; const auto& step : folder) {
    part /= step;
    if (std::filesystem::create_directory(part, error))
      std::filesystem::permissions(part, std::filesystem::perms::owner_all, error);
    if (error && !std::filesystem::is_directory(part))
      return base::fail_errno(error.value(), fmt::format("cannot make {}", part.string()));
  }
  const std::string next = fmt::format("{}.{}", path, getpid());
  const Descriptor file(open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (file.get() < 0) return base::fail_errno(errno, fmt::format("cannot write {}", next));
  while (!content.empty()) {
    const ssize_t written = write(file.get(), content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const int reason = errno;
      unlink(next.c_str());
      return base::fail_errno(reason, fmt::format("cannot write {}", next));
    }
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  if (fsync(file.get()) != 0 || rename(next.c_str(), path.c_str()) != 0) {
    const int reason = errno;
    unlink(next.c_str());
    return base::fail_errno(reason, fmt::format("cannot write {}", path));
  }
  return {};
}

}  // namespace cli
