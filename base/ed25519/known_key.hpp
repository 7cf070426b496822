#pragma once

#include <base/crypto.hpp>
#include <memory>

namespace base::ed25519 {

/// A public key whose signatures are checked again and again: with a table of its multiples (98 KB)
/// a check costs no doublings of points, about a third of verify() in <base/crypto.hpp>, and comes
/// to the same verdict for all keys, messages and signatures.
class KnownKey {
 public:
  /// Null if verify() accepts no signature of such a key. Costs a few checks.
  static std::unique_ptr<const KnownKey> make(const PublicKey& key);
  ~KnownKey();

  bool verify(BytesView message, const Signature& signature) const;

 private:
  struct Multiples;
  KnownKey(const PublicKey& key, std::unique_ptr<const Multiples> negated);
  static const Multiples& of_base_point();

  const PublicKey key_;
  const std::unique_ptr<const Multiples> negated_;  // Of the key's point, negated.
};

}  // namespace base::ed25519
