#pragma once

#include <base/crypto.hpp>
#include <filesystem>
#include <vector>

#include "objects/envelope.hpp"

namespace nexus {

/// The keys that Secrets are sealed with at rest. The last one seals; all of them open.
class SecretKeys {
 public:
  /// Reads the key file, or makes it with one random key (mode 0600). It lies in the state folder
  /// by default: the state alone, in a backup or on a replica, is then of no use to who finds it
  /// without the file. Errors: FailedPrecondition (others may read the file), DataLoss (damaged),
  /// ResourceExhausted.
  static base::Result<SecretKeys> from_file(const std::filesystem::path& path, base::Rng& rng);
  SecretKeys(SecretKeys&&) noexcept = default;
  SecretKeys& operator=(SecretKeys&&) noexcept = default;

  /// Adds a fresh key to the file and seals with it from now on. Objects keep their seal until they
  /// are resealed. Errors: those of writing a file.
  base::Result<> rotate(base::Rng& rng);
  const SecretKeyId& current() const { return keys_.back().id; }

  /// `context` binds the sealed bytes to their object.
  base::Bytes seal(base::BytesView plain, std::string_view context, base::Rng& rng) const;
  /// Errors: FailedPrecondition (there is no such key: names both), NotVerified (changed, or moved
  /// from another object).
  base::Result<base::Bytes> open(const SecretKeyId& id, base::BytesView sealed,
                                 std::string_view context) const;

 private:
  struct Key {
    SecretKeyId id;
    base::SecretBytes bytes;
  };
  SecretKeys() = default;
  void add(base::SecretBytes bytes);
  base::Result<> save() const;

  std::filesystem::path path_;
  std::vector<Key> keys_;
};

}  // namespace nexus
