#pragma once

// The images of a node: what the runtime asks for, and what an operator does.

#include <base/async/event.hpp>
#include <base/async/task.hpp>
#include <base/async/task_scope.hpp>
#include <base/log.hpp>
#include <base/time.hpp>
#include <cstdint>
#include <functional>
#include <hypermesh/runtime.hpp>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "runtime/images/auth_config.hpp"
#include "runtime/images/image_config.hpp"
#include "runtime/images/image_store.hpp"
#include "runtime/images/layer_unpacker.hpp"
#include "runtime/images/registry_client.hpp"

namespace base {
class BlockingPool;
}

namespace hypermesh {

class BlobFetches;

/// What a container needs of its image.
struct ImageDetails {
  std::string reference;  ///< Canonical form of what was asked for.
  std::string resolved;   ///< "name@sha256:...": asks for exactly this image again.
  ContentDigest id;       ///< Of the configuration.
  ImageConfig config;
  std::vector<LayerId> layers;  ///< Unpacked, bottom first.
  std::uint64_t bytes = 0;      ///< Compressed layers and configuration.
};

/// Keeps an image and its layers while a container uses it, whatever becomes of its names. Movable;
/// let go on the service's executor, before the service.
class ImageLease {
 public:
  ImageLease() = default;
  explicit ImageLease(std::function<void()> release) : release_(std::move(release)) {}
  ImageLease(ImageLease&& other) noexcept : release_(std::exchange(other.release_, nullptr)) {}
  ImageLease& operator=(ImageLease&& other) noexcept;
  ~ImageLease();

 private:
  std::function<void()> release_;
};

struct ImageServiceOptions {
  std::string root;   ///< Of the image store; its parent must exist.
  Platform platform;  ///< Of this node: host_platform().
  RegistryClientOptions registry;
  unsigned transfers_max = 3;  ///< At once; each keeps a thread of the pool busy.
};

/// The platform of this machine, with the variant that its processor reaches.
Platform host_platform();

/// All calls are made on one executor and none blocks it; what blocks runs in the pool, so give the
/// service a pool of its own or one with more threads than transfers_max. Concurrent pulls share
/// what they have in common. Cancelling a call gives up what only it wanted.
class ImageService {
 public:
  /// Blocks while the store opens (at start). `pool`, `unpacker`, `clock` and `rng` are borrowed;
  /// `rng` is thread safe. Errors: those of ImageStore::open.
  static base::Result<std::unique_ptr<ImageService>> open(
      const base::Executor& executor, base::BlockingPool& pool, LayerUnpacker& unpacker,
      const base::Clock& clock, base::Rng& rng, base::Log log, ImageServiceOptions options);
  /// After stop().
  ~ImageService();

  /// Makes an image present, its layers unpacked. Errors: InvalidArgument (name, malformed or
  /// hostile image), NotFound, Forbidden (the registry refuses), FailedPrecondition (Never and not
  /// present), NotVerified (digest), Unavailable, TimedOut, ResourceExhausted (disk, limits).
  base::Task<base::Result<ImageDetails>> pull(std::string reference, nexus::PullPolicy policy,
                                              std::optional<RegistrySecret> secret);
  /// A present image by ImageDetails::resolved, by name or by id. Also finds one that only a lease
  /// keeps. Errors: NotFound.
  base::Task<base::Result<ImageDetails>> find(std::string reference);
  /// `holder` is shown to who wants to remove the image: "pod default/web-abc". After a restart,
  /// take the leases of all containers before garbage is collected. Errors: NotFound (`resolved`
  /// was removed meanwhile: pull again).
  base::Result<ImageLease> lease(const std::string& resolved, std::string holder);

  base::Task<base::Result<std::vector<ImageSummary>>> list();
  /// An OCI layout folder, an archive of one, or a docker-archive. Answers the names. `reference`
  /// may be empty.
  base::Task<base::Result<std::vector<std::string>>> import_path(std::string path,
                                                                 std::string reference);
  /// An OCI layout archive. Errors: NotFound, AlreadyExists, ResourceExhausted.
  base::Task<base::Result<>> export_path(std::string reference, std::string path);
  /// {"reference","resolved","id","references","platform","bytes","layers","manifest","config"} as
  /// one JSON text.
  base::Task<base::Result<std::string>> inspect(std::string reference);
  /// Removes the name, or every name of an id. Errors: NotFound, FailedPrecondition (the last name
  /// of an image that is leased; says by whom).
  base::Task<base::Result<>> remove(std::string reference);
  /// Removes blobs and layers that no name, lease or running pull needs.
  base::Task<base::Result<GarbageReport>> collect_garbage();
  std::vector<PullProgress> pulls() const;

  /// Gives up what goes on and waits for it. Call before destruction.
  base::Task<> stop();

 private:
  struct Running;  // a pull or import, for progress
  struct Lease;
  class LayerPins;
  class Busy;

  ImageService(const base::Executor& executor, base::BlockingPool& pool, LayerUnpacker& unpacker,
               const base::Clock& clock, base::Rng& rng, base::Log log, ImageServiceOptions options,
               std::unique_ptr<ImageStore> store);

  base::Task<base::Result<ImageDetails>> pull_known(ImageReference reference,
                                                    nexus::PullPolicy policy,
                                                    std::optional<RegistrySecret> secret);
  base::Task<base::Result<ImageDetails>> pull_remote(ImageReference reference,
                                                     std::optional<RegistrySecret> secret,
                                                     std::optional<ImageRecord> have);
  base::Task<base::Result<FetchedManifest>> fetch_manifest(ImageReference reference,
                                                           std::string target,
                                                           std::optional<RegistrySecret> secret);
  /// The image of a record, if everything that it needs is here.
  base::Task<base::Result<std::optional<ImageDetails>>> present(ImageRecord record,
                                                                ImageReference asked);
  base::Task<base::Result<LayerId>> ensure_layer(const ImageRecord& record, std::size_t index,
                                                 const std::vector<LayerId>& parents);
  base::Task<base::Result<>> load_layers();
  std::optional<LayerId> usable_layer(const ImageRecord& record, std::size_t index) const;
  base::Task<base::Result<std::vector<std::string>>> import_pinned(std::string path,
                                                                   std::string reference,
                                                                   BlobPins& pins);
  base::Task<base::Result<std::vector<std::string>>> keep_imported(
      std::vector<ImageRecord> records);
  std::optional<ImageRecord> record_of(const ImageReference& reference) const;
  base::Result<ImageRecord> record_of_text(const std::string& text) const;
  std::vector<std::string> holders_of(const ContentDigest& id) const;
  /// Changes names so that what containers run from can still be found by its digest, also after a
  /// restart.
  base::Task<base::Result<>> change_names(std::vector<std::string> removed,
                                          std::vector<ImageRecord> added);

  const base::Executor executor_;
  base::BlockingPool& pool_;
  LayerUnpacker& unpacker_;
  const base::Clock& clock_;
  base::Log log_;
  const ImageServiceOptions options_;
  const std::unique_ptr<ImageStore> store_;
  RegistryClient client_;
  base::TaskScope scope_;
  std::unique_ptr<BlobFetches> fetches_;
  std::optional<std::map<LayerId, LayerRecord>>
      layers_;  // What the unpacker has; empty until asked.
  std::map<ContentDigest, std::size_t> layer_pins_;
  std::set<ContentDigest> busy_layers_;  // Being made or removed, by diff id and by id.
  base::Event layer_changed_;
  std::list<Running*> running_;
  std::list<std::shared_ptr<Lease>> leases_;
  std::shared_ptr<CancelToken> stopping_ = std::make_shared<CancelToken>();
};

}  // namespace hypermesh
