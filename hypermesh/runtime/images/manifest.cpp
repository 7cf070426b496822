#include "runtime/images/manifest.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>

#include "runtime/images/bounded_json.hpp"

namespace hypermesh {
namespace {

using nlohmann::json;

constexpr std::size_t kAnnotationsMax = 1000;
constexpr std::array kLayerTypes = {media_type::kOciLayer,        media_type::kOciLayerGzip,
                                    media_type::kOciLayerZstd,    media_type::kDockerLayer,
                                    media_type::kDockerLayerGzip, media_type::kDockerLayerZstd};

base::Result<Descriptor> parse_descriptor(const json& value, std::string path) {
  TRY(const JsonObject object, JsonObject::open(value, std::move(path)));
  Descriptor out;
  TRY(out.media_type, object.required_text("mediaType", 255));
  TRY(const std::string digest, object.required_text("digest", 255));
  auto parsed = parse_digest(digest);
  if (!parsed) {
    auto error = object.wrong("digest", "is " + parsed.error().message);
    error.code = parsed.error().code;
    return std::unexpected(std::move(error));
  }
  out.digest = *parsed;
  TRY(out.size, object.required_number("size", kBlobBytesMax));
  TRY(const auto annotations, object.pairs("annotations", kAnnotationsMax));
  out.annotations.insert(annotations.begin(), annotations.end());
  if (const json* platform = object.member("platform")) {
    TRY(const JsonObject read, JsonObject::open(*platform, object.path() + ".platform"));
    Platform found;
    TRY(found.os, read.text("os", 64));
    TRY(found.architecture, read.text("architecture", 64));
    TRY(found.variant, read.text("variant", 64));
    out.platform = std::move(found);
  }
  return out;
}

base::Result<std::vector<Descriptor>> parse_descriptors(const JsonObject& parent, const char* key,
                                                        std::size_t count_max) {
  TRY(const json* list, parent.array(key, count_max));
  if (!list) return std::unexpected(parent.wrong(key, "is missing"));
  std::vector<Descriptor> out;
  out.reserve(list->size());
  for (std::size_t i = 0; i < list->size(); ++i) {
    TRY(Descriptor next,
        parse_descriptor((*list)[i], fmt::format("{}: {}[{}]", parent.path(), key, i)));
    out.push_back(std::move(next));
  }
  return out;
}

base::Result<ImageManifest> parse_image(const JsonObject& object) {
  const json* config = object.member("config");
  if (!config) return std::unexpected(object.wrong("config", "is missing"));
  ImageManifest out;
  TRY(out.config, parse_descriptor(*config, object.path() + ": config"));
  if (out.config.media_type != media_type::kOciConfig &&
      out.config.media_type != media_type::kDockerConfig) {
    return base::fail(base::Errc::Unsupported,
                      fmt::format("{}: it is an artifact of type {}, not a container image",
                                  object.path(), out.config.media_type));
  }
  TRY(out.layers, parse_descriptors(object, "layers", kLayersMax));
  for (std::size_t i = 0; i < out.layers.size(); ++i) {
    const std::string& type = out.layers[i].media_type;
    if (std::ranges::find(kLayerTypes, type) == kLayerTypes.end()) {
      return base::fail(
          base::Errc::Unsupported,
          fmt::format("{}: layers[{}].mediaType is \"{}\"; one of these is needed: {}",
                      object.path(), i, type, fmt::join(kLayerTypes, ", ")));
    }
  }
  return out;
}

// What a media type says a document is.
enum class Shape { Unsaid, Manifest, Index };

base::Result<Shape> shape_of(std::string_view type, std::string_view what) {
  type = type.substr(0, type.find(';'));  // "; charset=utf-8"
  while (type.ends_with(' ')) type.remove_suffix(1);
  if (is_index_type(type)) return Shape::Index;
  if (is_manifest_type(type)) return Shape::Manifest;
  if (type.starts_with("application/vnd.docker.distribution.manifest.v1+")) {
    return std::unexpected(base::with_hint(
        base::make_error(
            base::Errc::Unsupported,
            fmt::format("{}: its format is Docker's manifest schema 1, which nobody can verify",
                        what)),
        "push the image again with a current tool"));
  }
  return Shape::Unsaid;
}

}  // namespace

bool is_index_type(std::string_view type) {
  return type == media_type::kOciIndex || type == media_type::kDockerList;
}
bool is_manifest_type(std::string_view type) {
  return type == media_type::kOciManifest || type == media_type::kDockerManifest;
}

std::string manifest_accept_header() {
  return fmt::format("{}, {}, {}, {}", media_type::kOciIndex, media_type::kOciManifest,
                     media_type::kDockerList, media_type::kDockerManifest);
}

base::Result<ManifestDocument> parse_manifest(std::string_view text, std::string_view content_type,
                                              std::string_view what) {
  TRY(const json document,
      parse_bounded_json(text, what, JsonLimits{.bytes_max = kManifestBytesMax}));
  TRY(const JsonObject object, JsonObject::open(document, std::string(what)));
  TRY(const std::uint64_t schema, object.required_number("schemaVersion", 1000));
  if (schema != 2) {
    return base::fail(base::Errc::Unsupported,
                      fmt::format("{}: schemaVersion is {}; 2 is supported", what, schema));
  }
  TRY(const std::string embedded, object.text("mediaType", 255));
  TRY(const Shape told, shape_of(content_type, what));
  TRY(const Shape says, shape_of(embedded, what));
  if (!embedded.empty() && says == Shape::Unsaid) {
    return base::fail(base::Errc::Unsupported,
                      fmt::format("{}: mediaType is \"{}\", which is no image", what, embedded));
  }
  // GHSA-77vh-xpmg-72qh: what one reader takes for an index and another for a manifest names two
  // images with one digest.
  if (object.has("manifests") && (object.has("layers") || object.has("config"))) {
    return base::fail(
        base::Errc::InvalidArgument,
        fmt::format("{}: it has \"manifests\" beside \"layers\" or \"config\"; it must be one kind",
                    what));
  }
  const Shape is = object.has("manifests") ? Shape::Index : Shape::Manifest;
  for (const auto& [claimed, by] :
       {std::pair(told, content_type), std::pair(says, std::string_view(embedded))}) {
    if (claimed != Shape::Unsaid && claimed != is) {
      return base::fail(base::Errc::InvalidArgument,
                        fmt::format("{}: it is called \"{}\" but has the members of {}", what, by,
                                    is == Shape::Index ? "an index" : "a manifest"));
    }
  }
  if (is == Shape::Index) {
    TRY(auto manifests, parse_descriptors(object, "manifests", kIndexEntriesMax));
    return ImageIndex{std::move(manifests)};
  }
  TRY(auto manifest, parse_image(object));
  return manifest;
}

base::Result<Descriptor> select_manifest(const ImageIndex& index, const Platform& host,
                                         std::string_view what) {
  std::vector<std::optional<Platform>> platforms;
  std::set<std::string> available;
  for (const Descriptor& entry : index.manifests) {
    const bool image = is_manifest_type(entry.media_type) || is_index_type(entry.media_type);
    platforms.push_back(image ? entry.platform : std::nullopt);
    // Build attestations call themselves unknown/unknown.
    if (image && entry.platform && entry.platform->os != "unknown")
      available.insert(entry.platform->text());
  }
  if (const auto best = select_platform(host, platforms)) return index.manifests[*best];
  // An index of one image that does not say its platform: the image's configuration will.
  if (index.manifests.size() == 1 && !index.manifests[0].platform &&
      is_manifest_type(index.manifests[0].media_type)) {
    return index.manifests[0];
  }
  return base::fail(
      base::Errc::NotFound,
      fmt::format("{}: there is no image for {}; there are: {}", what, host.text(),
                  available.empty() ? "none" : fmt::format("{}", fmt::join(available, ", "))));
}

}  // namespace hypermesh
