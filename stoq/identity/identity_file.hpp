#pragma once

#include <base/crypto.hpp>
#include <stoq/types.hpp>
#include <string>

namespace stoq {

/// A node's key pair and the id that derives from it.
struct Identity {
  base::SigningKey key;
  NodeId id;

  static Identity of(base::SigningKey key) {
    const NodeId id = NodeId::of(key.public_key());
    return {std::move(key), id};
  }
  static Identity generate(base::Rng& rng) { return of(base::SigningKey::generate(rng)); }
};

/// The identity kept in `path`, made on first use: the Ed25519 seed in hex, one line, mode 0600, on
/// disk before this returns. Errors: FailedPrecondition (others may use the file: says how to
/// mend it), DataLoss (not a seed), and those of the file system.
base::Result<Identity> open_identity(const std::string& path, base::Rng& rng);

}  // namespace stoq
