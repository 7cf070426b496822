#include "at_rest/key_ring.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <base/file.hpp>
#include <mutex>

#include "at_rest/sealed_record.hpp"

namespace hypermesh::at_rest {
namespace {

MasterKind kind_of(const MasterSource& source) {
  return std::holds_alternative<Passphrase>(source) ? MasterKind::Passphrase : MasterKind::KeyFile;
}

std::string_view name_of(MasterKind kind) {
  return kind == MasterKind::Passphrase ? "passphrase" : "key file";
}

base::SecretBytes random_key(base::Rng& rng) {
  base::Bytes key(kDataKeyBytes);
  rng.fill(key);
  return base::SecretBytes(std::move(key));
}

/// Nothing if there is no such file.
base::Result<std::optional<base::SecretBytes>> read_key_file(const std::filesystem::path& path) {
  TRY(auto text, base::read_private_file(path, kDataKeyBytes));
  if (!text) return std::nullopt;
  const auto bytes = base::as_bytes(*text);
  base::SecretBytes key(base::Bytes(bytes.begin(), bytes.end()));
  base::wipe({reinterpret_cast<std::uint8_t*>(text->data()), text->size()});
  if (key.view().size() != kDataKeyBytes) {
    return std::unexpected(base::with_hint(
        base::make_error(base::Errc::DataLoss,
                         fmt::format("the key file {} has {} bytes, not {}", path.string(),
                                     key.view().size(), kDataKeyBytes)),
        "put its backup in its place"));
  }
  return key;
}

/// `make`: makes a key file that is not there; null if it has to be there.
base::Result<base::SecretBytes> master_key(const MasterSource& source, base::BytesView salt,
                                           base::Rng* make) {
  if (const auto* passphrase = std::get_if<Passphrase>(&source)) {
    if (passphrase->text.view().empty())
      return base::fail(base::Errc::InvalidArgument, "the passphrase of the key ring is empty");
    return base::derive_key(base::as_text(passphrase->text.view()), salt, kDataKeyBytes);
  }
  const auto& path = std::get<KeyFile>(source).path;
  TRY(auto found, read_key_file(path));
  if (found) return std::move(*found);
  if (make == nullptr) {
    return std::unexpected(base::with_hint(
        base::make_error(base::Errc::NotFound,
                         fmt::format("the key file {} does not exist", path.string())),
        "put its backup in its place; without it what is on disk cannot be read"));
  }
  base::SecretBytes key = random_key(*make);
  TRY_DO(base::write_private_file(path, base::as_text(key.view())));
  return key;
}

std::array<std::uint8_t, kSaltBytes> random_salt(base::Rng& rng) {
  std::array<std::uint8_t, kSaltBytes> salt{};
  rng.fill(salt);
  return salt;
}

base::Result<> write_ring(const std::filesystem::path& path, const RingFile& file) {
  return base::write_private_file(path, base::as_text(encode(file)));
}

base::Result<std::optional<RingFile>> read_ring(const std::filesystem::path& path) {
  TRY(const auto text, base::read_private_file(path, kRingBytesMax));
  if (!text) return std::nullopt;
  auto file = decode_ring(base::as_bytes(*text));
  if (file) return std::move(*file);
  base::Error error = base::wrap(std::move(file).error(), path.string());
  if (error.code == base::Errc::DataLoss) {
    error.hints.emplace_back(
        "put its backup in its place, or let this node join anew with an empty data folder");
  }
  return std::unexpected(std::move(error));
}

}  // namespace

KeyRing::KeyRing(std::filesystem::path path, DataKeys keys, base::SecretBytes master_key,
                 const RingFile& file, base::Rng& rng)
    : path_(std::move(path)),
      rng_(rng),
      keys_(std::move(keys)),
      master_key_(std::move(master_key)),
      master_(file.master),
      salt_(file.salt) {
  rng_.fill(drawn_);
}

base::Bytes KeyRing::seal(base::BytesView plain, base::BytesView context) {
  std::array<std::uint8_t, base::kSealNonceBytes> nonce{};
  static_assert(nonce.size() == kDrawnBytes + sizeof(std::uint64_t));
  std::ranges::copy(drawn_, nonce.begin());
  std::uint64_t count = sealed_.fetch_add(1);
  for (std::size_t i = kDrawnBytes; i < nonce.size(); ++i, count >>= 8)
    nonce[i] = static_cast<std::uint8_t>(count);
  const std::shared_lock lock(mutex_);
  const auto& [epoch, key] = *keys_.rbegin();
  return seal_record(epoch, key.view(), nonce, plain, context);
}

base::Result<base::Bytes> KeyRing::open(base::BytesView sealed, base::BytesView context) const {
  TRY(const KeyEpoch epoch, epoch_of(sealed));
  const std::shared_lock lock(mutex_);
  const auto key = keys_.find(epoch);
  if (key == keys_.end()) {
    return std::unexpected(base::with_hint(
        base::make_error(
            base::Errc::FailedPrecondition,
            fmt::format("a record is sealed by the key of epoch {} and {} has epochs {} to {}",
                        epoch, path_.string(), keys_.begin()->first, keys_.rbegin()->first)),
        "bring back the key ring that has it"));
  }
  return open_record(key->second.view(), sealed, context);
}

KeyEpoch KeyRing::current_epoch() const {
  const std::shared_lock lock(mutex_);
  return keys_.rbegin()->first;
}

KeyEpoch KeyRing::oldest_epoch() const {
  const std::shared_lock lock(mutex_);
  return keys_.begin()->first;
}

base::Result<> KeyRing::save(const DataKeys& keys) const {
  return write_ring(path_, seal_keys(keys, master_key_.view(), master_, salt_, rng_));
}

base::Result<KeyEpoch> KeyRing::rotate() {
  const std::unique_lock lock(mutex_);
  if (keys_.size() >= kEpochsMax) {
    return std::unexpected(
        base::with_hint(base::make_error(base::Errc::ResourceExhausted,
                                         fmt::format("{} keeps {} keys; the limit is {}",
                                                     path_.string(), keys_.size(), kEpochsMax)),
                        "let go of the oldest ones"));
  }
  const KeyEpoch next = keys_.rbegin()->first + 1;
  keys_.emplace(next, random_key(rng_));
  if (auto saved = save(keys_); !saved) {
    keys_.erase(next);
    return std::unexpected(std::move(saved).error());
  }
  return next;
}

base::Result<> KeyRing::forget_before(KeyEpoch epoch) {
  const std::unique_lock lock(mutex_);
  if (epoch > keys_.rbegin()->first) {
    return base::fail(
        base::Errc::InvalidArgument,
        fmt::format("epoch {} has not begun; the current one is {}", epoch, keys_.rbegin()->first));
  }
  DataKeys forgotten;
  while (keys_.begin()->first < epoch) forgotten.insert(keys_.extract(keys_.begin()));
  if (forgotten.empty()) return {};
  auto saved = save(keys_);
  if (!saved) keys_.merge(forgotten);
  return saved;
}

base::Result<> KeyRing::change_master(MasterSource source) {
  const auto salt = random_salt(rng_);
  TRY(auto key, master_key(source, salt, &rng_));
  const std::unique_lock lock(mutex_);
  TRY_DO(write_ring(path_, seal_keys(keys_, key.view(), kind_of(source), salt, rng_)));
  master_key_ = std::move(key);
  master_ = kind_of(source);
  salt_ = salt;
  return {};
}

base::Result<std::unique_ptr<KeyRing>> make_key_ring(std::filesystem::path path,
                                                     MasterSource source, base::Rng& rng) {
  TRY(const auto found, read_ring(path));
  if (found) {
    return base::fail(base::Errc::AlreadyExists,
                      fmt::format("{} is a key ring already", path.string()));
  }
  const auto salt = random_salt(rng);
  TRY(auto master, master_key(source, salt, &rng));
  DataKeys keys;
  keys.emplace(1, random_key(rng));
  const RingFile file = seal_keys(keys, master.view(), kind_of(source), salt, rng);
  TRY_DO(write_ring(path, file));
  return std::make_unique<KeyRing>(std::move(path), std::move(keys), std::move(master), file, rng);
}

base::Result<std::unique_ptr<KeyRing>> open_key_ring(std::filesystem::path path,
                                                     MasterSource source, base::Rng& rng) {
  TRY(const auto file, read_ring(path));
  if (!file) {
    return std::unexpected(base::with_hint(
        base::make_error(base::Errc::NotFound,
                         fmt::format("the key ring {} does not exist", path.string())),
        "put its backup in its place; without it what is on disk cannot be read"));
  }
  if (file->master != kind_of(source)) {
    return std::unexpected(base::with_hint(
        base::make_error(base::Errc::FailedPrecondition,
                         fmt::format("{} is opened by a {}, not by a {}", path.string(),
                                     name_of(file->master), name_of(kind_of(source)))),
        fmt::format("give the {} of this node", name_of(file->master))));
  }
  TRY(auto master, master_key(source, file->salt, nullptr));
  auto keys = open_keys(*file, master.view());
  if (!keys) {
    return std::unexpected(base::with_hint(
        base::make_error(
            base::Errc::NotVerified,
            fmt::format("the {} does not open {}", name_of(file->master), path.string())),
        fmt::format("give the {} that it was last closed with; nothing was changed",
                    name_of(file->master))));
  }
  return std::make_unique<KeyRing>(std::move(path), std::move(*keys), std::move(master), *file,
                                   rng);
}

}  // namespace hypermesh::at_rest
