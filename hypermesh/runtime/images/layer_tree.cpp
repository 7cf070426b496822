#include "runtime/images/layer_tree.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <deque>

namespace hypermesh {
namespace {

constexpr unsigned kLinksMax = 40;  // as the kernel

std::unexpected<base::Error> refused(const LayerPath& entry, std::string_view why) {
  return base::fail(
      base::Errc::InvalidArgument,
      fmt::format("the archive is refused: entry \"{}\" {}", entry.text().substr(0, 300), why));
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const auto slash = text.find('/');
    if (slash != 0) out.emplace_back(text.substr(0, slash));
    text.remove_prefix(slash == std::string_view::npos ? text.size() : slash + 1);
  }
  return out;
}

base::Result<std::string> read_link(int folder_fd, const char* name) {
  char target[kLayerPathBytesMax];
  const ssize_t size = readlinkat(folder_fd, name, target, sizeof target);
  if (size < 0) return base::fail_errno(errno, fmt::format("cannot read the link {}", name));
  return std::string(target, std::size_t(size));
}

}  // namespace

std::string join_path(const std::vector<std::string>& parts) {
  return parts.empty() ? "." : fmt::format("{}", fmt::join(parts, "/"));
}

bool is_whiteout(const struct stat& status) {
  return S_ISCHR(status.st_mode) && status.st_rdev == makedev(0, 0);
}

std::string LayerTree::Folder::text() const {
  return join_path(path);
}

LayerTree::LayerTree(int root_fd, std::span<const ParentLayer> parents) : root_fd_(root_fd) {
  for (auto it = parents.rbegin(); it != parents.rend(); ++it) {
    parents_.push_back({it->folder_fd, {it->opaque_folders.begin(), it->opaque_folders.end()}});
  }
}

base::Result<const LayerTree::Folder*> LayerTree::enter(const LayerPath& entry) {
  return resolve(entry, true);
}
base::Result<const LayerTree::Folder*> LayerTree::find(const LayerPath& entry) {
  return resolve(entry, false);
}

base::Result<Fd> LayerTree::reopen(const std::vector<std::string>& path) const {
  Fd fd(open_beneath(root_fd_, join_path(path).c_str(), O_PATH | O_DIRECTORY));
  if (!fd)
    return base::fail_errno(errno, fmt::format("cannot open the folder {}", join_path(path)));
  return fd;
}

base::Result<const LayerTree::Folder*> LayerTree::resolve(const LayerPath& entry, bool make) {
  if (cached_fd_ && cached_name_ == entry.parents) return &cached_;
  Folder at;
  TRY(Fd fd, reopen({}));
  std::deque<std::string> todo(entry.parents.begin(), entry.parents.end());
  unsigned links = 0;
  const auto follow = [&](const std::string& target) -> base::Result<> {
    if (++links > kLinksMax)
      return refused(entry, fmt::format("lies behind more than {} symbolic links", kLinksMax));
    if (target.starts_with('/')) {
      at.path.clear();
      TRY(fd, reopen({}));
    }
    const auto parts = split(target);
    todo.insert(todo.begin(), parts.begin(), parts.end());
    if (todo.size() > 2 * kLayerPathDepthMax)
      return refused(entry, "lies too deep behind symbolic links");
    return {};
  };
  while (!todo.empty()) {
    const std::string part = std::move(todo.front());
    todo.pop_front();
    if (part == ".") continue;
    if (part == "..") {
      if (at.path.empty())
        return refused(entry, "lies behind a symbolic link that leads out of the image's root");
      at.path.pop_back();
      TRY(fd, reopen(at.path));
      continue;
    }
    struct stat status{};
    const bool there = fstatat(fd.get(), part.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
    if (!there && errno != ENOENT)
      return base::fail_errno(errno, fmt::format("cannot look up {}/{}", at.text(), part));
    if (there && S_ISLNK(status.st_mode)) {
      TRY(const std::string target, read_link(fd.get(), part.c_str()));
      TRY_DO(follow(target));
      continue;
    }
    std::vector<std::string> next = at.path;
    next.push_back(part);
    if (next.size() > kLayerPathDepthMax)
      return refused(entry, "lies too deep behind symbolic links");
    if (there && is_whiteout(status) && make) {
      // A whiteout hides what is below, never what its own archive brings.
      if (unlinkat(fd.get(), part.c_str(), 0) != 0)
        return base::fail_errno(errno, fmt::format("cannot replace {}", join_path(next)));
      hide_all(next);
      TRY_DO(make_folder(fd.get(), part, next, {}));
    } else if (there && !S_ISDIR(status.st_mode)) {
      return refused(entry, fmt::format("lies in \"{}\", which is not a folder", join_path(next)));
    } else if (!there) {
      if (!make) return refused(entry, "names a file that the archive does not hold");
      TRY(const Below below, look_below(next));
      used_parents_ = true;
      if (below.kind == Below::Kind::Link) {
        TRY_DO(follow(below.target));
        continue;
      }
      TRY_DO(make_folder(fd.get(), part, next, below));
    }
    Fd deeper(open_beneath(fd.get(), part.c_str(), O_PATH | O_DIRECTORY));
    if (!deeper)
      return base::fail_errno(errno, fmt::format("cannot open the folder {}", join_path(next)));
    fd = std::move(deeper);
    at.path = std::move(next);
  }
  cached_name_ = entry.parents;
  cached_fd_ = std::move(fd);
  at.fd = cached_fd_.get();
  cached_ = std::move(at);
  return &cached_;
}

bool LayerTree::hides_below(const std::vector<std::string>& path) const {
  if (opaque_.empty()) return false;
  if (opaque_.contains(".")) return true;
  std::string prefix;
  for (std::size_t i = 0; i + 1 < path.size(); ++i) {
    prefix += (i ? "/" : "") + path[i];
    if (opaque_.contains(prefix)) return true;
  }
  return false;
}

base::Result<LayerTree::Below> LayerTree::look_below(const std::vector<std::string>& path) {
  if (hides_below(path)) return Below{};
  for (const ParentView& parent : parents_) {
    bool hides_lower = parent.opaque.contains(".");
    std::string prefix;
    Fd fd(open_beneath(parent.fd, ".", O_PATH | O_DIRECTORY));
    if (!fd) return base::fail_errno(errno, "cannot open a layer below");
    for (std::size_t i = 0; i < path.size(); ++i) {
      const bool last = i + 1 == path.size();
      prefix += (i ? "/" : "") + path[i];
      Below found;
      if (fstatat(fd.get(), path[i].c_str(), &found.status, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno != ENOENT)
          return base::fail_errno(errno, fmt::format("cannot look up {} in a layer below", prefix));
        break;
      }
      if (last && S_ISDIR(found.status.st_mode)) {
        found.kind = Below::Kind::Folder;
        return found;
      }
      if (last && S_ISLNK(found.status.st_mode)) {
        TRY(found.target, read_link(fd.get(), path[i].c_str()));
        found.kind = Below::Kind::Link;
        return found;
      }
      // A file or a whiteout hides what is lower.
      if (!S_ISDIR(found.status.st_mode)) return Below{};
      hides_lower = hides_lower || parent.opaque.contains(prefix);
      fd = Fd(open_beneath(fd.get(), path[i].c_str(), O_PATH | O_DIRECTORY));
      if (!fd)
        return base::fail_errno(errno, fmt::format("cannot open {} in a layer below", prefix));
    }
    if (hides_lower) break;
  }
  return Below{};
}

base::Result<> LayerTree::make_folder(int parent_fd, const std::string& name,
                                      const std::vector<std::string>& path, const Below& like) {
  if (mkdirat(parent_fd, name.c_str(), 0755) != 0)
    return base::fail_errno(errno, fmt::format("cannot make the folder {}", join_path(path)));
  timespec time{};  // the same on every node
  if (like.kind == Below::Kind::Folder) {
    Fd fd(open_beneath(parent_fd, name.c_str(), O_RDONLY | O_DIRECTORY));
    if (!fd || fchown(fd.get(), like.status.st_uid, like.status.st_gid) != 0 ||
        fchmod(fd.get(), like.status.st_mode & 07777) != 0) {
      return base::fail_errno(
          errno,
          fmt::format("cannot make the folder {} as it is in the layers below", join_path(path)));
    }
    time = like.status.st_mtim;
  } else if (fchmodat(parent_fd, name.c_str(), 0755, 0) != 0) {  // whatever the umask
    return base::fail_errno(errno, fmt::format("cannot make the folder {}", join_path(path)));
  }
  set_folder_time(path, time);
  return {};
}

base::Result<> LayerTree::prepare(const Folder& folder, const std::string& name, bool for_folder) {
  struct stat status{};
  if (fstatat(folder.fd, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return {};
    return base::fail_errno(errno, fmt::format("cannot look up {}/{}", folder.text(), name));
  }
  std::vector<std::string> path = folder.path;
  path.push_back(name);
  if (S_ISDIR(status.st_mode) && for_folder) return {};
  if (S_ISDIR(status.st_mode)) {
    const std::string gone = join_path(path);
    std::erase_if(opaque_,
                  [&](const std::string& p) { return p == gone || p.starts_with(gone + "/"); });
    std::erase_if(times_, [&](const auto& item) {
      return item.first == gone || item.first.starts_with(gone + "/");
    });
    return remove_beneath(folder.fd, name);
  }
  if (unlinkat(folder.fd, name.c_str(), 0) != 0)
    return base::fail_errno(errno, fmt::format("cannot replace {}", join_path(path)));
  // A file or a whiteout that a folder replaces would have hidden a folder below.
  if (for_folder) hide_all(path);
  return {};
}

base::Result<> LayerTree::hide(const Folder& folder, const std::string& name) {
  struct stat status{};
  if (fstatat(folder.fd, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
    // What this archive brings itself stays; it hides a file below anyway, a folder must say so.
    if (S_ISDIR(status.st_mode)) {
      std::vector<std::string> path = folder.path;
      path.push_back(name);
      hide_all(path);
    }
    return {};
  }
  if (errno != ENOENT)
    return base::fail_errno(errno, fmt::format("cannot look up {}/{}", folder.text(), name));
  if (mknodat(folder.fd, name.c_str(), S_IFCHR, makedev(0, 0)) != 0) {
    return base::fail_errno(errno,
                            fmt::format("cannot make the whiteout of {}/{}", folder.text(), name));
  }
  return {};
}

void LayerTree::hide_all(const std::vector<std::string>& path) {
  opaque_.insert(join_path(path));
}

void LayerTree::set_folder_time(const std::vector<std::string>& path, timespec time) {
  times_.emplace_back(join_path(path), time);
}

base::Result<> LayerTree::apply_folder_times() {
  for (const auto& [path, time] : times_) {
    Fd fd(open_beneath(root_fd_, path.c_str(), O_RDONLY | O_DIRECTORY));
    const timespec both[2] = {time, time};
    if (!fd || futimens(fd.get(), both) != 0)
      return base::fail_errno(errno, fmt::format("cannot set the time of {}", path));
  }
  return {};
}

}  // namespace hypermesh
