#include "session/tar.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <optional>

namespace cli {
namespace {

using base::Errc;
using base::Result;

struct ReadCloser {
  void operator()(archive* a) const { archive_read_free(a); }
};
struct WriteCloser {
  void operator()(archive* a) const { archive_write_free(a); }
};
struct EntryCloser {
  void operator()(archive_entry* e) const { archive_entry_free(e); }
};
using Reader = std::unique_ptr<archive, ReadCloser>;
using Writer = std::unique_ptr<archive, WriteCloser>;
using Entry = std::unique_ptr<archive_entry, EntryCloser>;

constexpr std::size_t kBlockBytes = 64 * 1024;

std::string said(archive* a) {
  const char* text = archive_error_string(a);
  return text != nullptr ? text : "unknown error";
}

void close_end(int& fd) {
  if (fd >= 0) close(fd);
  fd = -1;
}

// A pair of connected ends whose writer gets an error instead of a signal when the reader is gone.
bool open_ends(int& read_end, int& write_end) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return false;
  read_end = ends[0];
  write_end = ends[1];
  return true;
}

Result<> send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return base::fail_errno(errno, "the archive");
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return {};
}

la_ssize_t write_to_end(archive*, void* fd, const void* bytes, size_t size) {
  return send_all(*static_cast<int*>(fd), {static_cast<const char*>(bytes), size})
             ? static_cast<la_ssize_t>(size)
             : -1;
}

// A link that points out of what is unpacked would be a trap for whoever writes there later.
bool leads_out(const std::filesystem::path& root, const std::filesystem::path& link,
               const char* target) {
  if (target == nullptr || *target == '/') return true;
  // After a name, which may be a link itself, ".." leads to nobody knows where.
  bool below = false;
  for (const std::filesystem::path& part : std::filesystem::path(target)) {
    if (part == ".." && below) return true;
    below = below || (part != ".." && part != "." && !part.empty());
  }
  const auto end = (link.parent_path() / target).lexically_normal();
  const auto inside = end.lexically_relative(root);
  return inside.empty() || *inside.begin() == "..";
}

std::string_view without_slashes(std::string_view path) {
  while (path.starts_with("./")) path.remove_prefix(2);
  while (path.starts_with('/')) path.remove_prefix(1);
  while (path.ends_with('/')) path.remove_suffix(1);
  return path == "." ? std::string_view() : path;
}

// Names of an archive that holds one file or folder, whose own name (the first entry's) becomes
// another one.
class Renaming {
 public:
  explicit Renaming(std::string to) : to_(std::move(to)) {}

  /// Errors: DataLoss (a name that is not below the first one).
  Result<std::string> operator()(std::string_view path) {
    path = without_slashes(path);
    if (!from_) from_ = std::string(path);
    if (path == *from_) return to_;
    if (from_->empty()) return to_ + "/" + std::string(path);
    if (path.starts_with(*from_ + "/")) return to_ + std::string(path.substr(from_->size()));
    return base::fail(Errc::DataLoss,
                      fmt::format("the archive of \"{}\" holds \"{}\" as well", *from_, path));
  }

 private:
  std::string to_;
  std::optional<std::string> from_;
};

}  // namespace

TarUnpacker::TarUnpacker(std::string folder, std::string name)
    : folder_(std::move(folder)), name_(std::move(name)) {
  if (!open_ends(read_end_, write_end_)) {
    outcome_ = base::fail_errno(errno, "no socket pair");
    return;
  }
  thread_ = std::thread([this] {
    outcome_ = unpack();
    close_end(read_end_);
  });
}

TarUnpacker::~TarUnpacker() {
  close_end(write_end_);
  if (thread_.joinable()) thread_.join();
  close_end(read_end_);
}

Result<> TarUnpacker::write(std::string_view bytes) {
  if (write_end_ >= 0 && send_all(write_end_, bytes)) return {};
  // Unpacking ended early: its reason is the one to tell.
  TRY_DO(finish());
  return {};
}

Result<Unpacked> TarUnpacker::finish() {
  close_end(write_end_);
  if (thread_.joinable()) thread_.join();
  TRY_DO(outcome_);
  return unpacked_;
}

Result<> TarUnpacker::unpack() {
  // Links on the way to the folder are the user's affair, so they are followed here; links in the
  // archive are not.
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::canonical(folder_, error);
  if (error) return base::fail_errno(error.value(), fmt::format("cannot enter {}", folder_));
  Renaming renamed(folder / name_);
  const Reader reader(archive_read_new());
  archive_read_support_format_tar(reader.get());
  const Writer disk(archive_write_disk_new());
  archive_write_disk_set_options(disk.get(), ARCHIVE_EXTRACT_SECURE_SYMLINKS |
                                                 ARCHIVE_EXTRACT_SECURE_NODOTDOT |
                                                 ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_UNLINK);
  if (archive_read_open_fd(reader.get(), read_end_, kBlockBytes) != ARCHIVE_OK)
    return base::fail(Errc::DataLoss,
                      fmt::format("the archive cannot be read: {}", said(reader.get())));
  for (;;) {
    archive_entry* entry = nullptr;
    const int code = archive_read_next_header(reader.get(), &entry);
    if (code == ARCHIVE_EOF) break;
    if (code < ARCHIVE_WARN)
      return base::fail(Errc::DataLoss,
                        fmt::format("the archive is damaged: {}", said(reader.get())));
    if (unpacked_.entries + unpacked_.left_out >= kEntriesMax)
      return base::fail(Errc::ResourceExhausted,
                        fmt::format("the archive has more than {} entries", kEntriesMax));
    const auto type = archive_entry_filetype(entry);
    if (archive_entry_hardlink(entry) == nullptr && type != AE_IFREG && type != AE_IFDIR &&
        type != AE_IFLNK) {
      ++unpacked_.left_out;
      continue;
    }
    const char* path = archive_entry_pathname(entry);
    TRY(const std::string here, renamed(path != nullptr ? path : ""));
    if (type == AE_IFLNK && leads_out(folder / name_, here, archive_entry_symlink(entry))) {
      ++unpacked_.left_out;
      continue;
    }
    ++unpacked_.entries;
    archive_entry_set_pathname(entry, here.c_str());
    if (const char* target = archive_entry_hardlink(entry)) {
      TRY(const std::string there, renamed(target));
      archive_entry_set_hardlink(entry, there.c_str());
    }
    archive_entry_set_perm(entry, archive_entry_perm(entry) & 0777);
    if (archive_write_header(disk.get(), entry) < ARCHIVE_WARN)
      return base::fail(
          Errc::FailedPrecondition,
          fmt::format("cannot write {}: {}", archive_entry_pathname(entry), said(disk.get())));
    const void* block = nullptr;
    size_t size = 0;
    la_int64_t offset = 0;
    for (;;) {
      const int read = archive_read_data_block(reader.get(), &block, &size, &offset);
      if (read == ARCHIVE_EOF) break;
      if (read < ARCHIVE_WARN)
        return base::fail(Errc::DataLoss,
                          fmt::format("the archive is damaged: {}", said(reader.get())));
      if (archive_write_data_block(disk.get(), block, size, offset) < ARCHIVE_WARN) {
        return base::fail(
            Errc::FailedPrecondition,
            fmt::format("cannot write {}: {}", archive_entry_pathname(entry), said(disk.get())));
      }
    }
    if (archive_write_finish_entry(disk.get()) < ARCHIVE_WARN)
      return base::fail(Errc::FailedPrecondition, said(disk.get()));
  }
  return {};
}

TarPacker::TarPacker(std::string path, std::string name)
    : path_(std::move(path)), name_(std::move(name)) {
  if (!open_ends(read_end_, write_end_)) {
    outcome_ = base::fail_errno(errno, "no socket pair");
    return;
  }
  thread_ = std::thread([this] {
    outcome_ = pack();
    close_end(write_end_);
  });
}

TarPacker::~TarPacker() {
  close_end(read_end_);
  if (thread_.joinable()) thread_.join();
  close_end(write_end_);
}

Result<std::string> TarPacker::next() {
  std::string piece(kBlockBytes, '\0');
  for (;;) {
    const ssize_t count = read_end_ >= 0 ? read(read_end_, piece.data(), piece.size()) : 0;
    if (count < 0 && errno == EINTR) continue;
    if (count > 0) {
      piece.resize(static_cast<std::size_t>(count));
      return piece;
    }
    if (thread_.joinable()) thread_.join();
    TRY_DO(outcome_);
    return std::string();
  }
}

namespace {

Result<> copy_content(archive* to, const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return base::fail_errno(errno, fmt::format("cannot read {}", path));
  std::string block(kBlockBytes, '\0');
  Result<> done;
  for (;;) {
    const ssize_t count = read(fd, block.data(), block.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) done = base::fail_errno(errno, fmt::format("cannot read {}", path));
    if (count <= 0) break;
    if (archive_write_data(to, block.data(), static_cast<std::size_t>(count)) < 0) {
      done = base::fail(Errc::Unavailable, said(to));
      break;
    }
  }
  close(fd);
  return done;
}

}  // namespace

Result<> TarPacker::pack() {
  const Reader disk(archive_read_disk_new());
  archive_read_disk_set_symlink_physical(disk.get());
  archive_read_disk_set_standard_lookup(disk.get());
  const Writer tar(archive_write_new());
  archive_write_set_format_pax_restricted(tar.get());
  archive_write_set_bytes_per_block(tar.get(), 10240);
  if (archive_write_open(tar.get(), &write_end_, nullptr, write_to_end, nullptr) != ARCHIVE_OK)
    return base::fail(Errc::Internal, said(tar.get()));
  if (archive_read_disk_open(disk.get(), path_.c_str()) != ARCHIVE_OK)
    return base::fail(Errc::NotFound, fmt::format("cannot read {}: {}", path_, said(disk.get())));
  for (;;) {
    const Entry entry(archive_entry_new());
    const int code = archive_read_next_header2(disk.get(), entry.get());
    if (code == ARCHIVE_EOF) break;
    if (code < ARCHIVE_WARN) return base::fail(Errc::FailedPrecondition, said(disk.get()));
    archive_read_disk_descend(disk.get());
    const std::string source = archive_entry_sourcepath(entry.get());
    archive_entry_set_pathname(entry.get(), (name_ + source.substr(path_.size())).c_str());
    if (archive_write_header(tar.get(), entry.get()) < ARCHIVE_WARN)
      return base::fail(Errc::Unavailable, said(tar.get()));
    if (archive_entry_filetype(entry.get()) == AE_IFREG && archive_entry_size(entry.get()) > 0)
      TRY_DO(copy_content(tar.get(), source));
  }
  if (archive_write_close(tar.get()) != ARCHIVE_OK)
    return base::fail(Errc::Unavailable, said(tar.get()));
  return {};
}

}  // namespace cli
