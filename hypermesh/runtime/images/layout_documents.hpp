#pragma once

// The small documents inside image archives: OCI's oci-layout and index.json (image-layout.md), and
// manifest.json of `docker save`.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/images/image_config.hpp"
#include "runtime/images/manifest.hpp"
#include "runtime/images/reference.hpp"

namespace hypermesh {

/// Errors: InvalidArgument (not a layout), Unsupported (another version).
base::Result<> check_oci_layout(std::string_view oci_layout_json);

/// An image of a layout and what the layout calls it.
struct LayoutEntry {
  Descriptor descriptor;
  std::string
      name;  ///< "io.containerd.image.name", else "org.opencontainers.image.ref.name", else empty.
};
/// Errors: InvalidArgument, NotFound (no image in it).
base::Result<std::vector<LayoutEntry>> parse_layout_index(std::string_view index_json);

/// What an entry is called here. `reference` is what the person asked for, empty: take the layout's
/// names; `archive_name` stands for the repository where the layout has tags only. Errors:
/// InvalidArgument.
base::Result<ImageReference> layout_reference(const LayoutEntry& entry,
                                              std::string_view archive_name);

/// Which entries are meant: with a `reference`, the one entry that there is or whose tag fits;
/// without, all. Errors: InvalidArgument (several could be meant; lists them).
base::Result<std::vector<std::pair<ImageReference, Descriptor>>> choose_layout_entries(
    const std::vector<LayoutEntry>& entries, std::string_view reference,
    std::string_view archive_name);

/// An image of a docker-archive.
struct DockerArchiveEntry {
  std::string config_path;
  std::vector<std::string> tags;         ///< "web:1"
  std::vector<std::string> layer_paths;  ///< Bottom first.
};
base::Result<std::vector<DockerArchiveEntry>> parse_docker_archive(std::string_view manifest_json);

/// A manifest in OCI's form: what a docker-archive and an export need.
std::string make_oci_manifest(const Descriptor& config, const std::vector<Descriptor>& layers);
/// index.json of an export: one image under `reference`.
std::string make_layout_index(const Descriptor& manifest, const ImageReference& reference);
inline constexpr std::string_view kOciLayoutDocument = "{\"imageLayoutVersion\":\"1.0.0\"}";

}  // namespace hypermesh
