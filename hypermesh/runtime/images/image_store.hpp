#pragma once

// Blobs by their digest, and the names that stand for them, on disk.
//
//   <root>/blobs/sha256/<hex>   whole and verified, or not there
//   <root>/ingest/<random>      being written; removed at the next start
//   <root>/images.json          the names (ImageRecords), replaced as a whole
//
// A blob is written aside, hashed on the way, brought to disk and then renamed; a name is written
// after all that it needs. So a crash at any point leaves names whose blobs are whole, and perhaps
// blobs that nothing names.

#include <base/error.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/images/fd.hpp"
#include "runtime/images/image_records.hpp"
#include "runtime/images/registry_client.hpp"

namespace hypermesh {

class ImageStore;

/// Blobs that garbage collection leaves alone as long as this lives, whether they are there already
/// or not. Movable; thread safe against the store, not for itself.
class BlobPins {
 public:
  explicit BlobPins(ImageStore& store) : store_(&store) {}
  BlobPins(BlobPins&& other) noexcept
      : store_(other.store_),
        pinned_(std::exchange(other.pinned_, {})),
        added_(std::exchange(other.added_, {})) {}
  BlobPins& operator=(BlobPins&&) = delete;
  ~BlobPins();
  void add(const ContentDigest& digest);
  /// What was committed with these pins and not there before.
  const std::vector<ContentDigest>& added() const { return added_; }

 private:
  friend class BlobWriter;
  ImageStore* store_;
  std::vector<ContentDigest> pinned_, added_;
};

/// A blob on its way into the store. Let go before commit, it leaves nothing.
class BlobWriter final : public BlobSink {
 public:
  ~BlobWriter() override;
  base::Result<> append(base::BytesView piece) override;
  base::Result<> restart() override;
  std::uint64_t bytes() const { return bytes_; }
  /// Brings it to disk under its digest, pinned. Call once. Errors: NotVerified when it is not
  /// `expected`.
  base::Result<ContentDigest> commit(BlobPins& pins,
                                     std::optional<ContentDigest> expected = std::nullopt);

 private:
  friend class ImageStore;
  BlobWriter(ImageStore& store, std::string name, Fd fd)
      : store_(store), name_(std::move(name)), fd_(std::move(fd)) {}
  ImageStore& store_;
  const std::string name_;
  Fd fd_;
  base::Sha256 hash_;
  std::uint64_t bytes_ = 0;
};

/// Thread safe; every call but records(), pins and blob_path() blocks on the disk.
class ImageStore {
 public:
  struct Garbage {
    std::uint64_t bytes = 0;
    std::uint32_t blobs = 0;
  };

  /// Makes the folders, removes what a crash left half written. Errors: FailedPrecondition (another
  /// process has the folder), DataLoss (images.json is damaged: hints), those of the file system.
  static base::Result<std::unique_ptr<ImageStore>> open(std::string root);

  base::Result<std::unique_ptr<BlobWriter>> new_blob();
  base::Result<ContentDigest> put_blob(std::string_view bytes, BlobPins& pins);
  /// Empty when it is not there.
  std::optional<std::uint64_t> blob_bytes(const ContentDigest& digest) const;
  /// A small blob, hashed again. Errors: NotFound, DataLoss (damaged on disk; it is removed, so
  /// that a pull brings it back), ResourceExhausted (longer than `bytes_max`).
  base::Result<std::string> read_blob(const ContentDigest& digest, std::size_t bytes_max);
  /// For reading. Errors: NotFound.
  base::Result<Fd> open_blob(const ContentDigest& digest) const;
  /// Hashes a blob again. Errors: as read_blob.
  base::Result<> verify_blob(const ContentDigest& digest);
  std::string blob_path(const ContentDigest& digest) const;

  /// The names as they are now; never changes.
  std::shared_ptr<const ImageRecords> records() const;
  /// Removes names, then adds records, as one change that is on disk when it returns. The caller
  /// has all blobs of the records pinned.
  base::Result<> change(const std::vector<std::string>& removed, std::vector<ImageRecord> added);
  /// Removes blobs that neither a name nor a pin needs.
  base::Result<Garbage> collect();
  /// The same for some blobs only.
  base::Result<Garbage> collect(const std::vector<ContentDigest>& among);

 private:
  friend class BlobPins;
  friend class BlobWriter;
  ImageStore(std::string root, Fd folder, Fd blobs, Fd ingest)
      : root_(std::move(root)),
        folder_(std::move(folder)),
        blobs_(std::move(blobs)),
        ingest_(std::move(ingest)) {}
  base::Result<> load();
  base::Result<> save(const ImageRecords& records);
  void publish(ImageRecords records);

  const std::string root_;
  const Fd folder_, blobs_, ingest_;
  std::mutex
      write_mutex_;  ///< Held while names change or garbage goes, for as long as the disk takes.
  mutable std::mutex mutex_;
  std::shared_ptr<const ImageRecords> records_;  // Guarded by mutex_.
  std::map<ContentDigest, std::size_t> pins_;    // Guarded by mutex_.
};

}  // namespace hypermesh
