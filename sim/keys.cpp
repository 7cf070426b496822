#include "sim/keys.hpp"

#include <fmt/format.h>

namespace sim {

base::PublicKey Keys::add(std::string_view whose) {
  const auto seed = base::sha256(fmt::format("{} of seed {}", whose, seed_));
  Secret secret{mixed(0, seed), base::SigningKey::from_seed(seed).value()};
  const auto key = secret.real.public_key();
  secrets_.emplace(key, std::move(secret));
  return key;
}

base::Signature Keys::ideal(Mark secret, base::BytesView bytes) {
  const Mark made = mixed(secret, bytes);
  base::Signature signature{};
  std::memcpy(signature.data(), &made, sizeof(made));
  return signature;
}

base::Signature Keys::sign(const base::PublicKey& key, base::BytesView bytes) const {
  const Secret& secret = secrets_.at(key);
  return real_ ? secret.real.sign(bytes) : ideal(secret.ideal, bytes);
}

bool Keys::good(const hypermesh::consensus::pbft::Check::Item& item) const {
  if (real_) return base::verify(item.key, item.bytes, item.signature);
  const auto secret = secrets_.find(item.key);
  return secret != secrets_.end() && item.signature == ideal(secret->second.ideal, item.bytes);
}

}  // namespace sim
