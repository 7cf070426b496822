#include "runtime/images/beneath.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/syscall.h>

#include <cerrno>
#include <memory>

namespace hypermesh {
namespace {

constexpr unsigned kDepthMax = 1024;  // of folders that we made: kLayerPathDepthMax and some

std::unexpected<base::Error> cannot(const std::string& name) {
  return base::fail_errno(errno, fmt::format("cannot remove {}", name));
}

base::Result<> remove_tree(int folder_fd, const std::string& name, unsigned depth) {
  if (unlinkat(folder_fd, name.c_str(), 0) == 0) return {};
  if (errno != EISDIR) return cannot(name);
  if (depth > kDepthMax)
    return base::fail(
        base::Errc::Internal,
        fmt::format("cannot remove {}: it is deeper than {} folders", name, kDepthMax));
  const int fd = open_beneath(folder_fd, name.c_str(), O_RDONLY | O_DIRECTORY);
  if (fd < 0) return cannot(name);
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(fdopendir(fd), closedir);
  if (!dir) return cannot(name);
  // A listing may miss entries while others go away: again until it is empty.
  while (unlinkat(folder_fd, name.c_str(), AT_REMOVEDIR) != 0) {
    if (errno != ENOTEMPTY) return cannot(name);
    rewinddir(dir.get());
    std::size_t removed = 0;
    while (const dirent* entry = readdir(dir.get())) {
      const std::string child = entry->d_name;
      if (child == "." || child == "..") continue;
      TRY_DO(remove_tree(fd, child, depth + 1));
      ++removed;
    }
    if (removed == 0)
      return base::fail(base::Errc::Internal,
                        fmt::format("cannot remove {}: it is not empty and lists nothing", name));
  }
  return {};
}

}  // namespace

int open_beneath(int folder_fd, const char* name, std::uint64_t flags) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
  return int(syscall(SYS_openat2, folder_fd, name, &how, sizeof how));
}

base::Result<> remove_beneath(int folder_fd, const std::string& name) {
  return remove_tree(folder_fd, name, 0);
}

}  // namespace hypermesh
