#include "runtime/images/layer_store.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <base/random.hpp>
#include <cerrno>

#include "runtime/images/beneath.hpp"
#include "runtime/images/image_config.hpp"
#include "runtime/images/unpack_process.hpp"

namespace hypermesh {
namespace {

constexpr const char* kReport = "report";
constexpr const char* kFiles = "fs";

base::Error disk_error(int error_number, std::string what) {
  auto error = base::errno_error(error_number, std::move(what));
  if (error.code != base::Errc::ResourceExhausted) return error;
  return base::with_hint(
      std::move(error), "free disk space: hm image gc removes what no container and no name needs");
}

LayerRecord record_of(const LayerId& id, UnpackReport report) {
  return {id,
          report.diff_id,
          report.used_parents,
          report.file_bytes,
          report.entries,
          std::move(report.notes)};
}

base::Result<std::vector<std::string>> names_in(int folder_fd) {
  Fd again(open_beneath(folder_fd, ".", O_RDONLY | O_DIRECTORY));
  if (!again) return base::fail_errno(errno, "cannot list the layers");
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(fdopendir(again.get()), closedir);
  if (!dir) return base::fail_errno(errno, "cannot list the layers");
  again.release();
  std::vector<std::string> out;
  while (const dirent* entry = readdir(dir.get())) out.emplace_back(entry->d_name);
  return out;
}

base::Result<base::Bytes> read_file(int fd, std::size_t bytes_max) {
  base::Bytes out;
  std::uint8_t piece[16384];
  while (true) {
    const ssize_t got = read(fd, piece, sizeof piece);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return base::fail_errno(errno, "cannot read a layer's record");
    if (got == 0) return out;
    out.insert(out.end(), piece, piece + got);
    if (out.size() > bytes_max)
      return base::fail(base::Errc::DataLoss, "a layer's record is too long");
  }
}

base::Result<> write_new_file(int folder_fd, const char* name, base::BytesView bytes) {
  Fd fd(openat(folder_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return std::unexpected(disk_error(errno, "cannot write a layer's record"));
  while (!bytes.empty()) {
    const ssize_t written = write(fd.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return std::unexpected(disk_error(errno, "cannot write a layer's record"));
    bytes = bytes.subspan(std::size_t(written));
  }
  return {};
}

std::string temporary_name(std::string_view prefix) {
  base::SystemRng rng;
  std::uint8_t bytes[8];
  rng.fill(bytes);
  return std::string(prefix) + base::to_hex(bytes);
}

}  // namespace

base::Result<> mark_opaque_folders(int layer_fd, const std::vector<std::string>& folders) {
  for (const auto& folder : folders) {
    Fd fd(open_beneath(layer_fd, folder.c_str(), O_RDONLY | O_DIRECTORY));
    if (!fd)
      return base::fail_errno(errno, fmt::format("cannot mark the folder {} opaque", folder));
    if (fsetxattr(fd.get(), "trusted.overlay.opaque", "y", 1, 0) != 0) {
      return std::unexpected(
          disk_error(errno, fmt::format("cannot mark the folder {} opaque", folder)));
    }
  }
  return {};
}

base::Result<std::unique_ptr<LayerStore>> LayerStore::open(LayerStoreOptions options) {
  if (options.id_base == 0)
    return base::fail(base::Errc::InvalidArgument,
                      "layers must not belong to the machine's own ids: id_base is 0");
  if (mkdir(options.root.c_str(), 0700) != 0 && errno != EEXIST)
    return std::unexpected(disk_error(errno, fmt::format("cannot make {}", options.root)));
  Fd root(::open(options.root.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!root) return base::fail_errno(errno, fmt::format("cannot open {}", options.root));
  // Layers hold set-user-id programs: nobody else may reach them.
  if (fchmod(root.get(), 0700) != 0)
    return base::fail_errno(errno, fmt::format("cannot close {} to others", options.root));
  if (flock(root.get(), LOCK_EX | LOCK_NB) != 0)
    return base::fail_errno(errno,
                            fmt::format("another process has the layers in {}", options.root));
  std::unique_ptr<LayerStore> store(new LayerStore(std::move(options), std::move(root)));
  TRY_DO(store->remove_leftovers());
  return store;
}

base::Result<> LayerStore::remove_leftovers() {
  TRY(const auto names, names_in(root_.get()));
  for (const auto& name : names) {
    if (name.starts_with(".new-") || name.starts_with(".old-"))
      TRY_DO(remove_beneath(root_.get(), name));
  }
  return {};
}

std::string LayerStore::folder(LayerId id) const {
  return fmt::format("{}/{}/{}", options_.root, id.text(), kFiles);
}

base::Result<std::optional<UnpackReport>> LayerStore::read_report(const LayerId& id) const {
  Fd fd(open_beneath(root_.get(), (id.text() + "/" + kReport).c_str(), O_RDONLY));
  if (!fd && errno == ENOENT) return std::nullopt;
  if (!fd)
    return base::fail_errno(errno, fmt::format("cannot read the record of layer {}", id.text()));
  TRY(const base::Bytes bytes, read_file(fd.get(), kUnpackReportBytesMax));
  auto report = decode_unpack_report(bytes);
  if (!report)
    return std::unexpected(
        base::wrap(std::move(report).error(), fmt::format("layer {}", id.text())));
  return std::optional(*std::move(report));
}

base::Result<LayerRecord> LayerStore::find(LayerId id) {
  TRY(auto report, read_report(id));
  if (!report)
    return base::fail(base::Errc::NotFound, fmt::format("there is no layer {}", id.text()));
  return record_of(id, *std::move(report));
}

base::Result<std::vector<LayerRecord>> LayerStore::list() {
  TRY(const auto names, names_in(root_.get()));
  std::vector<LayerRecord> out;
  for (const auto& name : names) {
    const auto digest = parse_digest_hex(name);
    if (!digest) continue;
    TRY(auto report, read_report({*digest}));
    if (report) out.push_back(record_of({*digest}, *std::move(report)));
  }
  return out;
}

base::Result<std::optional<LayerRecord>> LayerStore::present(const ContentDigest& diff_id,
                                                             const ContentDigest& chain_id,
                                                             bool lowest) const {
  TRY(auto report, read_report({diff_id}));
  // One that took folders from its parents is found by its diff id only as the lowest layer, where
  // it had none.
  if (report && (!report->used_parents || lowest)) return record_of({diff_id}, *std::move(report));
  if (lowest) return std::nullopt;
  TRY(report, read_report({chain_id}));
  if (report) return record_of({chain_id}, *std::move(report));
  return std::nullopt;
}

base::Result<LayerRecord> LayerStore::install(int blob_fd, const ContentDigest& diff_id,
                                              std::span<const LayerId> parents) {
  std::vector<ContentDigest> stack;
  for (const auto& parent : parents) {
    TRY(const LayerRecord record, find(parent));
    stack.push_back(record.diff_id);
  }
  stack.push_back(diff_id);
  const ContentDigest chain_id = chain_ids(stack).back();

  std::unique_lock lock(mutex_);
  idle_.wait(lock, [&] { return !busy_.contains(diff_id); });
  TRY(auto found, present(diff_id, chain_id, parents.empty()));
  if (found) return *std::move(found);
  busy_.insert(diff_id);
  lock.unlock();
  auto made = make(blob_fd, diff_id, chain_id, parents);
  lock.lock();
  busy_.erase(diff_id);
  idle_.notify_all();
  return made;
}

base::Result<LayerRecord> LayerStore::make(int blob_fd, const ContentDigest& diff_id,
                                           const ContentDigest& chain_id,
                                           std::span<const LayerId> parents) {
  const std::string name = temporary_name(".new-");
  if (mkdirat(root_.get(), name.c_str(), 0700) != 0)
    return std::unexpected(disk_error(errno, "cannot make a folder for a layer"));
  base::Result<LayerRecord> made = base::fail(base::Errc::Internal, "not made");
  if (Fd folder(open_beneath(root_.get(), name.c_str(), O_RDONLY | O_DIRECTORY)); folder) {
    made = make_in(folder.get(), name, blob_fd, diff_id, chain_id, parents);
  } else {
    made = base::fail_errno(errno, "cannot open a layer's folder");
  }
  // What cannot be removed now goes at the next start.
  if (!made) (void)remove_beneath(root_.get(), name);
  return made;
}

base::Result<LayerRecord> LayerStore::make_in(int folder_fd, const std::string& folder_name,
                                              int blob_fd, const ContentDigest& diff_id,
                                              const ContentDigest& chain_id,
                                              std::span<const LayerId> parents) {
  if (mkdirat(folder_fd, kFiles, 0755) != 0)
    return std::unexpected(disk_error(errno, "cannot make a folder for a layer"));
  Fd files(open_beneath(folder_fd, kFiles, O_RDONLY | O_DIRECTORY));
  if (!files || fchown(files.get(), options_.id_base, options_.id_base) != 0)
    return base::fail_errno(errno, "cannot prepare a layer's folder");

  UnpackJob job{.unpacker_path = options_.unpacker_path,
                .blob_fd = blob_fd,
                .target_fd = files.get(),
                .id_base = options_.id_base,
                .diff_id = diff_id,
                .parents = {},
                .limits = options_.limits};
  std::vector<Fd> open_parents;
  for (const auto& parent : parents) {
    TRY(auto report, read_report(parent));
    Fd fd(
        open_beneath(root_.get(), (parent.text() + "/" + kFiles).c_str(), O_RDONLY | O_DIRECTORY));
    if (!report || !fd)
      return base::fail(base::Errc::NotFound, fmt::format("there is no layer {}", parent.text()));
    job.parents.push_back({fd.get(), std::move(report->opaque_folders)});
    open_parents.push_back(std::move(fd));
  }
  TRY(UnpackReport report, run_unpacker(job));
  // The process hashed the stream itself; should it have been taken over, it could lie. It could
  // then as well have written other files, which only the layer's own container sees.
  if (report.diff_id != diff_id)
    return std::unexpected(digest_mismatch("the uncompressed layer", diff_id, report.diff_id));
  TRY_DO(mark_opaque_folders(files.get(), report.opaque_folders));
  TRY_DO(write_new_file(folder_fd, kReport, encode_unpack_report(report)));
  // All of the layer is on disk before its name is.
  if (syncfs(folder_fd) != 0) return std::unexpected(disk_error(errno, "cannot write a layer out"));
  const LayerId id{report.used_parents ? chain_id : diff_id};
  if (renameat2(root_.get(), folder_name.c_str(), root_.get(), id.text().c_str(),
                RENAME_NOREPLACE) != 0) {
    return base::fail_errno(errno, fmt::format("cannot keep layer {}", id.text()));
  }
  if (fsync(root_.get()) != 0)
    return std::unexpected(disk_error(errno, "cannot write a layer out"));
  return record_of(id, std::move(report));
}

base::Result<std::uint64_t> LayerStore::remove(LayerId id) {
  const std::string gone = temporary_name(".old-");
  std::uint64_t bytes = 0;
  {
    const std::lock_guard lock(mutex_);
    if (options_.in_use && options_.in_use(id)) {
      return base::fail(base::Errc::FailedPrecondition,
                        fmt::format("layer {} is in use by a container", id.text()));
    }
    TRY(const auto report, read_report(id));
    if (!report) return 0;
    bytes = report->file_bytes;
    if (renameat(root_.get(), id.text().c_str(), root_.get(), gone.c_str()) != 0) {
      return base::fail_errno(errno, fmt::format("cannot remove layer {}", id.text()));
    }
  }
  TRY_DO(remove_beneath(root_.get(), gone));
  return bytes;
}

}  // namespace hypermesh
