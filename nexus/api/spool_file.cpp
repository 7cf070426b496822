#include "api/spool_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace nexus::api {
namespace {

constexpr std::size_t kReadBytes = 256 * 1024;
constexpr std::string_view kNameBeginning = "archive-";

base::Result<> write_all(int& fd, const std::filesystem::path& path, base::BytesView bytes) {
  if (fd < 0) fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return base::fail_errno(errno, fmt::format("making {}", path.string()));
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return base::fail_errno(errno, fmt::format("writing {}", path.string()));
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

base::Result<base::Bytes> read_next(int& fd, const std::filesystem::path& path) {
  if (fd < 0) fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return base::fail_errno(errno, fmt::format("reading {}", path.string()));
  base::Bytes bytes(kReadBytes);
  ssize_t count = 0;
  do {
    count = ::read(fd, bytes.data(), bytes.size());
  } while (count < 0 && errno == EINTR);
  if (count < 0) return base::fail_errno(errno, fmt::format("reading {}", path.string()));
  bytes.resize(static_cast<std::size_t>(count));
  return bytes;
}

}  // namespace

base::Result<SpoolFile> SpoolFile::reserve(base::BlockingPool& pool,
                                           const std::filesystem::path& folder, base::Rng& rng) {
  std::error_code code;
  std::filesystem::create_directories(folder, code);
  if (code) return base::fail_errno(code.value(), fmt::format("making {}", folder.string()));
  return SpoolFile(pool, folder / fmt::format("{}{:016x}.tar", kNameBeginning, rng.u64()));
}

void SpoolFile::remove_leftovers(const std::filesystem::path& folder) {
  std::error_code code;
  for (auto entry = std::filesystem::directory_iterator(folder, code);
       !code && entry != std::filesystem::directory_iterator(); entry.increment(code)) {
    if (entry->path().filename().string().starts_with(kNameBeginning))
      ::unlink(entry->path().c_str());
  }
}

SpoolFile::SpoolFile(SpoolFile&& other) noexcept
    : pool_(other.pool_),
      path_(std::exchange(other.path_, {})),
      fd_(std::exchange(other.fd_, -1)) {}

SpoolFile::~SpoolFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!path_.empty()) ::unlink(path_.c_str());
}

base::Task<base::Result<>> SpoolFile::append(base::Bytes bytes) {
  co_return co_await pool_.run(
      [this, bytes = std::move(bytes)] { return write_all(fd_, path_, bytes); });
}

base::Task<base::Result<base::Bytes>> SpoolFile::read_some() {
  co_return co_await pool_.run([this] { return read_next(fd_, path_); });
}

}  // namespace nexus::api
