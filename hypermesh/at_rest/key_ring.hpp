#pragma once

#include <array>
#include <atomic>
#include <filesystem>
#include <memory>
#include <shared_mutex>
#include <variant>

#include "at_rest/record_cipher.hpp"
#include "at_rest/ring_file.hpp"

namespace hypermesh::at_rest {

/// What a person types, without the end of the line. Not empty.
struct Passphrase {
  base::SecretBytes text;
};
/// 32 random bytes in a file that its owner alone may use; made with the first ring.
struct KeyFile {
  std::filesystem::path path;
};
using MasterSource = std::variant<Passphrase, KeyFile>;

/// The keys of what a node keeps on disk, in one small file that a passphrase or a key file opens.
///
/// Records are sealed by XChaCha20-Poly1305 under the key of the highest epoch, with nonces of 16
/// bytes that the object draws once and a count; the epoch lies in front of them. A change of the
/// ring is on disk, whole, before it takes effect. All calls are safe from several threads; a
/// fork()ed child must not seal.
class KeyRing final : public RecordCipher {
 public:
  /// For make_key_ring() and open_key_ring().
  KeyRing(std::filesystem::path path, DataKeys keys, base::SecretBytes master_key,
          const RingFile& file, base::Rng& rng);

  base::Bytes seal(base::BytesView plain, base::BytesView context) override;
  base::Result<base::Bytes> open(base::BytesView sealed, base::BytesView context) const override;

  KeyEpoch current_epoch() const;
  KeyEpoch oldest_epoch() const;

  /// What is sealed from now on has a new key; older keys stay for reading. Returns its epoch.
  /// Errors: ResourceExhausted (kEpochsMax keys are kept: forget some), of the system.
  base::Result<KeyEpoch> rotate();
  /// Lets go of the keys below `epoch`: what is still sealed by them can never be read again.
  /// Errors: InvalidArgument (above the current), of the system.
  base::Result<> forget_before(KeyEpoch epoch);
  /// From now on `source` opens the ring, and what opened it before does not. No data is touched.
  /// Errors: as make_key_ring(). After an error of the system either may open it.
  base::Result<> change_master(MasterSource source);

 private:
  base::Result<> save(const DataKeys& keys) const;

  static constexpr std::size_t kDrawnBytes = 16;  // Of a nonce.

  const std::filesystem::path path_;
  base::Rng& rng_;
  std::array<std::uint8_t, kDrawnBytes> drawn_{};
  std::atomic<std::uint64_t> sealed_ = 0;
  mutable std::shared_mutex mutex_;  // Guards all below.
  DataKeys keys_;
  base::SecretBytes master_key_;
  MasterKind master_;
  std::array<std::uint8_t, kSaltBytes> salt_;
};

/// On the first start of a node: makes the ring with one key, and the key file if there is none.
/// `rng` is borrowed, makes keys and is safe from several threads.
/// Errors: AlreadyExists (there is a ring), InvalidArgument (empty passphrase), FailedPrecondition
/// (others may use the key file), of the system.
base::Result<std::unique_ptr<KeyRing>> make_key_ring(std::filesystem::path path,
                                                     MasterSource source, base::Rng& rng);

/// Errors: NotFound (no ring, or no key file: say how to get it back), NotVerified (wrong
/// passphrase or key file), DataLoss (damaged), FailedPrecondition (newer version; the other kind
/// of master key; others may use a file), of the system. Nothing is changed by any of them.
base::Result<std::unique_ptr<KeyRing>> open_key_ring(std::filesystem::path path,
                                                     MasterSource source, base::Rng& rng);

}  // namespace hypermesh::at_rest
