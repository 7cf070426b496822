#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <base/file.hpp>
#include <cerrno>

namespace base {

namespace {

struct Descriptor {
  int number;
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
};

/// Into one piece of memory when it is no longer than `expected`: no copy of a secret is left
/// behind.
Result<std::string> read_all(const Descriptor& file, const std::filesystem::path& path,
                             std::size_t expected, std::size_t bytes_max) {
  constexpr std::size_t kPieceBytes = 16 * 1024;
  std::string content;
  content.reserve(std::min(expected, bytes_max) + kPieceBytes);
  for (;;) {
    const std::size_t done = content.size();
    content.resize(done + kPieceBytes);
    const ssize_t count = ::read(file.number, content.data() + done, kPieceBytes);
    const int reason = errno;
    content.resize(done + static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    if (count < 0 && reason == EINTR) continue;
    if (count < 0) return fail_errno(reason, fmt::format("cannot read {}", path.string()));
    if (count == 0) return content;
    if (content.size() > bytes_max) {
      return fail(Errc::ResourceExhausted,
                  fmt::format("{} is larger than {} bytes", path.string(), bytes_max));
    }
  }
}

Result<> write_new(const std::filesystem::path& path, std::string_view content) {
  const Descriptor file{::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
  if (file.number < 0) return fail_errno(errno, fmt::format("cannot make {}", path.string()));
  while (!content.empty()) {
    const ssize_t count = ::write(file.number, content.data(), content.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno(errno, fmt::format("cannot write {}", path.string()));
    content.remove_prefix(static_cast<std::size_t>(count));
  }
  if (::fsync(file.number) != 0)
    return fail_errno(errno, fmt::format("cannot bring {} to disk", path.string()));
  return {};
}

}  // namespace

Result<std::string> read_file(const std::filesystem::path& path, std::size_t bytes_max) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.number < 0) return fail_errno(errno, fmt::format("cannot open {}", path.string()));
  return read_all(file, path, 0, bytes_max);
}

Result<std::optional<std::string>> read_private_file(const std::filesystem::path& path,
                                                     std::size_t bytes_max) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)};
  if (file.number < 0 && errno == ENOENT) return std::nullopt;
  if (file.number < 0) return fail_errno(errno, fmt::format("cannot open {}", path.string()));
  struct stat status{};
  if (::fstat(file.number, &status) != 0)
    return fail_errno(errno, fmt::format("cannot look at {}", path.string()));
  if ((status.st_mode & 077) != 0) {
    return std::unexpected(
        with_hint(make_error(Errc::FailedPrecondition,
                             fmt::format("{} is to be private and others may use it (mode {:04o})",
                                         path.string(), status.st_mode & 07777)),
                  fmt::format("chmod 600 {}", path.string())));
  }
  return read_all(file, path, static_cast<std::size_t>(status.st_size), bytes_max);
}

Result<> write_private_file(const std::filesystem::path& path, std::string_view content) {
  const std::filesystem::path aside = path.string() + ".new";
  ::unlink(aside.c_str());
  auto written = write_new(aside, content);
  if (written && ::rename(aside.c_str(), path.c_str()) != 0)
    written = fail_errno(errno, fmt::format("cannot make {}", path.string()));
  if (!written) {
    ::unlink(aside.c_str());
    return written;
  }
  const std::filesystem::path parent = path.has_parent_path() ? path.parent_path() : ".";
  const Descriptor folder{::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (folder.number < 0 || ::fsync(folder.number) != 0)
    return fail_errno(errno, fmt::format("cannot bring {} to disk", parent.string()));
  return {};
}

}  // namespace base
