#include "access/token_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace nexus {
namespace {

constexpr std::size_t kFileBytesMax = 1u << 20;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

std::string make_token(base::Rng& rng) {
  std::array<std::uint8_t, 32> bytes{};
  rng.fill(bytes);
  return "hm" + base::to_base32(bytes);
}

base::Result<> write_private_file(const std::filesystem::path& path, std::string_view content) {
  const std::filesystem::path fresh = path.string() + ".new";
  ::unlink(fresh.c_str());
  {
    const Descriptor file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (file.get() < 0) return base::fail_errno(errno, fmt::format("making {}", path.string()));
    while (!content.empty()) {
      const ssize_t count = ::write(file.get(), content.data(), content.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return base::fail_errno(errno, fmt::format("writing {}", path.string()));
      content.remove_prefix(static_cast<std::size_t>(count));
    }
    if (::fsync(file.get()) != 0) {
      return base::fail_errno(errno, fmt::format("writing {} to disk", path.string()));
    }
  }
  if (::rename(fresh.c_str(), path.c_str()) != 0) {
    return base::fail_errno(errno, fmt::format("making {}", path.string()));
  }
  const Descriptor folder(::open(path.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() >= 0) ::fsync(folder.get());
  return {};
}

base::Result<std::optional<std::string>> read_private_file(const std::filesystem::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (file.get() < 0 && errno == ENOENT) return std::nullopt;
  if (file.get() < 0) return base::fail_errno(errno, fmt::format("reading {}", path.string()));
  struct stat info{};
  if (::fstat(file.get(), &info) != 0) return base::fail_errno(errno, path.string());
  if ((info.st_mode & 077) != 0) {
    return std::unexpected(base::with_hint(
        base::make_error(
            base::Errc::FailedPrecondition,
            fmt::format("others can read {} (mode {:o})", path.string(), info.st_mode & 0777)),
        fmt::format("chmod 600 {}", path.string())));
  }
  if (static_cast<std::size_t>(info.st_size) > kFileBytesMax) {
    return base::fail(base::Errc::ResourceExhausted,
                      fmt::format("{} is larger than {} bytes", path.string(), kFileBytesMax));
  }
  std::string content(static_cast<std::size_t>(info.st_size), '\0');
  std::size_t done = 0;
  while (done < content.size()) {
    const ssize_t count = ::read(file.get(), content.data() + done, content.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return base::fail_errno(errno, fmt::format("reading {}", path.string()));
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  content.resize(done);
  return content;
}

base::Result<TokenTable> open_token_file(const std::filesystem::path& path, base::Rng& rng) {
  TRY(std::optional<std::string> content, read_private_file(path));
  if (!content) {
    content = fmt::format("{} admin admin\n", make_token(rng));
    TRY_DO(write_private_file(path, *content));
  }
  auto table = TokenTable::parse(*content);
  base::wipe({reinterpret_cast<std::uint8_t*>(content->data()), content->size()});
  if (!table) return std::unexpected(base::wrap(std::move(table).error(), path.string()));
  return table;
}

}  // namespace nexus
