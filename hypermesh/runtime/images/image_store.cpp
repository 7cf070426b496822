#include "runtime/images/image_store.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>

#include "runtime/images/beneath.hpp"

namespace hypermesh {
namespace {

constexpr const char* kIndex = "images.json";
constexpr const char* kNewIndex = "ingest/images.json";
constexpr std::size_t kIndexBytesMax = 256u << 20;

base::Error disk_error(int error_number, std::string what) {
  auto error = base::errno_error(error_number, std::move(what));
  if (error.code != base::Errc::ResourceExhausted) return error;
  return base::with_hint(
      std::move(error), "free disk space: hm image gc removes what no container and no name needs");
}

base::Result<Fd> make_folder(int parent, const char* name) {
  if (mkdirat(parent, name, 0700) != 0 && errno != EEXIST) {
    return std::unexpected(disk_error(errno, fmt::format("cannot make the folder {}", name)));
  }
  Fd fd(openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return base::fail_errno(errno, fmt::format("cannot open the folder {}", name));
  return fd;
}

base::Result<std::vector<std::string>> names_in(int folder) {
  const int again = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (again < 0) return base::fail_errno(errno, "cannot list the image store");
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(fdopendir(again), closedir);
  if (!dir) return base::fail_errno(errno, "cannot list the image store");
  std::vector<std::string> out;
  while (const dirent* entry = readdir(dir.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") out.push_back(name);
  }
  return out;
}

base::Result<> write_all(int fd, base::BytesView bytes, std::string_view what) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0)
      return std::unexpected(disk_error(errno, fmt::format("cannot write {}", what)));
    bytes = bytes.subspan(std::size_t(written));
  }
  return {};
}

/// Hands the file's content to `take` in pieces.
template <class F>
base::Result<> for_each_piece(int fd, F take) {
  std::vector<std::uint8_t> piece(256 << 10);
  while (true) {
    const ssize_t got = read(fd, piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return base::fail_errno(errno, "cannot read the image store");
    if (got == 0) return {};
    TRY_DO(take(base::BytesView(piece).first(std::size_t(got))));
  }
}

base::Result<std::string> read_file(int fd, std::size_t bytes_max, std::string_view what) {
  std::string out;
  TRY_DO(for_each_piece(fd, [&](base::BytesView piece) -> base::Result<> {
    if (out.size() + piece.size() > bytes_max) {
      return base::fail(base::Errc::ResourceExhausted,
                        fmt::format("{} has more than {} bytes", what, bytes_max));
    }
    out += base::as_text(piece);
    return {};
  }));
  return out;
}

}  // namespace

BlobPins::~BlobPins() {
  const std::lock_guard lock(store_->mutex_);
  for (const auto& digest : pinned_) {
    if (const auto it = store_->pins_.find(digest); --it->second == 0) store_->pins_.erase(it);
  }
}

void BlobPins::add(const ContentDigest& digest) {
  const std::lock_guard lock(store_->mutex_);
  ++store_->pins_[digest];
  pinned_.push_back(digest);
}

BlobWriter::~BlobWriter() {
  if (fd_) unlinkat(store_.ingest_.get(), name_.c_str(), 0);
}

base::Result<> BlobWriter::append(base::BytesView piece) {
  TRY_DO(write_all(fd_.get(), piece, "a blob into the image store"));
  hash_.update(piece);
  bytes_ += piece.size();
  return {};
}

base::Result<> BlobWriter::restart() {
  if (ftruncate(fd_.get(), 0) != 0 || lseek(fd_.get(), 0, SEEK_SET) < 0)
    return base::fail_errno(errno, "cannot write a blob again");
  hash_ = base::Sha256();
  bytes_ = 0;
  return {};
}

base::Result<ContentDigest> BlobWriter::commit(BlobPins& pins,
                                               std::optional<ContentDigest> expected) {
  const ContentDigest digest{hash_.finish()};
  if (expected && *expected != digest)
    return std::unexpected(digest_mismatch("a blob", *expected, digest));
  pins.add(digest);
  if (!store_.blob_bytes(digest)) pins.added_.push_back(digest);
  if (fsync(fd_.get()) != 0)
    return std::unexpected(disk_error(errno, "cannot write a blob into the image store"));
  if (renameat(store_.ingest_.get(), name_.c_str(), store_.blobs_.get(), digest.hex().c_str()) !=
      0) {
    return std::unexpected(disk_error(errno, "cannot keep a blob"));
  }
  fd_.reset();
  if (fsync(store_.blobs_.get()) != 0)
    return std::unexpected(disk_error(errno, "cannot keep a blob"));
  return digest;
}

base::Result<std::unique_ptr<ImageStore>> ImageStore::open(std::string root) {
  if (mkdir(root.c_str(), 0700) != 0 && errno != EEXIST)
    return std::unexpected(disk_error(errno, fmt::format("cannot make {}", root)));
  Fd folder(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return base::fail_errno(errno, fmt::format("cannot open {}", root));
  if (flock(folder.get(), LOCK_EX | LOCK_NB) != 0)
    return base::fail_errno(errno, fmt::format("another process has the images in {}", root));
  TRY(const Fd all_blobs, make_folder(folder.get(), "blobs"));
  TRY(Fd blobs, make_folder(all_blobs.get(), "sha256"));
  TRY(Fd ingest, make_folder(folder.get(), "ingest"));
  TRY(const auto leftovers, names_in(ingest.get()));
  for (const auto& name : leftovers) TRY_DO(remove_beneath(ingest.get(), name));
  std::unique_ptr<ImageStore> store(
      new ImageStore(std::move(root), std::move(folder), std::move(blobs), std::move(ingest)));
  TRY_DO(store->load());
  return store;
}

base::Result<> ImageStore::load() {
  const Fd fd(openat(folder_.get(), kIndex, O_RDONLY | O_CLOEXEC));
  if (!fd && errno != ENOENT)
    return base::fail_errno(errno, fmt::format("cannot read {}/{}", root_, kIndex));
  if (!fd) {
    publish({});
    return {};
  }
  TRY(const std::string text, read_file(fd.get(), kIndexBytesMax, kIndex));
  auto records = ImageRecords::decode(text);
  if (!records) {
    auto error =
        base::wrap(std::move(records).error(), fmt::format("{}/{} cannot be used", root_, kIndex));
    return std::unexpected(base::with_hint(
        std::move(error), "move it away to start without names; pull or import the images again"));
  }
  publish(*std::move(records));
  return {};
}

void ImageStore::publish(ImageRecords records) {
  auto next = std::make_shared<const ImageRecords>(std::move(records));
  const std::lock_guard lock(mutex_);
  records_ = std::move(next);
}

base::Result<> ImageStore::save(const ImageRecords& records) {
  const std::string text = records.encode();
  Fd fd(openat(folder_.get(), kNewIndex, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) return std::unexpected(disk_error(errno, "cannot write the names of images"));
  TRY_DO(write_all(fd.get(), base::as_bytes(text), "the names of images"));
  if (fsync(fd.get()) != 0 || renameat(folder_.get(), kNewIndex, folder_.get(), kIndex) != 0 ||
      fsync(folder_.get()) != 0) {
    return std::unexpected(disk_error(errno, "cannot write the names of images"));
  }
  return {};
}

std::shared_ptr<const ImageRecords> ImageStore::records() const {
  const std::lock_guard lock(mutex_);
  return records_;
}

base::Result<> ImageStore::change(const std::vector<std::string>& removed,
                                  std::vector<ImageRecord> added) {
  const std::lock_guard writing(write_mutex_);
  ImageRecords next = *records();
  for (const auto& reference : removed) next.erase(reference);
  for (auto& record : added) next.put(std::move(record));
  TRY_DO(save(next));
  publish(std::move(next));
  return {};
}

base::Result<std::unique_ptr<BlobWriter>> ImageStore::new_blob() {
  base::SystemRng rng;
  std::uint8_t bytes[12];
  rng.fill(bytes);
  std::string name = base::to_hex(bytes);
  Fd fd(openat(ingest_.get(), name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return std::unexpected(disk_error(errno, "cannot write into the image store"));
  return std::unique_ptr<BlobWriter>(new BlobWriter(*this, std::move(name), std::move(fd)));
}

base::Result<ContentDigest> ImageStore::put_blob(std::string_view bytes, BlobPins& pins) {
  TRY(const auto writer, new_blob());
  TRY_DO(writer->append(base::as_bytes(bytes)));
  return writer->commit(pins);
}

std::string ImageStore::blob_path(const ContentDigest& digest) const {
  return fmt::format("{}/blobs/sha256/{}", root_, digest.hex());
}

std::optional<std::uint64_t> ImageStore::blob_bytes(const ContentDigest& digest) const {
  struct stat status{};
  if (fstatat(blobs_.get(), digest.hex().c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 ||
      !S_ISREG(status.st_mode))
    return std::nullopt;
  return std::uint64_t(status.st_size);
}

base::Result<Fd> ImageStore::open_blob(const ContentDigest& digest) const {
  Fd fd(openat(blobs_.get(), digest.hex().c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return base::fail_errno(errno, fmt::format("cannot read the blob {}", digest.text()));
  return fd;
}

base::Result<> ImageStore::verify_blob(const ContentDigest& digest) {
  TRY(const Fd fd, open_blob(digest));
  base::Sha256 hash;
  TRY_DO(for_each_piece(fd.get(), [&](base::BytesView piece) -> base::Result<> {
    hash.update(piece);
    return {};
  }));
  const ContentDigest found{hash.finish()};
  if (found == digest) return {};
  unlinkat(blobs_.get(), digest.hex().c_str(), 0);
  return std::unexpected(base::with_hint(
      base::make_error(base::Errc::DataLoss,
                       fmt::format("the blob {} was damaged on disk (found {}) and is removed",
                                   digest.text(), found.text())),
      "pull or import the image again; check the disk"));
}

base::Result<std::string> ImageStore::read_blob(const ContentDigest& digest,
                                                std::size_t bytes_max) {
  TRY(const Fd fd, open_blob(digest));
  TRY(std::string text, read_file(fd.get(), bytes_max, fmt::format("the blob {}", digest.text())));
  if (digest_of(text) == digest) return text;
  TRY_DO(verify_blob(digest));
  return base::fail(base::Errc::DataLoss,
                    fmt::format("the blob {} reads differently each time", digest.text()));
}

base::Result<ImageStore::Garbage> ImageStore::collect() {
  TRY(const auto names, names_in(blobs_.get()));
  std::vector<ContentDigest> all;
  for (const auto& name : names) {
    if (const auto digest = parse_digest_hex(name)) all.push_back(*digest);
  }
  return collect(all);
}

base::Result<ImageStore::Garbage> ImageStore::collect(const std::vector<ContentDigest>& among) {
  const std::lock_guard writing(write_mutex_);
  const auto needed = needed_blobs(*records());
  Garbage out;
  for (const auto& digest : among) {
    if (needed.contains(digest)) continue;
    const std::string name = digest.hex();
    struct stat status{};
    if (fstatat(blobs_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
    // A pull pins a blob before it looks for it: it finds it kept, or gone, never going.
    const std::lock_guard lock(mutex_);
    if (pins_.contains(digest)) continue;
    if (unlinkat(blobs_.get(), name.c_str(), 0) != 0)
      return base::fail_errno(errno, fmt::format("cannot remove the blob {}", digest.text()));
    out.bytes += std::uint64_t(status.st_size);
    ++out.blobs;
  }
  return out;
}

}  // namespace hypermesh
