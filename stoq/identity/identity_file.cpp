#include "identity/identity_file.hpp"

#include <base/file.hpp>

namespace stoq {

using base::Result;

namespace {

constexpr std::size_t kFileBytesMax = 128;

std::span<std::uint8_t> bytes_of(std::string& text) {
  return {reinterpret_cast<std::uint8_t*>(text.data()), text.size()};
}

Result<Identity> parse(std::string& text, const std::string& path) {
  std::string_view digits = text;
  while (digits.ends_with('\n') || digits.ends_with(' ')) digits.remove_suffix(1);
  auto seed = base::from_hex(digits);
  base::wipe(bytes_of(text));
  if (!seed || seed->size() != 32) {
    return base::fail(base::Errc::DataLoss,
                      path + ": holds no Ed25519 seed (64 hexadecimal digits)");
  }
  auto key = base::SigningKey::from_seed(*seed);
  base::wipe(*seed);
  TRY(base::SigningKey signing, std::move(key));
  return Identity::of(std::move(signing));
}

}  // namespace

Result<Identity> open_identity(const std::string& path, base::Rng& rng) {
  TRY(auto text, base::read_private_file(path, kFileBytesMax));
  if (text) return parse(*text, path);
  // The name itself survives a power failure: an identity that was used may not change.
  Identity identity = Identity::generate(rng);
  std::string made = base::to_hex(identity.key.seed()) + "\n";
  const auto written = base::write_private_file(path, made);
  base::wipe(bytes_of(made));
  TRY_DO(written);
  return identity;
}

}  // namespace stoq
