#include "runtime/images/image_records.hpp"

#include <fmt/format.h>

#include "runtime/images/bounded_json.hpp"

namespace hypermesh {
namespace {

using nlohmann::json;

constexpr unsigned kSchema = 1;
constexpr std::size_t kRecordsMax = 100'000;
constexpr std::size_t kShortIdMin = 12;
constexpr JsonLimits kLimits{.bytes_max = 256u << 20, .depth_max = 8, .values_max = 20'000'000};

json digests(const std::vector<ContentDigest>& list) {
  json out = json::array();
  for (const auto& digest : list) out.push_back(digest.text());
  return out;
}

json encode_record(const ImageRecord& record) {
  return json{{"reference", record.reference},
              {"target", record.target.text()},
              {"manifest", record.manifest.text()},
              {"config", record.config.text()},
              {"layers", digests(record.layers)},
              {"diffIds", digests(record.diff_ids)},
              {"platform", record.platform},
              {"bytes", record.bytes},
              {"created", base::to_rfc3339(record.created, 9)},
              {"stored", base::to_rfc3339(record.stored, 9)},
              {"onlyForContainers", record.only_for_containers ? 1 : 0}};
}

base::Result<ContentDigest> read_digest(const JsonObject& object, const char* key) {
  TRY(const std::string text, object.required_text(key));
  return parse_digest(text);
}

base::Result<std::vector<ContentDigest>> read_digests(const JsonObject& object, const char* key) {
  TRY(const auto texts, object.texts(key, kLayersMax));
  std::vector<ContentDigest> out;
  for (const auto& text : texts) {
    TRY(const ContentDigest digest, parse_digest(text));
    out.push_back(digest);
  }
  return out;
}

base::Result<ImageRecord> decode_record(const json& value, std::string path) {
  TRY(const JsonObject object, JsonObject::open(value, std::move(path)));
  ImageRecord out;
  TRY(out.reference, object.required_text("reference"));
  TRY(out.target, read_digest(object, "target"));
  TRY(out.manifest, read_digest(object, "manifest"));
  TRY(out.config, read_digest(object, "config"));
  TRY(out.layers, read_digests(object, "layers"));
  TRY(out.diff_ids, read_digests(object, "diffIds"));
  TRY(out.platform, object.text("platform"));
  TRY(out.bytes, object.number("bytes", UINT64_MAX));
  TRY(const std::string created, object.required_text("created"));
  TRY(out.created, base::parse_rfc3339(created));
  TRY(const std::string stored, object.required_text("stored"));
  TRY(out.stored, base::parse_rfc3339(stored));
  TRY(const std::uint64_t only, object.number("onlyForContainers", 1));
  out.only_for_containers = only != 0;
  return out;
}

base::Result<ImageRecords> decode_all(std::string_view text) {
  TRY(const json document, parse_bounded_json(text, "image index", kLimits));
  TRY(const JsonObject object, JsonObject::open(document, "image index"));
  TRY(const std::uint64_t schema, object.required_number("schema", 1'000'000));
  if (schema != kSchema) {
    return base::fail(
        base::Errc::Unsupported,
        fmt::format("image index: schema is {}; this version reads {}", schema, kSchema));
  }
  TRY(const json* images, object.array("images", kRecordsMax));
  if (!images) return std::unexpected(object.wrong("images", "is missing"));
  ImageRecords out;
  for (std::size_t i = 0; i < images->size(); ++i) {
    TRY(ImageRecord record, decode_record((*images)[i], fmt::format("image index: images[{}]", i)));
    out.put(std::move(record));
  }
  return out;
}

bool is_hex(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace

std::vector<ContentDigest> ImageRecord::blobs() const {
  std::vector<ContentDigest> out{target, manifest, config};
  out.insert(out.end(), layers.begin(), layers.end());
  return out;
}

void ImageRecords::put(ImageRecord record) {
  std::string key = record.reference;
  by_reference_.insert_or_assign(std::move(key), std::move(record));
}

const ImageRecord* ImageRecords::find(const ImageReference& reference) const {
  if (!reference.digest) {
    const auto it = by_reference_.find(reference.text());
    return it == by_reference_.end() ? nullptr : &it->second;
  }
  const std::string name = reference.name();
  for (auto it = by_reference_.lower_bound(name);
       it != by_reference_.end() && it->first.starts_with(name); ++it) {
    const char after = it->first.size() > name.size() ? it->first[name.size()] : '\0';
    if (after != ':' && after != '@') continue;
    if (it->second.target == *reference.digest || it->second.manifest == *reference.digest)
      return &it->second;
  }
  return nullptr;
}

std::optional<ImageRecord> ImageRecords::displaced(const std::string& reference,
                                                   const ImageRecord* next) const {
  const auto it = by_reference_.find(reference);
  if (it == by_reference_.end() || (next && next->target == it->second.target)) return std::nullopt;
  const auto name = parse_reference(reference);
  if (!name) return std::nullopt;
  ImageRecords rest = *this;
  rest.erase(reference);
  ImageRecord kept = it->second;
  kept.reference = name->pinned(kept.target);
  kept.only_for_containers = true;
  const auto pinned = parse_reference(kept.reference);
  if (!pinned || rest.find(*pinned)) return std::nullopt;
  return kept;
}

std::vector<const ImageRecord*> ImageRecords::of_image(const ContentDigest& config) const {
  std::vector<const ImageRecord*> out;
  for (const auto& [reference, record] : by_reference_) {
    if (record.config == config) out.push_back(&record);
  }
  return out;
}

base::Result<const ImageRecord*> ImageRecords::find_text(std::string_view text) const {
  const std::string_view hex = text.starts_with("sha256:") ? text.substr(7) : text;
  const bool may_be_id = is_hex(hex) && (text != hex || hex.size() >= kShortIdMin);
  if (may_be_id && hex.size() <= 64 && !hex.empty()) {
    const ImageRecord* found = nullptr;
    for (const auto& [reference, record] : by_reference_) {
      if (!record.config.hex().starts_with(hex)) continue;
      if (found && found->config != record.config) {
        return base::fail(base::Errc::Conflict,
                          fmt::format("\"{}\" is the beginning of several images' ids", text));
      }
      if (!found) found = &record;
    }
    if (found) return found;
  }
  auto reference = parse_reference(text);
  if (!reference && !may_be_id) return std::unexpected(std::move(reference).error());
  if (reference) {
    if (const ImageRecord* record = find(*reference)) return record;
  }
  return std::unexpected(base::with_hint(
      base::make_error(base::Errc::NotFound,
                       fmt::format("there is no image \"{}\" on this node", text.substr(0, 300))),
      "hm image ls shows those that are here"));
}

std::string ImageRecords::encode() const {
  json images = json::array();
  for (const auto& [reference, record] : by_reference_) images.push_back(encode_record(record));
  return json{{"schema", kSchema}, {"images", std::move(images)}}.dump(1) + "\n";
}

base::Result<ImageRecords> ImageRecords::decode(std::string_view text) {
  auto records = decode_all(text);
  if (!records && records.error().code != base::Errc::Unsupported)
    records.error().code = base::Errc::DataLoss;
  return records;
}

base::Result<ImageRecord> make_record(const ImageReference& reference, const ContentDigest& target,
                                      const ContentDigest& manifest_digest,
                                      const ImageManifest& manifest, const ImageConfig& config,
                                      const Platform& host, base::WallTime now) {
  if (manifest.layers.size() != config.diff_ids.size()) {
    return base::fail(
        base::Errc::InvalidArgument,
        fmt::format("{}: its manifest has {} layers and its configuration {}", reference.text(),
                    manifest.layers.size(), config.diff_ids.size()));
  }
  if (platform_fitness(host, config.platform) == 0) {
    return base::fail(base::Errc::NotFound,
                      fmt::format("{}: the image is for {}; this node runs {}", reference.text(),
                                  config.platform.text(), host.text()));
  }
  ImageRecord out;
  out.reference = reference.text();
  out.target = target;
  out.manifest = manifest_digest;
  out.config = manifest.config.digest;
  out.bytes = manifest.config.size;
  for (const auto& layer : manifest.layers) {
    out.layers.push_back(layer.digest);
    out.bytes += layer.size;
  }
  out.diff_ids = config.diff_ids;
  out.platform = config.platform.text();
  out.created = config.created.value_or(base::WallTime{});
  out.stored = now;
  return out;
}

std::set<ContentDigest> needed_blobs(const ImageRecords& records) {
  std::set<ContentDigest> out;
  for (const auto& [reference, record] : records.all()) {
    for (const auto& digest : record.blobs()) out.insert(digest);
  }
  return out;
}

std::set<ContentDigest> layers_of(const std::vector<ContentDigest>& diff_ids) {
  std::set<ContentDigest> out(diff_ids.begin(), diff_ids.end());
  for (const auto& chain : chain_ids(diff_ids)) out.insert(chain);
  return out;
}

std::set<ContentDigest> needed_layers(const ImageRecords& records) {
  std::set<ContentDigest> out;
  for (const auto& [reference, record] : records.all()) out.merge(layers_of(record.diff_ids));
  return out;
}

}  // namespace hypermesh
