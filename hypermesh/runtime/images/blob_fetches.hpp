#pragma once

#include <atomic>
#include <base/async/blocking_pool.hpp>
#include <base/async/event.hpp>
#include <base/async/task_scope.hpp>
#include <map>
#include <memory>
#include <optional>

#include "runtime/images/image_store.hpp"
#include "runtime/images/registry_client.hpp"

namespace hypermesh {

/// Downloads of blobs, each once whatever number of pulls want it. Used on one executor.
class BlobFetches {
 public:
  struct Fetch {
    Fetch(const base::Executor& executor, Descriptor blob)
        : blob(std::move(blob)), done(executor) {}
    const Descriptor blob;
    base::Event done;
    std::optional<base::Result<>> result;
    std::size_t waiters = 0;
    CancelToken cancel;
    std::atomic<std::uint64_t> bytes = 0;  ///< Arrived so far.
  };

  /// A place among those who want a blob; when the last one goes, the download is given up.
  class Ticket {
   public:
    Ticket(BlobFetches& fetches, std::shared_ptr<Fetch> fetch, bool own);
    Ticket(Ticket&& other) noexcept
        : fetches_(other.fetches_), fetch_(std::move(other.fetch_)), own_(other.own_) {}
    Ticket& operator=(Ticket&&) = delete;
    ~Ticket();
    const Fetch& fetch() const { return *fetch_; }
    bool own() const { return own_; }

   private:
    friend class BlobFetches;
    BlobFetches& fetches_;
    std::shared_ptr<Fetch> fetch_;
    bool own_;  // Began the download with its own credentials.
  };

  /// All are borrowed.
  BlobFetches(const base::Executor& executor, base::BlockingPool& pool, ImageStore& store,
              RegistryClient& client, base::TaskScope& scope, unsigned transfers_max)
      : executor_(executor),
        pool_(pool),
        store_(store),
        client_(client),
        scope_(scope),
        free_(executor),
        slots_(transfers_max) {}

  /// Begins to fetch `blob`, or joins who does. The caller has it pinned.
  Ticket begin(const ImageReference& repository, const Descriptor& blob,
               const std::optional<RegistrySecret>& secret);
  /// Until the blob is in the store. Where another pull's credentials failed, it is tried with
  /// ours.
  base::Task<base::Result<>> finish(Ticket& ticket, const ImageReference& repository,
                                    const std::optional<RegistrySecret>& secret);
  /// Gives up all.
  void cancel();

 private:
  std::shared_ptr<Fetch> start(const ImageReference& repository, const Descriptor& blob,
                               const std::optional<RegistrySecret>& secret);
  base::Task<> run(std::shared_ptr<Fetch> fetch, ImageReference repository,
                   std::optional<RegistrySecret> secret);
  base::Task<base::Result<>> transfer(std::shared_ptr<Fetch> fetch, ImageReference repository,
                                      std::optional<RegistrySecret> secret);
  void leave(const std::shared_ptr<Fetch>& fetch);

  const base::Executor executor_;
  base::BlockingPool& pool_;
  ImageStore& store_;
  RegistryClient& client_;
  base::TaskScope& scope_;
  base::Event free_;
  unsigned slots_;
  std::map<ContentDigest, std::shared_ptr<Fetch>> running_;
};

}  // namespace hypermesh
