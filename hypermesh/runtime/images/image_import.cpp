#include "runtime/images/image_import.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <functional>

#include "runtime/images/beneath.hpp"
#include "runtime/images/layer_path.hpp"
#include "runtime/images/layout_documents.hpp"

namespace hypermesh {
namespace {

constexpr std::size_t kArchiveEntriesMax = 100'000;
constexpr unsigned kIndexDepthMax = 3;

/// Makes sure that the store has the blob. Errors: NotFound.
using Obtain = std::function<base::Result<>(const Descriptor&)>;

// Goes from an entry of index.json to the image of this platform and brings all its blobs.
base::Result<ImageRecord> bring(ImageStore& store, const ImageReference& name,
                                const Descriptor& target, const ImportRequest& request,
                                const Obtain& obtain) {
  Descriptor here = target;
  for (unsigned depth = 0; depth < kIndexDepthMax; ++depth) {
    TRY_DO(obtain(here));
    const std::string what = fmt::format("the manifest of {}", name.text());
    TRY(const std::string text, store.read_blob(here.digest, kManifestBytesMax));
    TRY(const ManifestDocument document, parse_manifest(text, here.media_type, what));
    if (const auto* index = std::get_if<ImageIndex>(&document)) {
      TRY(here, select_manifest(*index, request.platform, name.text()));
      continue;
    }
    const auto& manifest = std::get<ImageManifest>(document);
    TRY_DO(obtain(manifest.config));
    for (const auto& layer : manifest.layers) TRY_DO(obtain(layer));
    TRY(const std::string config_text, store.read_blob(manifest.config.digest, kConfigBytesMax));
    TRY(const ImageConfig config,
        parse_image_config(config_text, fmt::format("the configuration of {}", name.text())));
    return make_record(name, target.digest, here.digest, manifest, config, request.platform,
                       request.now);
  }
  return base::fail(
      base::Errc::InvalidArgument,
      fmt::format("{}: indexes within indexes, more than {} deep", name.text(), kIndexDepthMax));
}

base::Result<std::vector<ImageRecord>> bring_layout(ImageStore& store, std::string_view index_json,
                                                    const std::string& archive_name,
                                                    const ImportRequest& request,
                                                    const Obtain& obtain) {
  TRY(const auto entries, parse_layout_index(index_json));
  TRY(const auto chosen, choose_layout_entries(entries, request.reference, archive_name));
  std::vector<ImageRecord> out;
  for (const auto& [name, descriptor] : chosen) {
    TRY(ImageRecord record, bring(store, name, descriptor, request, obtain));
    out.push_back(std::move(record));
  }
  return out;
}

base::Result<std::string> read_small(int folder, const char* name) {
  const Fd fd(open_beneath(folder, name, O_RDONLY | O_NONBLOCK));
  if (!fd) {
    auto error = base::errno_error(errno, fmt::format("cannot read {}", name));
    if (errno == ENOENT)
      error = base::with_hint(std::move(error),
                              "an OCI layout folder has the files oci-layout and index.json");
    return std::unexpected(std::move(error));
  }
  std::string out;
  char piece[65536];
  ssize_t got;
  while ((got = read(fd.get(), piece, sizeof piece)) > 0) {
    out.append(piece, std::size_t(got));
    if (out.size() > kManifestBytesMax)
      return base::fail(base::Errc::InvalidArgument,
                        fmt::format("{} has more than {} bytes", name, kManifestBytesMax));
  }
  if (got < 0) return base::fail_errno(errno, fmt::format("cannot read {}", name));
  return out;
}

base::Result<> copy_blob(ImageStore& store, BlobPins& pins, int folder, const Descriptor& blob,
                         const CancelToken& cancel) {
  pins.add(blob.digest);
  if (store.blob_bytes(blob.digest) == blob.size) return {};
  const Fd fd(
      open_beneath(folder, ("blobs/sha256/" + blob.digest.hex()).c_str(), O_RDONLY | O_NONBLOCK));
  if (!fd)
    return base::fail_errno(
        errno, fmt::format("the layout does not hold the blob {}", blob.digest.text()));
  TRY(const auto writer, store.new_blob());
  std::array<std::uint8_t, 256 << 10> piece;
  while (true) {
    if (cancel.cancelled()) return std::unexpected(CancelToken::error());
    const ssize_t got = read(fd.get(), piece.data(), piece.size());
    if (got < 0)
      return base::fail_errno(errno, fmt::format("cannot read the blob {}", blob.digest.text()));
    if (got == 0) break;
    if (writer->bytes() + std::uint64_t(got) > blob.size) {
      return base::fail(
          base::Errc::NotVerified,
          fmt::format("the blob {} is longer than the {} bytes that its manifest says",
                      blob.digest.text(), blob.size));
    }
    TRY_DO(writer->append(base::BytesView(piece).first(std::size_t(got))));
  }
  TRY_DO(writer->commit(pins, blob.digest));
  return {};
}

base::Result<std::vector<ImageRecord>> import_folder(ImageStore& store, BlobPins& pins,
                                                     const std::string& path,
                                                     const ImportRequest& request,
                                                     const CancelToken& cancel) {
  const Fd folder(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return base::fail_errno(errno, fmt::format("cannot open {}", path));
  TRY(const std::string layout, read_small(folder.get(), "oci-layout"));
  TRY_DO(check_oci_layout(layout));
  TRY(const std::string index, read_small(folder.get(), "index.json"));
  const auto name = std::filesystem::path(path).lexically_normal();
  return bring_layout(
      store, index, (name.has_filename() ? name : name.parent_path()).filename().string(), request,
      [&](const Descriptor& blob) { return copy_blob(store, pins, folder.get(), blob, cancel); });
}

struct ArchiveFree {
  void operator()(archive* a) const { archive_read_free(a); }
};

/// A file of an archive that went into the store.
struct StoredFile {
  ContentDigest digest;
  std::uint64_t bytes = 0;
  std::string beginning;  ///< Enough to tell a compression.
};

class ArchiveReader {
 public:
  ArchiveReader(ImageStore& store, BlobPins& pins, const ImportRequest& request,
                const CancelToken& cancel)
      : store_(store),
        pins_(pins),
        request_(request),
        cancel_(cancel),
        archive_(archive_read_new()) {}

  base::Result<std::vector<ImageRecord>> run(int fd, const std::string& archive_name) {
    TRY_DO(read(fd));
    // Archives of newer Dockers are both; the layout keeps manifests as they were signed.
    if (const auto layout = documents_.find("oci-layout");
        layout != documents_.end() && documents_.contains("index.json")) {
      TRY_DO(check_oci_layout(layout->second));
      return bring_layout(store_, documents_["index.json"], archive_name, request_,
                          [&](const Descriptor& blob) { return require(blob); });
    }
    if (documents_.contains("manifest.json")) return bring_docker();
    return std::unexpected(
        base::with_hint(base::make_error(base::Errc::InvalidArgument, "the archive holds no image"),
                        "an OCI layout archive (oci-layout, index.json) or what docker save writes "
                        "(manifest.json) is needed"));
  }

 private:
  base::Error archive_error() {
    const char* text = archive_error_string(archive_.get());
    return base::make_error(
        base::Errc::InvalidArgument,
        fmt::format("the archive cannot be read: {}", text ? text : "malformed"));
  }

  base::Result<> read(int fd) {
    if (!archive_) return base::fail(base::Errc::ResourceExhausted, "no memory to read an archive");
    archive_read_support_format_tar(archive_.get());
    archive_read_support_filter_gzip(archive_.get());
    archive_read_support_filter_zstd(archive_.get());
    if (archive_read_open_fd(archive_.get(), fd, 256 << 10) != ARCHIVE_OK)
      return std::unexpected(archive_error());
    archive_entry* entry = nullptr;
    for (std::size_t count = 0;; ++count) {
      const int status = archive_read_next_header(archive_.get(), &entry);
      if (status == ARCHIVE_EOF) return {};
      if (status != ARCHIVE_OK) return std::unexpected(archive_error());
      if (count == kArchiveEntriesMax)
        return base::fail(base::Errc::InvalidArgument,
                          fmt::format("the archive has more than {} entries", kArchiveEntriesMax));
      const char* path = archive_entry_pathname(entry);
      TRY(const LayerPath name, parse_layer_path(path ? path : ""));
      if (const char* target = archive_entry_symlink(entry)) {
        // `docker save` links equal layers: "../<id>/layer.tar".
        links_[name.text()] =
            (std::filesystem::path(name.text()).parent_path() / target).lexically_normal().string();
      } else if (const char* same = archive_entry_hardlink(entry)) {
        links_[name.text()] = std::filesystem::path(same).lexically_normal().string();
      } else if (archive_entry_filetype(entry) == AE_IFREG) {
        TRY_DO(take(name.text()));
      }
    }
  }

  base::Result<> for_each_piece(const std::function<base::Result<>(base::BytesView)>& use) {
    std::array<std::uint8_t, 128 << 10> piece;
    while (true) {
      if (cancel_.cancelled()) return std::unexpected(CancelToken::error());
      const la_ssize_t got = archive_read_data(archive_.get(), piece.data(), piece.size());
      if (got < 0) return std::unexpected(archive_error());
      if (got == 0) return {};
      bytes_ += std::uint64_t(got);
      if (bytes_ > request_.bytes_max) {
        return base::fail(
            base::Errc::ResourceExhausted,
            fmt::format("the archive is refused: it holds more than {} bytes", request_.bytes_max));
      }
      TRY_DO(use(base::BytesView(piece).first(std::size_t(got))));
    }
  }

  base::Result<> take(const std::string& name) {
    if (name == "oci-layout" || name == "index.json" || name == "manifest.json") {
      std::string& text = documents_[name];
      text.clear();
      return for_each_piece([&](base::BytesView piece) -> base::Result<> {
        text += base::as_text(piece);
        if (text.size() > kManifestBytesMax)
          return base::fail(base::Errc::InvalidArgument,
                            fmt::format("{} has more than {} bytes", name, kManifestBytesMax));
        return {};
      });
    }
    StoredFile file;
    TRY(const auto writer, store_.new_blob());
    TRY_DO(for_each_piece([&](base::BytesView piece) -> base::Result<> {
      if (file.beginning.size() < 4)
        file.beginning += base::as_text(piece.first(std::min<std::size_t>(4, piece.size())));
      return writer->append(piece);
    }));
    file.bytes = writer->bytes();
    std::optional<ContentDigest> expected;
    constexpr std::string_view kBlobs = "blobs/sha256/";
    if (name.starts_with(kBlobs)) {
      TRY(expected, parse_digest_hex(std::string_view(name).substr(kBlobs.size())));
    }
    TRY(file.digest, writer->commit(pins_, expected));
    files_[name] = std::move(file);
    return {};
  }

  base::Result<> require(const Descriptor& blob) {
    const auto bytes = store_.blob_bytes(blob.digest);
    if (!bytes)
      return base::fail(base::Errc::NotFound,
                        fmt::format("the archive does not hold the blob {}", blob.digest.text()));
    pins_.add(blob.digest);
    if (*bytes == blob.size) return {};
    return base::fail(base::Errc::NotVerified,
                      fmt::format("the blob {} has {} bytes, not the {} that its manifest says",
                                  blob.digest.text(), *bytes, blob.size));
  }

  base::Result<const StoredFile*> file(const std::string& name) {
    std::string at = std::filesystem::path(name).lexically_normal().string();
    for (int links = 0; links < 8; ++links) {
      if (const auto it = files_.find(at); it != files_.end()) return &it->second;
      const auto link = links_.find(at);
      if (link == links_.end()) break;
      at = link->second;
    }
    return base::fail(base::Errc::NotFound,
                      fmt::format("the archive does not hold \"{}\"", name.substr(0, 300)));
  }

  base::Result<std::vector<ImageRecord>> bring_docker() {
    TRY(const auto images, parse_docker_archive(documents_["manifest.json"]));
    if (!request_.reference.empty() && images.size() != 1) {
      return base::fail(base::Errc::InvalidArgument,
                        fmt::format("the archive holds {} images; a name can be given to one only",
                                    images.size()));
    }
    std::vector<ImageRecord> out;
    for (const auto& image : images) {
      TRY(const StoredFile* config_file, file(image.config_path));
      const Descriptor config{.media_type = std::string(media_type::kOciConfig),
                              .digest = config_file->digest,
                              .size = config_file->bytes,
                              .annotations = {},
                              .platform = {}};
      std::vector<Descriptor> layers;
      for (const auto& path : image.layer_paths) {
        TRY(const StoredFile* layer, file(path));
        const bool gzip = layer->beginning.starts_with("\x1f\x8b");
        const bool zstd = layer->beginning == "\x28\xb5\x2f\xfd";
        layers.push_back({.media_type = std::string(gzip   ? media_type::kOciLayerGzip
                                                    : zstd ? media_type::kOciLayerZstd
                                                           : media_type::kOciLayer),
                          .digest = layer->digest,
                          .size = layer->bytes,
                          .annotations = {},
                          .platform = {}});
      }
      const std::string manifest = make_oci_manifest(config, layers);
      TRY(const ContentDigest digest, store_.put_blob(manifest, pins_));
      const Descriptor target{.media_type = std::string(media_type::kOciManifest),
                              .digest = digest,
                              .size = manifest.size(),
                              .annotations = {},
                              .platform = {}};
      std::vector<std::string> names = image.tags;
      if (!request_.reference.empty()) names = {request_.reference};
      if (names.empty()) {
        return std::unexpected(
            base::with_hint(base::make_error(base::Errc::InvalidArgument,
                                             "the archive holds an image without a name"),
                            "give one: hm image import PATH NAME"));
      }
      for (const auto& name : names) {
        TRY(const ImageReference reference, parse_reference(name));
        TRY(ImageRecord record, bring(store_, reference, target, request_,
                                      [&](const Descriptor& blob) { return require(blob); }));
        out.push_back(std::move(record));
      }
    }
    return out;
  }

  ImageStore& store_;
  BlobPins& pins_;
  const ImportRequest& request_;
  const CancelToken& cancel_;
  std::unique_ptr<archive, ArchiveFree> archive_;
  std::map<std::string, std::string> documents_;
  std::map<std::string, StoredFile> files_;
  std::map<std::string, std::string> links_;
  std::uint64_t bytes_ = 0;
};

}  // namespace

base::Result<std::vector<ImageRecord>> import_archive(ImageStore& store, BlobPins& pins, int fd,
                                                      const std::string& name,
                                                      const ImportRequest& request,
                                                      const CancelToken& cancel) {
  return ArchiveReader(store, pins, request, cancel).run(fd, name);
}

base::Result<std::vector<ImageRecord>> import_images(ImageStore& store, BlobPins& pins,
                                                     const std::string& path,
                                                     const ImportRequest& request,
                                                     const CancelToken& cancel) {
  struct stat status{};
  if (stat(path.c_str(), &status) != 0)
    return base::fail_errno(errno, fmt::format("cannot open {}", path));
  if (S_ISDIR(status.st_mode)) return import_folder(store, pins, path, request, cancel);
  if (!S_ISREG(status.st_mode))
    return base::fail(base::Errc::InvalidArgument,
                      fmt::format("{} is neither a folder nor a file", path));
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return base::fail_errno(errno, fmt::format("cannot open {}", path));
  auto records = import_archive(store, pins, fd.get(),
                                std::filesystem::path(path).filename().string(), request, cancel);
  if (!records) return std::unexpected(base::wrap(std::move(records).error(), path));
  return records;
}

}  // namespace hypermesh
