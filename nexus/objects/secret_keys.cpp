#include "objects/secret_keys.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <base/file.hpp>

namespace nexus {
namespace {

constexpr std::string_view kHeader = "hypermesh secret keys 1\n";
constexpr std::size_t kFileBytesMax = 64 * 1024;

base::Result<> make_parent(const std::filesystem::path& path) {
  std::error_code made;
  std::filesystem::create_directories(path.parent_path(), made);
  if (made) return base::fail_errno(made.value(), "make " + path.parent_path().string());
  return {};
}

base::SecretBytes random_key(base::Rng& rng) {
  base::Bytes bytes(base::kSealKeyBytes);
  rng.fill(bytes);
  return base::SecretBytes(std::move(bytes));
}

}  // namespace

base::Result<SecretKeys> SecretKeys::from_file(const std::filesystem::path& path, base::Rng& rng) {
  SecretKeys keys;
  keys.path_ = path;
  TRY(auto text, base::read_private_file(path, kFileBytesMax));
  if (!text) {
    TRY_DO(make_parent(path));
    keys.add(random_key(rng));
    TRY_DO(keys.save());
    return keys;
  }
  const auto damaged = [&](std::string_view how) {
    return base::fail(base::Errc::DataLoss,
                      fmt::format("the key file {} is damaged: {}", path.string(), how));
  };
  std::string_view rest = *text;
  if (!rest.starts_with(kHeader))
    return damaged("it does not start with \"hypermesh secret keys 1\"");
  rest.remove_prefix(kHeader.size());
  while (!rest.empty()) {
    const auto end = rest.find('\n');
    if (end == std::string_view::npos) return damaged("its last line is cut");
    auto bytes = base::from_base64(rest.substr(0, end));
    if (!bytes || bytes->size() != base::kSealKeyBytes) return damaged("a line holds no key");
    keys.add(base::SecretBytes(std::move(*bytes)));
    rest.remove_prefix(end + 1);
  }
  base::wipe({reinterpret_cast<std::uint8_t*>(text->data()), text->size()});
  if (keys.keys_.empty()) return damaged("it holds no key");
  return keys;
}

void SecretKeys::add(base::SecretBytes bytes) {
  // The id tells keys apart and gives nothing away: it is the start of a hash under a name of its
  // own.
  base::Sha256 hash;
  hash.update(base::as_bytes("hypermesh secret key id"));
  hash.update(bytes.view());
  const base::Digest digest = hash.finish();
  Key key{{}, std::move(bytes)};
  std::copy_n(digest.begin(), key.id.size(), key.id.begin());
  keys_.push_back(std::move(key));
}

base::Result<> SecretKeys::save() const {
  std::string text(kHeader);
  for (const Key& key : keys_) text += base::to_base64(key.bytes.view()) + "\n";
  const auto written = base::write_private_file(path_, text);
  base::wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  return written;
}

base::Result<> SecretKeys::rotate(base::Rng& rng) {
  add(random_key(rng));
  auto saved = save();
  if (!saved) keys_.pop_back();
  return saved;
}

base::Bytes SecretKeys::seal(base::BytesView plain, std::string_view context,
                             base::Rng& rng) const {
  return base::seal(keys_.back().bytes.view(), plain, base::as_bytes(context), rng);
}

base::Result<base::Bytes> SecretKeys::open(const SecretKeyId& id, base::BytesView sealed,
                                           std::string_view context) const {
  const auto key = std::ranges::find(keys_, id, &Key::id);
  if (key == keys_.end()) {
    auto error =
        base::make_error(base::Errc::FailedPrecondition,
                         fmt::format("sealed with key {}; {} holds key {}", base::to_hex(id),
                                     path_.string(), base::to_hex(keys_.back().id)));
    return std::unexpected(base::with_hint(
        std::move(error), "bring back the key file that this state was written with"));
  }
  return base::open_sealed(key->bytes.view(), sealed, base::as_bytes(context));
}

}  // namespace nexus
