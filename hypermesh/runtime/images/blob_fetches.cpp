#include "runtime/images/blob_fetches.hpp"

#include <fmt/format.h>

namespace hypermesh {

BlobFetches::Ticket::Ticket(BlobFetches& fetches, std::shared_ptr<Fetch> fetch, bool own)
    : fetches_(fetches), fetch_(std::move(fetch)), own_(own) {
  ++fetch_->waiters;
}

BlobFetches::Ticket::~Ticket() {
  if (fetch_) fetches_.leave(fetch_);
}

void BlobFetches::leave(const std::shared_ptr<Fetch>& fetch) {
  if (--fetch->waiters > 0 || fetch->result) return;
  fetch->cancel.cancel();
  // Who wants it from now on begins anew.
  if (const auto it = running_.find(fetch->blob.digest);
      it != running_.end() && it->second == fetch)
    running_.erase(it);
}

void BlobFetches::cancel() {
  for (auto& [digest, fetch] : running_) fetch->cancel.cancel();
}

std::shared_ptr<BlobFetches::Fetch> BlobFetches::start(
    const ImageReference& repository, const Descriptor& blob,
    const std::optional<RegistrySecret>& secret) {
  auto fetch = std::make_shared<Fetch>(executor_, blob);
  running_[blob.digest] = fetch;
  scope_.spawn(run(fetch, repository, secret));
  return fetch;
}

BlobFetches::Ticket BlobFetches::begin(const ImageReference& repository, const Descriptor& blob,
                                       const std::optional<RegistrySecret>& secret) {
  if (const auto it = running_.find(blob.digest); it != running_.end())
    return Ticket(*this, it->second, false);
  return Ticket(*this, start(repository, blob, secret), true);
}

base::Task<base::Result<>> BlobFetches::finish(Ticket& ticket, const ImageReference& repository,
                                               const std::optional<RegistrySecret>& secret) {
  while (true) {
    const std::shared_ptr<Fetch> fetch = ticket.fetch_;
    while (!fetch->result) co_await fetch->done.wait();
    const base::Result<>& result = *fetch->result;
    const bool others_fault = !result && (result.error().code == base::Errc::Forbidden ||
                                          result.error().code == base::Errc::Cancelled);
    if (result || ticket.own_ || !others_fault) co_return result;
    --fetch->waiters;
    const auto it = running_.find(fetch->blob.digest);
    ticket.own_ = it == running_.end();
    ticket.fetch_ = ticket.own_ ? start(repository, fetch->blob, secret) : it->second;
    ++ticket.fetch_->waiters;
  }
}

base::Task<> BlobFetches::run(std::shared_ptr<Fetch> fetch, ImageReference repository,
                              std::optional<RegistrySecret> secret) {
  // Whatever ends this task, those who wait hear of it.
  struct Ending {
    BlobFetches& fetches;
    const std::shared_ptr<Fetch>& fetch;
    ~Ending() {
      if (!fetch->result) fetch->result = std::unexpected(CancelToken::error());
      if (const auto it = fetches.running_.find(fetch->blob.digest);
          it != fetches.running_.end() && it->second == fetch)
        fetches.running_.erase(it);
      fetch->done.notify();
    }
  } ending{*this, fetch};
  fetch->result = co_await transfer(fetch, std::move(repository), std::move(secret));
}

base::Task<base::Result<>> BlobFetches::transfer(std::shared_ptr<Fetch> fetch,
                                                 ImageReference repository,
                                                 std::optional<RegistrySecret> secret) {
  while (slots_ == 0) co_await free_.wait();
  struct Slot {
    BlobFetches& fetches;
    explicit Slot(BlobFetches& f) : fetches(f) { --fetches.slots_; }
    ~Slot() {
      ++fetches.slots_;
      fetches.free_.notify();
    }
  } slot(*this);
  if (fetch->cancel.cancelled()) co_return std::unexpected(CancelToken::error());
  co_return co_await pool_.run([&]() -> base::Result<> {
    BlobPins pins(store_);
    pins.add(fetch->blob.digest);
    const auto bytes = store_.blob_bytes(fetch->blob.digest);
    if (bytes == fetch->blob.size) return {};
    if (bytes)
      return base::fail(base::Errc::NotVerified,
                        fmt::format("the blob {} has {} bytes, not the {} that its manifest says",
                                    fetch->blob.digest.text(), *bytes, fetch->blob.size));
    TRY(const auto writer, store_.new_blob());
    TRY_DO(
        client_.fetch_blob(repository, fetch->blob, *writer, secret, fetch->cancel, fetch->bytes));
    TRY_DO(writer->commit(pins, fetch->blob.digest));
    return {};
  });
}

}  // namespace hypermesh
