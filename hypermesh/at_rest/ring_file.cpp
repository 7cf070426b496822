#include "at_rest/ring_file.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hypermesh::at_rest {
namespace {

constexpr std::string_view kMagic = "HMKEYRNG";
constexpr std::size_t kSealedKeyBytesMax = 256;

/// All that the file says in the clear; part of every key's context.
base::Bytes clear_part(const RingFile& file) {
  base::ByteWriter writer;
  writer.raw(base::as_bytes(kMagic));
  writer.u16(kRingVersion);
  writer.u8(static_cast<std::uint8_t>(file.master));
  writer.raw(file.salt);
  writer.u32(static_cast<std::uint32_t>(file.sealed.size()));
  for (const auto& [epoch, sealed] : file.sealed) writer.u32(epoch);
  return std::move(writer).take();
}

base::Bytes key_context(const RingFile& file, KeyEpoch epoch) {
  base::ByteWriter writer;
  writer.raw(clear_part(file));
  writer.u32(epoch);
  return std::move(writer).take();
}

base::Result<RingFile> decode_fields(base::BytesView bytes) {
  base::ByteReader reader(bytes);
  TRY_DO(reader.raw(kMagic.size() + sizeof kRingVersion));
  RingFile file;
  TRY(const std::uint8_t master, reader.u8());
  file.master = static_cast<MasterKind>(master);
  TRY(const base::BytesView salt, reader.raw(kSaltBytes));
  std::ranges::copy(salt, file.salt.begin());
  TRY(const std::uint32_t count, reader.u32());
  if ((file.master != MasterKind::Passphrase && file.master != MasterKind::KeyFile) || count == 0 ||
      count > kEpochsMax)
    return base::fail(base::Errc::DataLoss, "the key ring has fields out of range");
  KeyEpoch before = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    TRY(const KeyEpoch epoch, reader.u32());
    if (epoch <= before)
      return base::fail(base::Errc::DataLoss, "the epochs of the key ring do not rise");
    file.sealed.emplace_hint(file.sealed.end(), epoch, base::Bytes());
    before = epoch;
  }
  for (auto& [epoch, sealed] : file.sealed) {
    TRY(const base::BytesView bytes_of_key, reader.sized(kSealedKeyBytesMax));
    sealed.assign(bytes_of_key.begin(), bytes_of_key.end());
  }
  TRY_DO(reader.end());
  return file;
}

}  // namespace

base::Bytes encode(const RingFile& file) {
  base::ByteWriter writer;
  writer.raw(clear_part(file));
  for (const auto& [epoch, sealed] : file.sealed) writer.sized(sealed);
  writer.raw(base::sha256(writer.view()));
  return std::move(writer).take();
}

base::Result<RingFile> decode_ring(base::BytesView bytes) {
  base::ByteReader reader(bytes);
  const auto magic = reader.raw(kMagic.size());
  const auto version = reader.u16();
  if (!version || base::as_text(*magic) != kMagic)
    return base::fail(base::Errc::DataLoss, "this is no key ring, or its start is damaged");
  if (*version > kRingVersion) {
    return std::unexpected(base::with_hint(
        base::make_error(base::Errc::FailedPrecondition,
                         fmt::format("the key ring has version {} and this program reads up to {}",
                                     *version, kRingVersion)),
        "start the version that wrote it, or a newer one"));
  }
  constexpr std::size_t kDigestBytes = sizeof(base::Digest);
  if (*version != kRingVersion || bytes.size() < kDigestBytes ||
      !std::ranges::equal(base::sha256(bytes.first(bytes.size() - kDigestBytes)),
                          bytes.last(kDigestBytes)))
    return base::fail(base::Errc::DataLoss, "the key ring is damaged: its checksum does not hold");
  return decode_fields(bytes.first(bytes.size() - kDigestBytes));
}

RingFile seal_keys(const DataKeys& keys, base::BytesView master_key, MasterKind master,
                   base::BytesView salt, base::Rng& rng) {
  BASE_ASSERT(!keys.empty() && keys.size() <= kEpochsMax && salt.size() == kSaltBytes,
              "a ring has keys and a salt");
  RingFile file;
  file.master = master;
  std::ranges::copy(salt, file.salt.begin());
  for (const auto& [epoch, key] : keys) file.sealed.emplace(epoch, base::Bytes());
  for (auto& [epoch, sealed] : file.sealed)
    sealed = base::seal(master_key, keys.at(epoch).view(), key_context(file, epoch), rng);
  return file;
}

base::Result<DataKeys> open_keys(const RingFile& file, base::BytesView master_key) {
  DataKeys keys;
  for (const auto& [epoch, sealed] : file.sealed) {
    TRY(base::Bytes key, base::open_sealed(master_key, sealed, key_context(file, epoch)));
    if (key.size() != kDataKeyBytes) {
      base::wipe(key);
      return base::fail(base::Errc::NotVerified, "a data key has another length");
    }
    keys.emplace(epoch, base::SecretBytes(std::move(key)));
  }
  return keys;
}

}  // namespace hypermesh::at_rest
