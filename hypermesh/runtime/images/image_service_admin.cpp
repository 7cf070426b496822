#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "runtime/images/image_import.hpp"
#include "runtime/images/image_service.hpp"
#include "runtime/images/image_service_parts.hpp"

namespace hypermesh {

base::Task<base::Result<std::vector<ImageSummary>>> ImageService::list() {
  std::map<ContentDigest, ImageSummary> by_id;
  const auto records = store_->records();
  for (const auto& [reference, record] : records->all()) {
    ImageSummary& summary = by_id[record.config];
    summary.id = record.config.text();
    summary.references.push_back(reference);
    summary.digest = record.target.text();
    summary.platform = record.platform;
    summary.bytes = record.bytes;
    summary.created = record.created;
    summary.in_use = !holders_of(record.config).empty();
  }
  std::vector<ImageSummary> out;
  for (auto& [id, summary] : by_id) out.push_back(std::move(summary));
  std::ranges::sort(out, {},
                    [](const ImageSummary& summary) { return summary.references.front(); });
  co_return out;
}

base::Task<base::Result<std::vector<std::string>>> ImageService::import_path(
    std::string path, std::string reference) {
  CO_TRY_DO(co_await load_layers());
  Running running(*this, reference.empty() ? path : reference);
  std::optional<BlobPins> pins(std::in_place, *store_);
  auto imported = co_await import_pinned(std::move(path), std::move(reference), *pins);
  if (imported) co_return imported;
  // What only this import brought goes again; what a pull pinned meanwhile stays.
  const std::vector<ContentDigest> added = pins->added();
  pins.reset();
  if (auto dropped = co_await pool_.run([&] { return store_->collect(added); }); !dropped)
    log_.warning("blobs of a failed import are left", {{"error", dropped.error()}});
  co_return imported;
}

base::Task<base::Result<std::vector<std::string>>> ImageService::import_pinned(
    std::string path, std::string reference, BlobPins& pins) {
  const ImportRequest request{
      .reference = std::move(reference), .platform = options_.platform, .now = clock_.wall()};
  CO_TRY(auto records, co_await pool_.run([&] {
    return import_images(*store_, pins, path, request, *stopping_);
  }));
  co_return co_await keep_imported(std::move(records));
}

// Unpacks at once, so that a hostile image fails here and not when a container is to start.
base::Task<base::Result<std::vector<std::string>>> ImageService::keep_imported(
    std::vector<ImageRecord> records) {
  std::vector<std::string> names;
  std::list<LayerPins> pins;
  for (const auto& record : records) {
    pins.emplace_back(*this, record.diff_ids);
    std::vector<LayerId> layers;
    for (std::size_t i = 0; i < record.layers.size(); ++i) {
      CO_TRY(const LayerId id, co_await ensure_layer(record, i, layers));
      layers.push_back(id);
    }
  }
  CO_TRY_DO(co_await change_names({}, records));
  for (const auto& record : records) {
    names.push_back(record.reference);
    log_.info(
        "image imported",
        {{"image", record.reference}, {"digest", record.target.text()}, {"bytes", record.bytes}});
  }
  co_return names;
}

base::Task<base::Result<>> ImageService::export_path(std::string reference, std::string path) {
  CO_TRY(const ImageRecord record, record_of_text(reference));
  BlobPins pins(*store_);
  for (const auto& blob : record.blobs()) pins.add(blob);
  co_return co_await pool_.run([&] { return export_to_file(*store_, record, path, *stopping_); });
}

base::Task<base::Result<std::string>> ImageService::inspect(std::string reference) {
  CO_TRY(const ImageRecord record, record_of_text(reference));
  BlobPins pins(*store_);
  for (const auto& blob : record.blobs()) pins.add(blob);
  CO_TRY(const std::string manifest,
         co_await pool_.run([&] { return store_->read_blob(record.manifest, kManifestBytesMax); }));
  CO_TRY(const std::string config,
         co_await pool_.run([&] { return store_->read_blob(record.config, kConfigBytesMax); }));
  // Both were parsed when they came and hashed just now.
  const auto manifest_json = nlohmann::json::parse(manifest, nullptr, false);
  const auto config_json = nlohmann::json::parse(config, nullptr, false);
  const auto name = parse_reference(record.reference);
  if (manifest_json.is_discarded() || config_json.is_discarded() || !name) {
    co_return base::fail(base::Errc::DataLoss,
                         fmt::format("the documents of {} cannot be read", record.reference));
  }
  nlohmann::json references = nlohmann::json::array();
  const auto records = store_->records();
  for (const ImageRecord* same : records->of_image(record.config))
    references.push_back(same->reference);
  nlohmann::json layers = nlohmann::json::array();
  for (std::size_t i = 0; i < record.layers.size(); ++i)
    layers.push_back({{"digest", record.layers[i].text()}, {"diffId", record.diff_ids[i].text()}});
  co_return nlohmann::json{
      {"reference", record.reference}, {"resolved", name->pinned(record.target)},
      {"id", record.config.text()},    {"references", std::move(references)},
      {"platform", record.platform},   {"bytes", record.bytes},
      {"layers", std::move(layers)},   {"manifest", manifest_json},
      {"config", config_json}}
      .dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

base::Task<base::Result<>> ImageService::remove(std::string reference) {
  const auto records = store_->records();
  CO_TRY(const ImageRecord* found, records->find_text(reference));
  const auto names_of_image = records->of_image(found->config);
  // An id stands for all names; a name for itself.
  const auto parsed = parse_reference(reference);
  const bool by_name = parsed && records->find(*parsed) == found;
  std::vector<std::string> names;
  if (by_name) {
    names.push_back(found->reference);
  } else {
    for (const ImageRecord* same : names_of_image) names.push_back(same->reference);
  }
  if (names.size() == names_of_image.size()) {
    if (const auto holders = holders_of(found->config); !holders.empty()) {
      co_return std::unexpected(base::with_hint(
          base::make_error(
              base::Errc::FailedPrecondition,
              fmt::format("{} is in use by {}", found->reference, fmt::join(holders, ", "))),
          "delete what runs from it first"));
    }
  }
  CO_TRY_DO(co_await change_names(names, {}));
  log_.info("image removed", {{"image", fmt::format("{}", fmt::join(names, ", "))}});
  co_return base::Result<>();
}

base::Task<base::Result<>> ImageService::change_names(std::vector<std::string> removed,
                                                      std::vector<ImageRecord> added) {
  const auto records = store_->records();
  std::vector<ImageRecord> all;
  BlobPins pins(*store_);
  const auto keep = [&](const std::string& reference, const ImageRecord* next) {
    const auto old = records->all().find(reference);
    if (old == records->all().end() || holders_of(old->second.config).empty()) return;
    auto displaced = records->displaced(reference, next);
    if (!displaced) return;
    for (const auto& blob : displaced->blobs()) pins.add(blob);
    all.push_back(*std::move(displaced));
  };
  for (const auto& reference : removed) keep(reference, nullptr);
  for (const auto& record : added) keep(record.reference, &record);
  all.insert(all.end(), added.begin(), added.end());
  co_return co_await pool_.run([&] { return store_->change(removed, all); });
}

base::Task<base::Result<GarbageReport>> ImageService::collect_garbage() {
  GarbageReport report;
  std::vector<std::string> unused;
  const auto records = store_->records();
  for (const auto& [reference, record] : records->all()) {
    if (record.only_for_containers && holders_of(record.config).empty())
      unused.push_back(reference);
  }
  if (!unused.empty()) CO_TRY_DO(co_await pool_.run([&] { return store_->change(unused, {}); }));
  CO_TRY(const auto listed, co_await unpacker_.list());
  auto needed = needed_layers(*store_->records());
  for (const auto& layer : listed) {
    if (layer_pins_.contains(layer.id.digest) || busy_layers_.contains(layer.id.digest) ||
        busy_layers_.contains(layer.diff_id))
      continue;
    if (needed.contains(layer.id.digest)) continue;
    const Busy busy(*this, {layer.id.digest, layer.diff_id});
    if (layers_) layers_->erase(layer.id);
    auto freed = co_await unpacker_.remove(layer.id);
    needed = needed_layers(*store_->records());  // names may have changed meanwhile
    if (!freed && freed.error().code == base::Errc::FailedPrecondition) {
      if (layers_) layers_->insert_or_assign(layer.id, layer);  // it stays, and counts again
      continue;
    }
    if (!freed) co_return std::unexpected(std::move(freed).error());
    report.bytes_freed += *freed;
    ++report.layers_removed;
  }
  CO_TRY(const auto blobs, co_await pool_.run([&] { return store_->collect(); }));
  report.bytes_freed += blobs.bytes;
  report.blobs_removed = blobs.blobs;
  log_.info("garbage collected", {{"bytes", report.bytes_freed},
                                  {"blobs", report.blobs_removed},
                                  {"layers", report.layers_removed}});
  co_return report;
}

}  // namespace hypermesh
