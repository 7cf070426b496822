#pragma once

// Which names stand for which images on this node, and which blobs and layers that keeps. Values
// and decisions only; ImageStore keeps them on disk.

#include <base/time.hpp>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/images/digest.hpp"
#include "runtime/images/image_config.hpp"
#include "runtime/images/manifest.hpp"
#include "runtime/images/reference.hpp"

namespace hypermesh {

/// One name and all that it needs.
struct ImageRecord {
  std::string reference;                ///< ImageReference::text()
  ContentDigest target;                 ///< What the name points to: an index or a manifest.
  ContentDigest manifest;               ///< The one for this node's platform.
  ContentDigest config;                 ///< The image's id.
  std::vector<ContentDigest> layers;    ///< Blobs, bottom first.
  std::vector<ContentDigest> diff_ids;  ///< The same, uncompressed.
  std::string platform;
  std::uint64_t bytes = 0;   ///< Compressed layers and configuration.
  base::WallTime created{};  ///< As the image says; the epoch when it does not.
  base::WallTime stored{};
  bool only_for_containers =
      false;  ///< Its tag moved on or was removed while containers ran from it.

  bool operator==(const ImageRecord&) const = default;
  std::vector<ContentDigest> blobs() const;
};

/// All names of a node.
class ImageRecords {
 public:
  /// Replaces the name's old image, if there is one.
  void put(ImageRecord record);
  /// False when there is none.
  bool erase(const std::string& reference) { return by_reference_.erase(reference) > 0; }

  /// By tag: exactly that name. By digest: any name of the same repository that points to it, or
  /// whose manifest it is.
  const ImageRecord* find(const ImageReference& reference) const;
  /// By name as above, or by id: "sha256:..." or at least 12 hex digits of it. Errors:
  /// InvalidArgument (neither), NotFound, Conflict (an abbreviated id of several images).
  base::Result<const ImageRecord*> find_text(std::string_view text) const;
  /// Every name of the image with this id.
  std::vector<const ImageRecord*> of_image(const ContentDigest& config) const;
  /// What must be kept beside when `reference` is to be removed or to become `next` (null: removed)
  /// while containers run from it: the same image under its digest. Empty when some other name of
  /// the repository points to it.
  std::optional<ImageRecord> displaced(const std::string& reference, const ImageRecord* next) const;
  const std::map<std::string, ImageRecord>& all() const { return by_reference_; }

  /// JSON, the same bytes for the same records.
  std::string encode() const;
  /// Errors: DataLoss, Unsupported (written by a newer version).
  static base::Result<ImageRecords> decode(std::string_view json);

 private:
  std::map<std::string, ImageRecord> by_reference_;
};

/// The record of an image whose documents are at hand. Errors: InvalidArgument (they do not fit
/// each other), NotFound (it is for another platform).
base::Result<ImageRecord> make_record(const ImageReference& reference, const ContentDigest& target,
                                      const ContentDigest& manifest_digest,
                                      const ImageManifest& manifest, const ImageConfig& config,
                                      const Platform& host, base::WallTime now);

/// Blobs that some name needs.
std::set<ContentDigest> needed_blobs(const ImageRecords& records);
/// Layer folders that some name may need: each by its diff id and by its chain id.
std::set<ContentDigest> needed_layers(const ImageRecords& records);
/// Layer folders that one image may need.
std::set<ContentDigest> layers_of(const std::vector<ContentDigest>& diff_ids);

}  // namespace hypermesh
