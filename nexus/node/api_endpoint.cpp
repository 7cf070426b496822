#include "node/api_endpoint.hpp"

#include <unistd.h>

#include <algorithm>
#include <base/file.hpp>
#include <base/http/certificate.hpp>
#include <base/http/socket.hpp>

#include "access/token_file.hpp"

namespace nexus {

using base::Result;

namespace {

constexpr auto kCertificateLife = std::chrono::days(365);
/// A daemon that starts with less than this left makes a new certificate.
constexpr auto kCertificateLeft = std::chrono::days(120);
constexpr std::size_t kPemBytesMax = 64 * 1024;
/// Readable for those who may read the folder: the kernel names who connects.
constexpr unsigned kSocketMode = 0666;

bool covers(const base::http::CertificateFacts& facts, const std::vector<std::string>& addresses,
            base::WallTime now) {
  if (facts.not_after < now + kCertificateLeft) return false;
  return std::ranges::all_of(addresses, [&](const std::string& address) {
    return std::ranges::find(facts.addresses, address) != facts.addresses.end();
  });
}

// The certificate in `folder`, made anew when it is missing, near its end, or of other addresses.
Result<base::http::TlsIdentity> open_certificate(const std::filesystem::path& folder,
                                                 const std::string& node,
                                                 const std::vector<std::string>& addresses,
                                                 base::WallTime now) {
  const auto certificate_path = folder / "api.crt", key_path = folder / "api.key";
  TRY(const auto certificate, base::read_private_file(certificate_path, kPemBytesMax));
  TRY(const auto key, base::read_private_file(key_path, kPemBytesMax));
  if (certificate && key) {
    const auto facts = base::http::read_certificate(*certificate);
    if (facts && covers(*facts, addresses, now)) {
      if (auto identity = base::http::TlsIdentity::from_pem(*certificate, *key)) return identity;
    }
  }
  base::http::CertificateRequest request;
  request.common_name = node;
  request.dns_names = {node, "localhost"};
  request.addresses = addresses;
  request.not_before = now - std::chrono::hours(1);  // For clients whose clock is behind.
  request.not_after = now + kCertificateLife;
  TRY(const auto made, base::http::make_self_signed(request));
  // The key first: a certificate whose key is missing is made anew.
  TRY_DO(base::write_private_file(key_path, made.key_pem));
  TRY_DO(base::write_private_file(certificate_path, made.certificate_pem));
  return base::http::TlsIdentity::from_pem(made.certificate_pem, made.key_pem);
}

}  // namespace

Result<std::unique_ptr<api::ApiServer>> open_api(base::Executor executor, api::Backend backend,
                                                 const ApiEndpointOptions& options,
                                                 std::size_t connections_max) {
  std::error_code failed;
  std::filesystem::create_directories(options.folder, failed);
  if (failed) return base::fail_errno(failed.value(), options.folder.string());
  std::filesystem::permissions(options.folder, std::filesystem::perms::owner_all, failed);

  std::vector<std::string> addresses = options.addresses;
  for (const char* loopback : {"::1", "127.0.0.1"}) {
    if (std::ranges::find(addresses, loopback) == addresses.end()) addresses.emplace_back(loopback);
  }
  TRY(TokenTable tokens, open_token_file(options.folder / "tokens", backend.rng));
  TRY(const auto identity,
      open_certificate(options.folder, options.node, addresses, backend.clock.wall()));

  std::vector<std::unique_ptr<base::http::Listener>> listeners;
  TRY(listeners.emplace_back(),
      base::http::listen_unix(executor, options.socket.string(), kSocketMode));
  for (const std::string& address : addresses) {
    TRY(listeners.emplace_back(),
        base::http::listen_tcp(executor, address, options.port, &identity));
  }
  api::Limits limits;
  limits.connections_max = connections_max;
  auto server = std::make_unique<api::ApiServer>(executor, std::move(backend), std::move(tokens),
                                                 getuid(), limits);
  for (auto& listener : listeners) server->serve(std::move(listener));
  return server;
}

}  // namespace nexus
