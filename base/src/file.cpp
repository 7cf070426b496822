#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

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

}  // namespace

Result<std::string> read_file(const std::filesystem::path& path, std::size_t bytes_max) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.number < 0) return fail_errno(errno, fmt::format("cannot open {}", path.string()));
  std::string content;
  char buffer[16 * 1024];
  for (;;) {
    const ssize_t count = ::read(file.number, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno(errno, fmt::format("cannot read {}", path.string()));
    if (count == 0) return content;
    content.append(buffer, static_cast<std::size_t>(count));
    if (content.size() > bytes_max) {
      return fail(Errc::ResourceExhausted,
                  fmt::format("{} is larger than {} bytes", path.string(), bytes_max));
    }
  }
}

}  // namespace base
