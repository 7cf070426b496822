#pragma once

// Pulls from registries: the OCI distribution specification's pull side, over libcurl.
//
// Nothing that a registry says is believed: documents and blobs are hashed as they arrive and
// compared with the digest they were asked by. Without TLS only loopback registries are spoken to.

#include <atomic>
#include <base/random.hpp>
#include <expected>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "runtime/images/auth_config.hpp"
#include "runtime/images/http_session.hpp"
#include "runtime/images/manifest.hpp"
#include "runtime/images/registry_auth.hpp"
#include "runtime/images/retry.hpp"

namespace hypermesh {

struct RegistryClientOptions {
  Connector connector;  ///< For loopback registries; empty: plain connections from this process.
  HttpLimits http;
  RetryPolicy retry;
  std::string
      ca_file;  ///< PEM file of authorities in place of the machine's; empty: the machine's.
};

/// Where a blob's bytes go.
class BlobSink {
 public:
  virtual ~BlobSink() = default;
  virtual base::Result<> append(base::BytesView piece) = 0;
  /// Forgets what was appended: the transfer begins again.
  virtual base::Result<> restart() = 0;
};

struct FetchedManifest {
  std::string bytes;
  std::string media_type;  ///< As the registry calls it.
  ContentDigest digest;    ///< Of the bytes.
};

/// Blocking calls for threads of a pool; thread safe. A cancelled call returns within about a
/// second.
///
/// Errors of all: NotFound (no such name), Forbidden (credentials: hints), NotVerified (a digest:
/// both are named; or the server's certificate), ResourceExhausted (429 until the end), Unavailable
/// and TimedOut (after all retries), InvalidArgument (the registry breaks the protocol), Cancelled.
class RegistryClient {
 public:
  /// `rng` spreads retries; borrowed, thread safe.
  RegistryClient(RegistryClientOptions options, base::Rng& rng)
      : options_(std::move(options)), rng_(rng) {}

  /// The digest that the name stands for, if the registry tells it without the document; empty if
  /// it does not.
  base::Result<std::optional<ContentDigest>> resolve(const ImageReference& reference,
                                                     const std::optional<RegistrySecret>& secret,
                                                     const CancelToken& cancel);
  /// A manifest or index by `target`, a tag or a digest.
  base::Result<FetchedManifest> fetch_manifest(const ImageReference& repository,
                                               const std::string& target,
                                               const std::optional<RegistrySecret>& secret,
                                               const CancelToken& cancel);
  /// Streams a blob. After success the sink has exactly the described bytes. `done` counts bytes as
  /// they arrive.
  base::Result<> fetch_blob(const ImageReference& repository, const Descriptor& blob,
                            BlobSink& sink, const std::optional<RegistrySecret>& secret,
                            const CancelToken& cancel, std::atomic<std::uint64_t>& done);

 private:
  struct Failure;
  struct Call;
  template <class T = void>
  using Tried = std::expected<T, Failure>;

  Tried<HttpAnswer> ask(Call& call, const HttpRequest& request);
  Tried<HttpAnswer> ask_following(Call& call, HttpRequest request,
                                  const std::string& authorization);
  Tried<> fetch_rest(Call& call, const Descriptor& blob, BlobSink& sink, base::Sha256& hash,
                     std::uint64_t& have, std::atomic<std::uint64_t>& done);
  base::Result<std::string> base_url(const ImageReference& repository);
  void use_tls_for(const std::string& registry);
  template <class F>
  auto with_retries(F attempt, const CancelToken& cancel, RetryState& retries)
      -> base::Result<typename decltype(attempt())::value_type>;

  const RegistryClientOptions options_;
  base::Rng& rng_;
  RegistryAuth auth_;
  std::mutex mutex_;
  std::set<std::string> loopback_with_tls_;  // Guarded by mutex_.
};

}  // namespace hypermesh
