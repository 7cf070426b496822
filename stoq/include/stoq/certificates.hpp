#pragma once

#include <base/time.hpp>
#include <memory>
#include <span>
#include <stoq/types.hpp>
#include <vector>

namespace stoq {

/// What one side shows of itself: X.509 certificates (RFC 5280) and the key of the first.
struct CertificateChain {
  std::vector<base::Bytes> certificates;  ///< DER, leaf first.
  base::SecretBytes private_key;          ///< PKCS #8, DER.
};

/// Gives the certificate of every new handshake; open connections keep the one they began with.
/// Called from every core of a transport at once.
class CertificateProvider {
 public:
  virtual ~CertificateProvider() = default;
  /// Errors: Unavailable (there is none now: handshakes are refused until there is).
  virtual base::Result<std::shared_ptr<const CertificateChain>> current(base::WallTime now) = 0;
};

/// Decides whom a peer's certificates prove it to be. TLS has proved that the peer holds the key
/// of the first. Called from every core of a transport at once.
class PeerVerifier {
 public:
  virtual ~PeerVerifier() = default;
  /// `chain` is DER, leaf first, and comes from a stranger. Errors: NotVerified, with the reason
  /// that both sides will read.
  virtual base::Result<NodeId> verify(std::span<const base::BytesView> chain,
                                      base::WallTime now) = 0;
};

/// Nodes whose certificates are no longer to be believed. Called from every core at once.
class RevocationCheck {
 public:
  virtual ~RevocationCheck() = default;
  virtual bool revoked(const NodeId& node) = 0;
};

}  // namespace stoq
