#pragma once

// The bytes of a key ring: docs/wire/keys.md says what it is for. Data keys lie in it sealed
// by the master key, each bound to everything else that the file says. Behind them is a checksum
// that tells a damaged file from a wrong passphrase.

#include <base/crypto.hpp>
#include <map>

namespace hypermesh::at_rest {

/// Of a data key; 1 for the first. Sealed records say theirs.
using KeyEpoch = std::uint32_t;

inline constexpr std::uint16_t kRingVersion = 1;
inline constexpr std::size_t kDataKeyBytes = base::kSealKeyBytes;
inline constexpr std::size_t kSaltBytes = 16;
inline constexpr std::size_t kEpochsMax = 1024;  ///< Keys kept at a time.
inline constexpr std::size_t kRingBytesMax = 128 * 1024;

/// Where the master key comes from.
enum class MasterKind : std::uint8_t {
  Passphrase = 1,  ///< Argon2id, 64 MiB, 2 passes, with the ring's salt.
  KeyFile = 2,
};

using DataKeys = std::map<KeyEpoch, base::SecretBytes>;

/// What can be read without the master key.
struct RingFile {
  MasterKind master = MasterKind::Passphrase;
  std::array<std::uint8_t, kSaltBytes> salt{};
  std::map<KeyEpoch, base::Bytes> sealed;  ///< Never empty. The highest seals.

  friend bool operator==(const RingFile&, const RingFile&) = default;
};
base::Bytes encode(const RingFile& file);
/// Errors: FailedPrecondition (a newer version), DataLoss (damaged, or no key ring).
base::Result<RingFile> decode_ring(base::BytesView bytes);

RingFile seal_keys(const DataKeys& keys, base::BytesView master_key, MasterKind master,
                   base::BytesView salt, base::Rng& rng);
/// Errors: NotVerified (the master key is another one).
base::Result<DataKeys> open_keys(const RingFile& file, base::BytesView master_key);

}  // namespace hypermesh::at_rest
