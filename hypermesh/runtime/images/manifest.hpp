#pragma once

// Manifests and indexes of images, OCI's and Docker's (OCI image spec 1.1, manifest.md and
// image-index.md; Docker's Image Manifest Version 2, Schema 2).

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "runtime/images/digest.hpp"
#include "runtime/images/platform.hpp"

namespace hypermesh {

inline constexpr std::size_t kManifestBytesMax = 4u << 20;
/// Overlay stacks 500 lower folders at most; Docker builds 127.
inline constexpr std::size_t kLayersMax = 128;
inline constexpr std::size_t kIndexEntriesMax = 1024;
inline constexpr std::uint64_t kBlobBytesMax = 64ull << 30;

namespace media_type {
inline constexpr std::string_view kOciIndex = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view kOciManifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view kOciConfig = "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view kOciLayer = "application/vnd.oci.image.layer.v1.tar";
inline constexpr std::string_view kOciLayerGzip = "application/vnd.oci.image.layer.v1.tar+gzip";
inline constexpr std::string_view kOciLayerZstd = "application/vnd.oci.image.layer.v1.tar+zstd";
inline constexpr std::string_view kDockerList =
    "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr std::string_view kDockerManifest =
    "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view kDockerConfig = "application/vnd.docker.container.image.v1+json";
inline constexpr std::string_view kDockerLayer = "application/vnd.docker.image.rootfs.diff.tar";
inline constexpr std::string_view kDockerLayerGzip =
    "application/vnd.docker.image.rootfs.diff.tar.gzip";
inline constexpr std::string_view kDockerLayerZstd =
    "application/vnd.docker.image.rootfs.diff.tar.zstd";
}  // namespace media_type

/// Names a blob: what it is, how long it is, its digest.
struct Descriptor {
  std::string media_type;
  ContentDigest digest;
  std::uint64_t size = 0;  ///< Bytes.
  std::map<std::string, std::string> annotations;
  std::optional<Platform> platform;  ///< In indexes.
};

struct ImageManifest {
  Descriptor config;
  std::vector<Descriptor> layers;  ///< Bottom first.
};
struct ImageIndex {
  std::vector<Descriptor> manifests;
};
using ManifestDocument = std::variant<ImageManifest, ImageIndex>;

/// `content_type` is what the source called it, empty when it did not say. `what` begins the
/// messages. Errors: InvalidArgument (malformed, or two readers could take it for different
/// things), Unsupported (schema 1,
///         artifacts that are not images, layers that lie elsewhere).
base::Result<ManifestDocument> parse_manifest(std::string_view json, std::string_view content_type,
                                              std::string_view what);

/// What to ask a registry for, best first: the value of Accept.
std::string manifest_accept_header();

/// The entry of `index` that fits `host`. Errors: NotFound (lists the platforms there are).
base::Result<Descriptor> select_manifest(const ImageIndex& index, const Platform& host,
                                         std::string_view what);

bool is_index_type(std::string_view type);
bool is_manifest_type(std::string_view type);

}  // namespace hypermesh
