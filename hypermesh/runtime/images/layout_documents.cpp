#include "runtime/images/layout_documents.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "runtime/images/bounded_json.hpp"

namespace hypermesh {
namespace {

using nlohmann::json;

constexpr const char* kRefName = "org.opencontainers.image.ref.name";
constexpr const char* kImageName = "io.containerd.image.name";
constexpr std::size_t kArchiveImagesMax = 256;

json descriptor_json(const Descriptor& descriptor) {
  json out{{"mediaType", descriptor.media_type},
           {"digest", descriptor.digest.text()},
           {"size", descriptor.size}};
  if (!descriptor.annotations.empty()) out["annotations"] = descriptor.annotations;
  if (descriptor.platform) {
    json platform{{"os", descriptor.platform->os},
                  {"architecture", descriptor.platform->architecture}};
    if (!descriptor.platform->variant.empty()) platform["variant"] = descriptor.platform->variant;
    out["platform"] = std::move(platform);
  }
  return out;
}

// A repository's name out of a file's: "My App.tar" -> "my-app".
std::string repository_from(std::string_view name) {
  for (const std::string_view ending : {".gz", ".zst", ".tgz", ".tar", ".oci"}) {
    if (name.ends_with(ending) && name.size() > ending.size()) name.remove_suffix(ending.size());
  }
  std::string out;
  for (char c : name) {
    if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
    const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (plain)
      out += c;
    else if (!out.empty() && out.back() != '-')
      out += '-';
  }
  while (out.ends_with('-')) out.pop_back();
  return out.empty() ? "image" : out;
}

}  // namespace

base::Result<> check_oci_layout(std::string_view text) {
  TRY(const json document, parse_bounded_json(text, "oci-layout", JsonLimits{.bytes_max = 4096}));
  TRY(const JsonObject object, JsonObject::open(document, "oci-layout"));
  TRY(const std::string version, object.required_text("imageLayoutVersion", 32));
  if (!version.starts_with("1.")) {
    return base::fail(
        base::Errc::Unsupported,
        fmt::format("oci-layout: imageLayoutVersion is \"{}\"; 1.0.0 is supported", version));
  }
  return {};
}

base::Result<std::vector<LayoutEntry>> parse_layout_index(std::string_view text) {
  TRY(ManifestDocument document, parse_manifest(text, "", "index.json"));
  auto* index = std::get_if<ImageIndex>(&document);
  if (!index)
    return base::fail(base::Errc::InvalidArgument,
                      "index.json: it is a manifest; must be an index");
  std::vector<LayoutEntry> out;
  for (Descriptor& descriptor : index->manifests) {
    if (!is_manifest_type(descriptor.media_type) && !is_index_type(descriptor.media_type)) continue;
    std::string name;
    if (const auto full = descriptor.annotations.find(kImageName);
        full != descriptor.annotations.end())
      name = full->second;
    else if (const auto tag = descriptor.annotations.find(kRefName);
             tag != descriptor.annotations.end())
      name = tag->second;
    out.push_back({std::move(descriptor), std::move(name)});
  }
  if (out.empty()) return base::fail(base::Errc::NotFound, "index.json: there is no image in it");
  return out;
}

base::Result<ImageReference> layout_reference(const LayoutEntry& entry,
                                              std::string_view archive_name) {
  const std::string repository = repository_from(archive_name);
  if (entry.name.empty()) return parse_reference("localhost/" + repository);
  // "1.27" is a tag; "web:1" and "example.org/web" are names.
  if (entry.name.find_first_of("/:") == std::string::npos) {
    return parse_reference(fmt::format("localhost/{}:{}", repository, entry.name));
  }
  return parse_reference(entry.name);
}

base::Result<std::vector<std::pair<ImageReference, Descriptor>>> choose_layout_entries(
    const std::vector<LayoutEntry>& entries, std::string_view reference,
    std::string_view archive_name) {
  std::vector<std::pair<ImageReference, Descriptor>> out;
  if (reference.empty()) {
    for (const auto& entry : entries) {
      TRY(ImageReference name, layout_reference(entry, archive_name));
      out.emplace_back(std::move(name), entry.descriptor);
    }
    return out;
  }
  TRY(ImageReference wanted, parse_reference(reference));
  if (wanted.digest) {
    return base::fail(
        base::Errc::InvalidArgument,
        fmt::format("\"{}\": an import is named by a tag, not by a digest", reference));
  }
  const auto take = [&](const LayoutEntry& entry) { out.emplace_back(wanted, entry.descriptor); };
  if (entries.size() == 1) {
    take(entries.front());
    return out;
  }
  std::vector<std::string> names;
  for (const auto& entry : entries) {
    names.push_back(entry.name.empty() ? entry.descriptor.digest.text() : entry.name);
    const auto named = parse_reference(entry.name);
    if (entry.name == wanted.tag || (named && *named == wanted)) take(entry);
  }
  if (out.size() != 1) {
    return base::fail(
        base::Errc::InvalidArgument,
        fmt::format("the archive holds {} images and \"{}\" names {} of them; there are: {}",
                    entries.size(), reference, out.empty() ? "none" : "several",
                    fmt::join(names, ", ")));
  }
  return out;
}

base::Result<std::vector<DockerArchiveEntry>> parse_docker_archive(std::string_view text) {
  TRY(const json document, parse_bounded_json(text, "manifest.json"));
  if (!document.is_array() || document.empty() || document.size() > kArchiveImagesMax) {
    return base::fail(
        base::Errc::InvalidArgument,
        fmt::format("manifest.json: must be an array of 1 to {} images", kArchiveImagesMax));
  }
  std::vector<DockerArchiveEntry> out;
  for (std::size_t i = 0; i < document.size(); ++i) {
    TRY(const JsonObject object,
        JsonObject::open(document[i], fmt::format("manifest.json: [{}]", i)));
    DockerArchiveEntry entry;
    TRY(entry.config_path, object.required_text("Config"));
    TRY(entry.tags, object.texts("RepoTags", 1000));
    TRY(entry.layer_paths, object.texts("Layers", kLayersMax));
    out.push_back(std::move(entry));
  }
  return out;
}

std::string make_oci_manifest(const Descriptor& config, const std::vector<Descriptor>& layers) {
  json list = json::array();
  for (const auto& layer : layers) list.push_back(descriptor_json(layer));
  return json{{"schemaVersion", 2},
              {"mediaType", media_type::kOciManifest},
              {"config", descriptor_json(config)},
              {"layers", std::move(list)}}
      .dump();
}

std::string make_layout_index(const Descriptor& manifest, const ImageReference& reference) {
  Descriptor named = manifest;
  named.annotations[kImageName] = reference.text();
  if (!reference.tag.empty()) named.annotations[kRefName] = reference.tag;
  return json{{"schemaVersion", 2},
              {"mediaType", media_type::kOciIndex},
              {"manifests", json::array({descriptor_json(named)})}}
      .dump();
}

}  // namespace hypermesh
