#include "runtime/images/unpack_layer.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <langinfo.h>
#include <locale.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <memory>
#include <optional>

#include "runtime/images/layer_path.hpp"
#include "runtime/images/layer_stream.hpp"
#include "runtime/images/layer_tree.hpp"

namespace hypermesh {
namespace {

constexpr std::int64_t kIdMax = 65535;
constexpr std::uint32_t kNobody = 65534;

base::Error write_error(int error_number, std::string what) {
  auto error = base::errno_error(error_number, std::move(what));
  if (error_number == ENOSPC || error_number == EDQUOT) {
    return base::with_hint(
        std::move(error),
        "free disk space: hm image gc removes what no container and no name needs");
  }
  return error;
}

// libarchive turns names into the thread's character set: UTF-8 lets every name through. A process
// that may not be able to load a locale (chroot) sets one before.
class Utf8Locale {
 public:
  Utf8Locale() : ready_(std::string_view(nl_langinfo(CODESET)) == "UTF-8") {
    if (ready_) return;
    utf8_ = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    ready_ = utf8_ != locale_t{};
    if (ready_) before_ = uselocale(utf8_);
  }
  ~Utf8Locale() {
    if (!utf8_) return;
    uselocale(before_);
    freelocale(utf8_);
  }
  Utf8Locale(const Utf8Locale&) = delete;
  Utf8Locale& operator=(const Utf8Locale&) = delete;
  bool ready() const { return ready_; }

 private:
  locale_t utf8_{};
  locale_t before_{};
  bool ready_;
};

struct ArchiveFree {
  void operator()(archive* a) const { archive_read_free(a); }
};

class Unpacker {
 public:
  Unpacker(int blob_fd, std::uint64_t blob_bytes, int target_fd, const UnpackLimits& limits,
           std::span<const ParentLayer> parents)
      : limits_(limits),
        target_fd_(target_fd),
        stream_(blob_fd, blob_bytes, limits),
        tree_(target_fd, parents),
        archive_(archive_read_new()) {}

  base::Result<UnpackReport> run(const ContentDigest& diff_id) {
    // The folder itself, for an archive that does not mention it.
    if (fchmod(target_fd_, 0755) != 0)
      return base::fail_errno(errno, "cannot prepare the layer's folder");
    tree_.set_folder_time({}, {});
    TRY_DO(read_archive());
    // What follows the end of the archive belongs to the layer's digest too.
    while (true) {
      TRY(const base::BytesView rest, stream_.next());
      if (rest.empty()) break;
    }
    UnpackReport report;
    report.diff_id = stream_.digest();
    if (report.diff_id != diff_id)
      return std::unexpected(digest_mismatch("the uncompressed layer", diff_id, report.diff_id));
    TRY_DO(tree_.apply_folder_times());
    report.stream_bytes = stream_.bytes();
    report.file_bytes = file_bytes_;
    report.entries = entries_;
    report.used_parents = tree_.used_parents();
    report.opaque_folders = tree_.opaque_folders();
    if (report.opaque_folders.size() > kOpaqueFoldersMax) {
      return base::fail(base::Errc::ResourceExhausted,
                        fmt::format("the layer is refused: it has more than {} opaque folders",
                                    kOpaqueFoldersMax));
    }
    for (const auto& [what, count] : notes_) {
      if (report.notes.size() < kUnpackNotesMax)
        report.notes.push_back(
            fmt::format("{} ({} times)", what, count).substr(0, kUnpackNoteBytesMax));
    }
    return report;
  }

 private:
  static la_ssize_t read_piece(archive* a, void* self, const void** piece) {
    auto& me = *static_cast<Unpacker*>(self);
    auto next = me.stream_.next();
    if (!next) {
      me.stream_error_ = std::move(next).error();
      archive_set_error(a, EIO, "unreadable");
      return ARCHIVE_FATAL;
    }
    *piece = next->data();
    return la_ssize_t(next->size());
  }

  base::Error archive_error(std::string_view where) {
    if (stream_error_) return *std::move(stream_error_);
    const char* text = archive_error_string(archive_.get());
    return base::make_error(
        base::Errc::InvalidArgument,
        fmt::format("the archive is refused: {}: {}", where, text ? text : "malformed"));
  }

  base::Result<> read_archive() {
    if (!archive_) return base::fail(base::Errc::ResourceExhausted, "no memory to read an archive");
    archive_read_support_format_tar(archive_.get());
    // A layer may be nothing at all, without even the two empty blocks.
    archive_read_support_format_empty(archive_.get());
    if (archive_read_open(archive_.get(), this, nullptr, read_piece, nullptr) != ARCHIVE_OK)
      return std::unexpected(archive_error("its beginning"));
    archive_entry* entry = nullptr;
    std::string last = "its beginning";
    while (true) {
      const int status = archive_read_next_header(archive_.get(), &entry);
      if (status == ARCHIVE_EOF) return {};
      if (status != ARCHIVE_OK && !(status == ARCHIVE_WARN && only_owner_name_is_odd()))
        return std::unexpected(archive_error(last));
      if (++entries_ > limits_.entries_max) {
        return base::fail(base::Errc::ResourceExhausted,
                          fmt::format("the layer is refused as a bomb: it has more than {} entries",
                                      limits_.entries_max));
      }
      TRY_DO(unpack(entry));
      last = fmt::format(
          "after entry \"{}\"",
          text(archive_entry_pathname(entry), archive_entry_pathname_utf8(entry)).substr(0, 300));
    }
  }

  // Names of users and groups are not used: ids count.
  bool only_owner_name_is_odd() {
    const char* problem = archive_error_string(archive_.get());
    const std::string_view message = problem ? problem : "";
    return message.starts_with("Uname") || message.starts_with("Gname");
  }

  static std::string text(const char* bytes, const char* utf8) {
    return bytes ? bytes : utf8 ? utf8 : "";
  }

  void note(std::string what) {
    if (notes_.size() < kUnpackNotesMax || notes_.contains(what)) ++notes_[std::move(what)];
  }

  base::Result<> unpack(archive_entry* entry) {
    const std::string name =
        text(archive_entry_pathname(entry), archive_entry_pathname_utf8(entry));
    if (name.size() > limits_.path_bytes_max) {
      return base::fail(
          base::Errc::InvalidArgument,
          fmt::format(
              "the archive is refused: entry \"{}\" has a name of {} bytes; at most {} are allowed",
              name.substr(0, 100), name.size(), limits_.path_bytes_max));
    }
    TRY(const LayerPath path, parse_layer_path(name));
    const auto type = archive_entry_filetype(entry);
    const bool hard_link = archive_entry_hardlink(entry) || archive_entry_hardlink_utf8(entry);
    if (!hard_link && (type == AE_IFCHR || type == AE_IFBLK)) {
      return base::fail(
          base::Errc::InvalidArgument,
          fmt::format("the archive is refused: entry \"{}\" is a device node ({}:{}); an image "
                      "must not bring devices",
                      name, archive_entry_rdevmajor(entry), archive_entry_rdevminor(entry)));
    }
    switch (path.kind) {
      case LayerPath::Kind::Ignored:
        return {};
      case LayerPath::Kind::Root: {
        if (type != AE_IFDIR || hard_link)
          return refused(name, "replaces the image's root by something that is no folder");
        Fd fd(open_beneath(target_fd_, ".", O_RDONLY | O_DIRECTORY));
        if (!fd) return base::fail_errno(errno, "cannot open the layer's folder");
        tree_.set_folder_time({}, time_of(entry));
        return set_attributes(fd.get(), entry, name);
      }
      case LayerPath::Kind::Whiteout: {
        TRY(const auto* folder, tree_.enter(path));
        return tree_.hide(*folder, path.name);
      }
      case LayerPath::Kind::Opaque: {
        TRY(const auto* folder, tree_.enter(path));
        tree_.hide_all(folder->path);
        return {};
      }
      case LayerPath::Kind::Plain:
        break;
    }
    if (hard_link) return make_hard_link(entry, path, name);
    TRY(const auto* folder, tree_.enter(path));
    TRY_DO(tree_.prepare(*folder, path.name, type == AE_IFDIR));
    switch (type) {
      case AE_IFREG:
        return make_file(*folder, path.name, entry, name);
      case AE_IFDIR:
        return make_folder(*folder, path.name, entry, name);
      case AE_IFLNK:
        return make_symlink(*folder, path.name, entry, name);
      case AE_IFIFO:
        return make_fifo(*folder, path.name, entry, name);
      default:
        return refused(name, fmt::format("has an unknown type ({:o})", unsigned(type)));
    }
  }

  static std::unexpected<base::Error> refused(std::string_view name, std::string_view why) {
    return base::fail(
        base::Errc::InvalidArgument,
        fmt::format("the archive is refused: entry \"{}\" {}", name.substr(0, 300), why));
  }

  std::uint32_t id(std::int64_t id) {
    if (id >= 0 && id <= kIdMax) return std::uint32_t(id);
    note(fmt::format("a user or group id outside 0 to {} became {}", kIdMax, kNobody));
    return kNobody;
  }

  static timespec time_of(archive_entry* entry) {
    timespec time{};
    if (archive_entry_mtime_is_set(entry)) {
      time.tv_sec = archive_entry_mtime(entry);
      time.tv_nsec = std::clamp(archive_entry_mtime_nsec(entry), 0l, 999'999'999l);
    }
    return time;
  }

  base::Result<> make_file(const LayerTree::Folder& folder, const std::string& last,
                           archive_entry* entry, const std::string& name) {
    const std::int64_t size = archive_entry_size_is_set(entry) ? archive_entry_size(entry) : 0;
    if (size < 0) return refused(name, "has a negative size");
    if (std::uint64_t(size) > limits_.bytes_max ||
        file_bytes_ + std::uint64_t(size) > limits_.bytes_max) {
      return base::fail(base::Errc::ResourceExhausted,
                        fmt::format("the layer is refused as a bomb: with entry \"{}\" ({} bytes) "
                                    "its files have more than {} bytes",
                                    name.substr(0, 300), size, limits_.bytes_max));
    }
    file_bytes_ += std::uint64_t(size);
    Fd fd(openat(folder.fd, last.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                 0600));
    if (!fd) return std::unexpected(write_error(errno, fmt::format("cannot make \"{}\"", name)));
    while (true) {
      const void* piece = nullptr;
      std::size_t bytes = 0;
      la_int64_t offset = 0;
      const int status = archive_read_data_block(archive_.get(), &piece, &bytes, &offset);
      if (status == ARCHIVE_EOF) break;
      if (status != ARCHIVE_OK)
        return std::unexpected(archive_error(fmt::format("in entry \"{}\"", name.substr(0, 300))));
      if (offset < 0 || bytes > std::uint64_t(size) ||
          std::uint64_t(offset) > std::uint64_t(size) - bytes) {
        return refused(name, fmt::format("has data beyond its size of {} bytes", size));
      }
      TRY_DO(write_at(fd.get(), static_cast<const char*>(piece), bytes, offset, name));
    }
    if (ftruncate(fd.get(), size) != 0)
      return std::unexpected(write_error(errno, fmt::format("cannot write \"{}\"", name)));
    TRY_DO(set_attributes(fd.get(), entry, name));
    const timespec time = time_of(entry);
    const timespec both[2] = {time, time};
    if (futimens(fd.get(), both) != 0)
      return base::fail_errno(errno, fmt::format("cannot set the time of \"{}\"", name));
    return {};
  }

  static base::Result<> write_at(int fd, const char* bytes, std::size_t count, off_t offset,
                                 const std::string& name) {
    while (count > 0) {
      const ssize_t written = pwrite(fd, bytes, count, offset);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0)
        return std::unexpected(write_error(errno, fmt::format("cannot write \"{}\"", name)));
      bytes += written;
      offset += written;
      count -= std::size_t(written);
    }
    return {};
  }

  base::Result<> make_folder(const LayerTree::Folder& folder, const std::string& last,
                             archive_entry* entry, const std::string& name) {
    if (mkdirat(folder.fd, last.c_str(), 0700) != 0 && errno != EEXIST)
      return std::unexpected(write_error(errno, fmt::format("cannot make \"{}\"", name)));
    Fd fd(open_beneath(folder.fd, last.c_str(), O_RDONLY | O_DIRECTORY));
    if (!fd) return base::fail_errno(errno, fmt::format("cannot open \"{}\"", name));
    std::vector<std::string> path = folder.path;
    path.push_back(last);
    tree_.set_folder_time(path, time_of(entry));
    return set_attributes(fd.get(), entry, name);
  }

  base::Result<> make_symlink(const LayerTree::Folder& folder, const std::string& last,
                              archive_entry* entry, const std::string& name) {
    const std::string target =
        text(archive_entry_symlink(entry), archive_entry_symlink_utf8(entry));
    TRY_DO(check_symlink_target(name, folder.path.size(), target));
    if (symlinkat(target.c_str(), folder.fd, last.c_str()) != 0)
      return std::unexpected(write_error(errno, fmt::format("cannot make \"{}\"", name)));
    if (fchownat(folder.fd, last.c_str(), id(archive_entry_uid(entry)),
                 id(archive_entry_gid(entry)), AT_SYMLINK_NOFOLLOW) != 0) {
      return base::fail_errno(errno, fmt::format("cannot give \"{}\" its owner", name));
    }
    return set_time_of(folder.fd, last, entry, name);
  }

  base::Result<> make_fifo(const LayerTree::Folder& folder, const std::string& last,
                           archive_entry* entry, const std::string& name) {
    if (mkfifoat(folder.fd, last.c_str(), 0600) != 0)
      return std::unexpected(write_error(errno, fmt::format("cannot make \"{}\"", name)));
    if (fchownat(folder.fd, last.c_str(), id(archive_entry_uid(entry)),
                 id(archive_entry_gid(entry)), AT_SYMLINK_NOFOLLOW) != 0 ||
        fchmodat(folder.fd, last.c_str(), archive_entry_perm(entry), 0) != 0) {
      return base::fail_errno(errno, fmt::format("cannot give \"{}\" its owner and mode", name));
    }
    return set_time_of(folder.fd, last, entry, name);
  }

  static base::Result<> set_time_of(int folder_fd, const std::string& last, archive_entry* entry,
                                    const std::string& name) {
    const timespec time = time_of(entry);
    const timespec both[2] = {time, time};
    if (utimensat(folder_fd, last.c_str(), both, AT_SYMLINK_NOFOLLOW) != 0)
      return base::fail_errno(errno, fmt::format("cannot set the time of \"{}\"", name));
    return {};
  }

  base::Result<> make_hard_link(archive_entry* entry, const LayerPath& path,
                                const std::string& name) {
    const std::string to = text(archive_entry_hardlink(entry), archive_entry_hardlink_utf8(entry));
    auto target = parse_layer_path(to);
    if (!target || target->kind != LayerPath::Kind::Plain) {
      return refused(name, fmt::format("is a hard link to \"{}\": {}", to.substr(0, 300),
                                       target ? "that is no file" : target.error().message));
    }
    TRY(const auto* there, tree_.find(*target));
    struct stat status{};
    if (fstatat(there->fd, target->name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 ||
        is_whiteout(status)) {
      return refused(
          name, fmt::format("is a hard link to \"{}\", which the archive does not hold before it",
                            to.substr(0, 300)));
    }
    if (S_ISDIR(status.st_mode))
      return refused(name, fmt::format("is a hard link to the folder \"{}\"", to.substr(0, 300)));
    // Held open, for the way to it may be the place that is cleared.
    Fd folder_of_target(fcntl(there->fd, F_DUPFD_CLOEXEC, 0));
    if (!folder_of_target) return base::fail_errno(errno, fmt::format("cannot make \"{}\"", name));
    TRY(const auto* folder, tree_.enter(path));
    struct stat here{};
    if (fstatat(folder->fd, path.name.c_str(), &here, AT_SYMLINK_NOFOLLOW) == 0 &&
        here.st_ino == status.st_ino && here.st_dev == status.st_dev) {
      return {};
    }
    TRY_DO(tree_.prepare(*folder, path.name, false));
    if (linkat(folder_of_target.get(), target->name.c_str(), folder->fd, path.name.c_str(), 0) !=
        0) {
      return std::unexpected(
          write_error(errno, fmt::format("cannot make the hard link \"{}\" to \"{}\"", name, to)));
    }
    return {};
  }

  // Owner first: it clears the set-id bits and capabilities that mode and attributes set.
  base::Result<> set_attributes(int fd, archive_entry* entry, const std::string& name) {
    if (fchown(fd, id(archive_entry_uid(entry)), id(archive_entry_gid(entry))) != 0)
      return base::fail_errno(errno, fmt::format("cannot give \"{}\" its owner", name));
    if (fchmod(fd, archive_entry_perm(entry)) != 0)
      return base::fail_errno(errno, fmt::format("cannot give \"{}\" its mode", name));
    std::uint64_t total = 0;
    const char* key = nullptr;
    const void* value = nullptr;
    std::size_t size = 0;
    archive_entry_xattr_reset(entry);
    while (archive_entry_xattr_next(entry, &key, &value, &size) == ARCHIVE_OK) {
      const std::string_view attribute = key;
      total += attribute.size() + size;
      if (total > limits_.xattr_bytes_max)
        return refused(name, fmt::format("has more than {} bytes of extended attributes",
                                         limits_.xattr_bytes_max));
      const bool overlays_own = attribute.starts_with("user.overlay.");
      const bool wanted = attribute == "security.capability" ||
                          (attribute.starts_with("user.") && !overlays_own) ||
                          attribute.starts_with("system.posix_acl_");
      if (!wanted) {
        note(fmt::format("the extended attribute {} was left out", attribute.substr(0, 100)));
      } else if (fsetxattr(fd, key, value, size, 0) != 0) {
        if (errno == ENOSPC || errno == EDQUOT)
          return std::unexpected(write_error(
              errno, fmt::format("cannot give \"{}\" its attribute {}", name, attribute)));
        note(fmt::format("the extended attribute {} could not be set: {}", attribute.substr(0, 100),
                         strerror(errno)));
      }
    }
    return {};
  }

  const UnpackLimits& limits_;
  const int target_fd_;
  LayerStream stream_;
  LayerTree tree_;
  std::unique_ptr<archive, ArchiveFree> archive_;
  std::optional<base::Error> stream_error_;
  std::uint64_t entries_ = 0;
  std::uint64_t file_bytes_ = 0;
  std::map<std::string, std::uint64_t> notes_;
};

}  // namespace

base::Result<UnpackReport> unpack_layer(int blob_fd, int target_fd, const UnpackLimits& limits,
                                        const ContentDigest& diff_id,
                                        std::span<const ParentLayer> parents) {
  const Utf8Locale locale;
  if (!locale.ready())
    return base::fail(base::Errc::Unsupported, "the C library has no C.UTF-8 locale");
  struct stat blob{};
  if (fstat(blob_fd, &blob) != 0) return base::fail_errno(errno, "cannot read the layer");
  Unpacker unpacker(blob_fd, std::uint64_t(std::max<off_t>(blob.st_size, 1)), target_fd, limits,
                    parents);
  return unpacker.run(diff_id);
}

}  // namespace hypermesh
