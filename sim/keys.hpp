#pragma once

#include <map>

#include "consensus/pbft/replica.hpp"
#include "sim/mark.hpp"

namespace sim {

/// Everybody's secrets. Signatures are ideal ones, which only the holder of a secret makes and
/// which cost a few multiplications; or, when `real`, Ed25519.
class Keys {
 public:
  Keys(std::uint64_t seed, bool real) : seed_(seed), real_(real) {}

  base::PublicKey add(std::string_view whose);
  base::Signature sign(const base::PublicKey& key, base::BytesView bytes) const;
  bool good(const hypermesh::consensus::pbft::Check::Item& item) const;
  /// What the state machine checks is Ed25519 in every life.
  base::Signature sign_real(const base::PublicKey& key, base::BytesView bytes) const {
    return secrets_.at(key).real.sign(bytes);
  }

 private:
  struct Secret {
    Mark ideal = 0;
    base::SigningKey real;
  };
  static base::Signature ideal(Mark secret, base::BytesView bytes);

  const std::uint64_t seed_;
  const bool real_;
  std::map<base::PublicKey, Secret> secrets_;
};

}  // namespace sim
