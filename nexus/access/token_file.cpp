#include "access/token_file.hpp"

#include <fmt/format.h>

#include <array>
#include <base/file.hpp>

namespace nexus {
namespace {

constexpr std::size_t kFileBytesMax = 1u << 20;

}  // namespace

std::string make_token(base::Rng& rng) {
  std::array<std::uint8_t, 32> bytes{};
  rng.fill(bytes);
  return "hm" + base::to_base32(bytes);
}

base::Result<TokenTable> open_token_file(const std::filesystem::path& path, base::Rng& rng) {
  TRY(std::optional<std::string> content, base::read_private_file(path, kFileBytesMax));
  if (!content) {
    content = fmt::format("{} admin admin\n", make_token(rng));
    TRY_DO(base::write_private_file(path, *content));
  }
  auto table = TokenTable::parse(*content);
  base::wipe({reinterpret_cast<std::uint8_t*>(content->data()), content->size()});
  if (!table) return std::unexpected(base::wrap(std::move(table).error(), path.string()));
  return table;
}

}  // namespace nexus
