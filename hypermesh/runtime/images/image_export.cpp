#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <stdlib.h>

#include <array>
#include <cerrno>
#include <filesystem>

#include "runtime/images/image_import.hpp"
#include "runtime/images/layout_documents.hpp"

namespace hypermesh {
namespace {

struct ArchiveFree {
  void operator()(archive* a) const { archive_write_free(a); }
};

class ArchiveWriter {
 public:
  base::Result<> open(int fd) {
    if (!archive_)
      return base::fail(base::Errc::ResourceExhausted, "no memory to write an archive");
    archive_write_set_format_pax_restricted(archive_.get());
    archive_write_set_bytes_per_block(archive_.get(), 0);
    return check(archive_write_open_fd(archive_.get(), fd));
  }
  // The same bytes for the same image: no times, no owners.
  base::Result<> begin(const std::string& name, std::uint64_t bytes) {
    const std::unique_ptr<archive_entry, void (*)(archive_entry*)> entry(archive_entry_new(),
                                                                         archive_entry_free);
    archive_entry_set_pathname(entry.get(), name.c_str());
    archive_entry_set_filetype(entry.get(), AE_IFREG);
    archive_entry_set_perm(entry.get(), 0644);
    archive_entry_set_size(entry.get(), la_int64_t(bytes));
    archive_entry_set_mtime(entry.get(), 0, 0);
    return check(archive_write_header(archive_.get(), entry.get()));
  }
  base::Result<> write(base::BytesView bytes) {
    while (!bytes.empty()) {
      const la_ssize_t written = archive_write_data(archive_.get(), bytes.data(), bytes.size());
      if (written <= 0) return check(ARCHIVE_FATAL);
      bytes = bytes.subspan(std::size_t(written));
    }
    return {};
  }
  base::Result<> document(const std::string& name, std::string_view text) {
    TRY_DO(begin(name, text.size()));
    return write(base::as_bytes(text));
  }
  base::Result<> close() { return check(archive_write_close(archive_.get())); }

 private:
  base::Result<> check(int status) {
    if (status == ARCHIVE_OK) return {};
    const int why = archive_errno(archive_.get());
    const char* text = archive_error_string(archive_.get());
    if (why > 0) return base::fail_errno(why, "cannot write the archive");
    return base::fail(base::Errc::Internal,
                      fmt::format("cannot write the archive: {}", text ? text : "unknown error"));
  }
  std::unique_ptr<archive, ArchiveFree> archive_{archive_write_new()};
};

}  // namespace

base::Result<> export_archive(ImageStore& store, const ImageRecord& record, int fd,
                              const CancelToken& cancel) {
  TRY(const ImageReference name, parse_reference(record.reference));
  TRY(const std::string manifest, store.read_blob(record.manifest, kManifestBytesMax));
  TRY(const ManifestDocument document,
      parse_manifest(manifest, "", fmt::format("the manifest of {}", record.reference)));
  TRY(const Platform platform, parse_platform(record.platform));
  const bool docker =
      std::get<ImageManifest>(document).config.media_type == media_type::kDockerConfig;
  const Descriptor described{
      .media_type = std::string(docker ? media_type::kDockerManifest : media_type::kOciManifest),
      .digest = record.manifest,
      .size = manifest.size(),
      .annotations = {},
      .platform = platform};
  ArchiveWriter writer;
  TRY_DO(writer.open(fd));
  TRY_DO(writer.document("oci-layout", kOciLayoutDocument));
  TRY_DO(writer.document("index.json", make_layout_index(described, name)));
  std::set<ContentDigest> blobs(record.layers.begin(), record.layers.end());
  blobs.insert({record.manifest, record.config});
  for (const auto& blob : blobs) {
    const auto bytes = store.blob_bytes(blob);
    if (!bytes) {
      return std::unexpected(base::with_hint(
          base::make_error(
              base::Errc::NotFound,
              fmt::format("the blob {} of {} is not on this node", blob.text(), record.reference)),
          "pull the image again"));
    }
    TRY_DO(writer.begin("blobs/sha256/" + blob.hex(), *bytes));
    TRY(const Fd from, store.open_blob(blob));
    std::array<std::uint8_t, 256 << 10> piece;
    base::Sha256 hash;
    while (true) {
      if (cancel.cancelled()) return std::unexpected(CancelToken::error());
      const ssize_t got = read(from.get(), piece.data(), piece.size());
      if (got < 0)
        return base::fail_errno(errno, fmt::format("cannot read the blob {}", blob.text()));
      if (got == 0) break;
      hash.update(base::BytesView(piece).first(std::size_t(got)));
      TRY_DO(writer.write(base::BytesView(piece).first(std::size_t(got))));
    }
    if (const ContentDigest found{hash.finish()}; found != blob)
      return std::unexpected(digest_mismatch("a blob on disk", blob, found));
  }
  return writer.close();
}

base::Result<> export_to_file(ImageStore& store, const ImageRecord& record, const std::string& path,
                              const CancelToken& cancel) {
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored))
    return base::fail(base::Errc::AlreadyExists, fmt::format("{} exists", path));
  std::string part = path + ".XXXXXX";
  Fd fd(mkostemp(part.data(), O_CLOEXEC));
  if (!fd) return base::fail_errno(errno, fmt::format("cannot write {}", path));
  auto written = export_archive(store, record, fd.get(), cancel);
  if (written && (fchmod(fd.get(), 0644) != 0 || fsync(fd.get()) != 0))
    written = base::fail_errno(errno, fmt::format("cannot write {}", path));
  // Never over a file that came in between.
  if (written && renameat2(AT_FDCWD, part.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) != 0)
    written = base::fail_errno(errno, fmt::format("cannot write {}", path));
  if (!written) unlink(part.c_str());
  return written;
}

}  // namespace hypermesh
