#include "runtime/images/image_service.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/images/image_import.hpp"
#include "runtime/images/image_service_parts.hpp"

namespace hypermesh {
namespace {

constexpr unsigned kIndexDepthMax = 3;

base::Error not_present(const std::string& reference) {
  return base::with_hint(
      base::make_error(base::Errc::NotFound,
                       fmt::format("there is no image \"{}\" on this node", reference)),
      "hm image ls shows those that are here");
}

}  // namespace

Platform host_platform() {
  Platform out;
#if defined(__x86_64__)
  __builtin_cpu_init();
  out.architecture = "amd64";
  if (__builtin_cpu_supports("x86-64-v4"))
    out.variant = "v4";
  else if (__builtin_cpu_supports("x86-64-v3"))
    out.variant = "v3";
  else if (__builtin_cpu_supports("x86-64-v2"))
    out.variant = "v2";
#elif defined(__aarch64__)
  out.architecture = "arm64";
#elif defined(__riscv) && __riscv_xlen == 64
  out.architecture = "riscv64";
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
  out.architecture = "ppc64le";
#elif defined(__s390x__)
  out.architecture = "s390x";
#else
#error "name this architecture as Go does"
#endif
  return out;
}

ImageLease& ImageLease::operator=(ImageLease&& other) noexcept {
  if (this != &other) {
    if (release_) release_();
    release_ = std::exchange(other.release_, nullptr);
  }
  return *this;
}

ImageLease::~ImageLease() {
  if (release_) release_();
}

base::Result<std::unique_ptr<ImageService>> ImageService::open(
    const base::Executor& executor, base::BlockingPool& pool, LayerUnpacker& unpacker,
    const base::Clock& clock, base::Rng& rng, base::Log log, ImageServiceOptions options) {
  TRY(auto store, ImageStore::open(options.root));
  return std::unique_ptr<ImageService>(new ImageService(
      executor, pool, unpacker, clock, rng, std::move(log), std::move(options), std::move(store)));
}

ImageService::ImageService(const base::Executor& executor, base::BlockingPool& pool,
                           LayerUnpacker& unpacker, const base::Clock& clock, base::Rng& rng,
                           base::Log log, ImageServiceOptions options,
                           std::unique_ptr<ImageStore> store)
    : executor_(executor),
      pool_(pool),
      unpacker_(unpacker),
      clock_(clock),
      log_(std::move(log)),
      options_(std::move(options)),
      store_(std::move(store)),
      client_(options_.registry, rng),
      scope_(executor),
      fetches_(std::make_unique<BlobFetches>(executor, pool, *store_, client_, scope_,
                                             std::max(1u, options_.transfers_max))),
      layer_changed_(executor) {}

ImageService::~ImageService() {
  BASE_ASSERT(leases_.empty(), "an image lease outlives its service");
}

base::Task<> ImageService::stop() {
  stopping_->cancel();
  fetches_->cancel();
  // Transfers see their tokens; they are not cancelled as tasks, for a call in the pool must end
  // first.
  co_await scope_.join();
}

std::optional<ImageRecord> ImageService::record_of(const ImageReference& reference) const {
  if (const auto records = store_->records(); const ImageRecord* record = records->find(reference))
    return *record;
  for (const auto& lease : leases_) {
    ImageRecords one;
    one.put(lease->record);
    if (one.find(reference)) return lease->record;
  }
  return std::nullopt;
}

base::Result<ImageRecord> ImageService::record_of_text(const std::string& text) const {
  const auto records = store_->records();
  auto found = records->find_text(text);
  if (found) return **found;
  if (const auto reference = parse_reference(text);
      reference && found.error().code == base::Errc::NotFound) {
    if (auto record = record_of(*reference)) return *std::move(record);
  }
  return std::unexpected(std::move(found).error());
}

base::Task<base::Result<ImageDetails>> ImageService::pull(std::string reference,
                                                          nexus::PullPolicy policy,
                                                          std::optional<RegistrySecret> secret) {
  CO_TRY(ImageReference parsed, parse_reference(reference));
  auto pulled = co_await pull_known(parsed, policy, std::move(secret));
  if (!pulled && pulled.error().code != base::Errc::Cancelled) {
    log_.warning("image not pulled", {{"image", parsed.text()}, {"error", pulled.error()}});
    co_return std::unexpected(
        base::wrap(std::move(pulled).error(), fmt::format("cannot pull {}", parsed.text())));
  }
  co_return pulled;
}

base::Task<base::Result<ImageDetails>> ImageService::pull_known(
    ImageReference reference, nexus::PullPolicy policy, std::optional<RegistrySecret> secret) {
  CO_TRY_DO(co_await load_layers());
  const auto have = record_of(reference);
  // What a digest names never changes.
  const bool may_be_old = policy == nexus::PullPolicy::Always && !reference.digest;
  if (have && !may_be_old) {
    CO_TRY(auto details, co_await present(*have, reference));
    if (details) co_return *std::move(details);
  }
  if (policy == nexus::PullPolicy::Never) {
    co_return std::unexpected(base::with_hint(
        base::make_error(base::Errc::FailedPrecondition,
                         "the image is not on this node, and its policy is never to pull it"),
        "import it (hm image import), or set imagePullPolicy: IfNotPresent"));
  }
  co_return co_await pull_remote(std::move(reference), std::move(secret), have);
}

base::Task<base::Result<FetchedManifest>> ImageService::fetch_manifest(
    ImageReference reference, std::string target, std::optional<RegistrySecret> secret) {
  co_return co_await pool_.run(
      [&] { return client_.fetch_manifest(reference, target, secret, *stopping_); });
}

base::Task<base::Result<ImageDetails>> ImageService::pull_remote(
    ImageReference reference, std::optional<RegistrySecret> secret,
    std::optional<ImageRecord> have) {
  Running running(*this, reference.text());
  if (have && !reference.digest) {
    CO_TRY(const auto now,
           co_await pool_.run([&] { return client_.resolve(reference, secret, *stopping_); }));
    if (now == have->target) {
      CO_TRY(auto details, co_await present(*have, reference));
      if (details) co_return *std::move(details);
    }
  }
  const auto started = clock_.now();
  BlobPins pins(*store_);
  const std::string what = fmt::format("the manifest of {}", reference.text());
  CO_TRY(FetchedManifest document, co_await fetch_manifest(reference, reference.target(), secret));
  const ContentDigest target = document.digest;
  std::optional<ImageManifest> manifest;
  for (unsigned depth = 0; !manifest; ++depth) {
    pins.add(document.digest);
    CO_TRY_DO(co_await pool_.run([&] { return store_->put_blob(document.bytes, pins); }));
    CO_TRY(ManifestDocument parsed, parse_manifest(document.bytes, document.media_type, what));
    if (auto* image = std::get_if<ImageManifest>(&parsed)) {
      manifest = std::move(*image);
      break;
    }
    if (depth == kIndexDepthMax)
      co_return base::fail(
          base::Errc::InvalidArgument,
          fmt::format("{}: indexes within indexes, more than {} deep", what, kIndexDepthMax));
    CO_TRY(const Descriptor chosen,
           select_manifest(std::get<ImageIndex>(parsed), options_.platform, reference.text()));
    CO_TRY(document, co_await fetch_manifest(reference, chosen.digest.text(), secret));
  }

  if (manifest->config.size > kConfigBytesMax) {
    co_return base::fail(base::Errc::InvalidArgument,
                         fmt::format("{}: config.size is {}; at most {} is allowed", what,
                                     manifest->config.size, kConfigBytesMax));
  }
  running.layers_total = std::uint32_t(manifest->layers.size());
  running.bytes_total = manifest->config.size;
  pins.add(manifest->config.digest);
  for (const auto& layer : manifest->layers) {
    running.bytes_total += layer.size;
    pins.add(layer.digest);
  }
  // The configuration first: it may tell that the rest is not worth it.
  running.tickets.push_back(fetches_->begin(reference, manifest->config, secret));
  CO_TRY_DO(co_await fetches_->finish(running.tickets.back(), reference, secret));
  CO_TRY(const std::string config_text, co_await pool_.run([&] {
    return store_->read_blob(manifest->config.digest, kConfigBytesMax);
  }));
  CO_TRY(ImageConfig config,
         parse_image_config(config_text, fmt::format("the configuration of {}", reference.text())));
  CO_TRY(ImageRecord record, make_record(reference, target, document.digest, *manifest, config,
                                         options_.platform, clock_.wall()));
  const LayerPins layer_pins(*this, record.diff_ids);

  // All downloads begin now; each layer is unpacked while the next ones arrive.
  for (const auto& layer : manifest->layers)
    running.tickets.push_back(fetches_->begin(reference, layer, secret));
  auto ticket = std::next(running.tickets.begin());
  std::vector<LayerId> layers;
  for (std::size_t i = 0; i < record.layers.size(); ++i, ++ticket) {
    CO_TRY_DO(co_await fetches_->finish(*ticket, reference, secret));
    CO_TRY(const LayerId id, co_await ensure_layer(record, i, layers));
    layers.push_back(id);
    ++running.layers_done;
  }
  CO_TRY_DO(co_await change_names({}, {record}));
  log_.info(
      "image pulled",
      {{"image", reference.text()},
       {"digest", target.text()},
       {"bytes", record.bytes},
       {"layers", record.layers.size()},
       {"took_ms",
        std::chrono::duration_cast<std::chrono::milliseconds>(clock_.now() - started).count()}});
  co_return ImageDetails{reference.text(),  reference.pinned(target), record.config,
                         std::move(config), std::move(layers),        record.bytes};
}

base::Task<base::Result<std::optional<ImageDetails>>> ImageService::present(ImageRecord record,
                                                                            ImageReference asked) {
  BlobPins pins(*store_);
  for (const auto& blob : record.blobs()) pins.add(blob);
  const LayerPins layer_pins(*this, record.diff_ids);
  // A layer that is unpacked needs its blob no more.
  const bool whole =
      co_await pool_.run([&] { return store_->blob_bytes(record.config).has_value(); });
  if (!whole) co_return std::nullopt;
  auto config_text =
      co_await pool_.run([&] { return store_->read_blob(record.config, kConfigBytesMax); });
  if (!config_text && config_text.error().code == base::Errc::DataLoss) co_return std::nullopt;
  if (!config_text) co_return std::unexpected(std::move(config_text).error());
  CO_TRY(ImageConfig config, parse_image_config(*config_text, fmt::format("the configuration of {}",
                                                                          record.reference)));
  std::vector<LayerId> layers;
  for (std::size_t i = 0; i < record.layers.size(); ++i) {
    auto id = co_await ensure_layer(record, i, layers);
    if (!id && (id.error().code == base::Errc::NotFound || id.error().code == base::Errc::DataLoss))
      co_return std::nullopt;
    if (!id) co_return std::unexpected(std::move(id).error());
    layers.push_back(*id);
  }
  co_return ImageDetails{asked.text(),      asked.pinned(record.target), record.config,
                         std::move(config), std::move(layers),           record.bytes};
}

base::Task<base::Result<>> ImageService::load_layers() {
  if (layers_) co_return base::Result<>();
  CO_TRY(auto listed, co_await unpacker_.list());
  if (layers_) co_return base::Result<>();
  layers_.emplace();
  for (auto& record : listed) layers_->emplace(record.id, std::move(record));
  co_return base::Result<>();
}

std::optional<LayerId> ImageService::usable_layer(const ImageRecord& record,
                                                  std::size_t index) const {
  // As LayerStore: a layer that took folders from its parents counts by its diff id only as the
  // lowest.
  const auto by_diff = layers_->find({record.diff_ids[index]});
  if (by_diff != layers_->end() && (!by_diff->second.used_parents || index == 0))
    return by_diff->first;
  const auto chain =
      chain_ids({record.diff_ids.begin(), record.diff_ids.begin() + std::ptrdiff_t(index) + 1})
          .back();
  const auto by_chain = layers_->find({chain});
  return index > 0 && by_chain != layers_->end() ? std::optional(by_chain->first) : std::nullopt;
}

base::Task<base::Result<LayerId>> ImageService::ensure_layer(const ImageRecord& record,
                                                             std::size_t index,
                                                             const std::vector<LayerId>& parents) {
  const ContentDigest& diff_id = record.diff_ids[index];
  const auto chain =
      chain_ids({record.diff_ids.begin(), record.diff_ids.begin() + std::ptrdiff_t(index) + 1})
          .back();
  while (busy_layers_.contains(diff_id) || busy_layers_.contains(chain))
    co_await layer_changed_.wait();
  if (const auto id = usable_layer(record, index)) co_return *id;
  const Busy busy(*this, {diff_id, chain});
  const ContentDigest& blob = record.layers[index];
  const bool there = co_await pool_.run([&] { return store_->blob_bytes(blob).has_value(); });
  if (!there)
    co_return base::fail(base::Errc::NotFound, fmt::format("the layer {} of {} is not on this node",
                                                           blob.text(), record.reference));
  auto made = co_await unpacker_.unpack(
      {.blob_path = store_->blob_path(blob), .blob = blob, .diff_id = diff_id, .parents = parents});
  if (!made) {
    // A refusal may be the disk's fault, not the archive's.
    if (made.error().code == base::Errc::InvalidArgument ||
        made.error().code == base::Errc::NotVerified) {
      CO_TRY_DO(co_await pool_.run([&] { return store_->verify_blob(blob); }));
    }
    co_return std::unexpected(base::wrap(
        std::move(made).error(),
        fmt::format("layer {} of {} ({})", index + 1, record.layers.size(), blob.text())));
  }
  for (const auto& note : made->notes)
    log_.info("layer unpacked with a change",
              {{"image", record.reference}, {"layer", made->id.text()}, {"note", note}});
  const LayerId id = made->id;
  layers_->insert_or_assign(id, *std::move(made));
  co_return id;
}

base::Task<base::Result<ImageDetails>> ImageService::find(std::string reference) {
  CO_TRY_DO(co_await load_layers());
  CO_TRY(const ImageRecord record, record_of_text(reference));
  auto asked = parse_reference(reference);
  // By id: any of its names stands for it.
  if (!asked || !record_of(*asked)) asked = parse_reference(record.reference);
  CO_TRY(auto details, co_await present(record, *asked));
  if (!details) co_return std::unexpected(not_present(reference));
  co_return *std::move(details);
}

base::Result<ImageLease> ImageService::lease(const std::string& resolved, std::string holder) {
  TRY(const ImageReference reference, parse_reference(resolved));
  auto record = record_of(reference);
  if (!record) return std::unexpected(not_present(resolved));
  auto lease = std::make_shared<Lease>(*this, *std::move(record), std::move(holder));
  leases_.push_back(lease);
  return ImageLease([this, lease] { leases_.remove(lease); });
}

std::vector<std::string> ImageService::holders_of(const ContentDigest& id) const {
  std::vector<std::string> out;
  for (const auto& lease : leases_) {
    if (lease->record.config == id && std::ranges::find(out, lease->holder) == out.end())
      out.push_back(lease->holder);
  }
  return out;
}

std::vector<PullProgress> ImageService::pulls() const {
  std::vector<PullProgress> out;
  for (const Running* running : running_) {
    PullProgress progress{.reference = running->reference,
                          .bytes_done = 0,
                          .bytes_total = running->bytes_total,
                          .layers_done = running->layers_done,
                          .layers_total = running->layers_total};
    for (const auto& ticket : running->tickets) {
      const auto& fetch = ticket.fetch();
      progress.bytes_done += fetch.result && *fetch.result ? fetch.blob.size : fetch.bytes.load();
    }
    out.push_back(std::move(progress));
  }
  return out;
}

}  // namespace hypermesh
