#include "access/token_table.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace nexus {
namespace {

std::string_view next_word(std::string_view& line) {
  const auto first = line.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return line = {};
  line.remove_prefix(first);
  const auto end = std::min(line.find_first_of(" \t\r"), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(end);
  return word;
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

}  // namespace

base::Result<TokenTable> TokenTable::parse(std::string_view text) {
  TokenTable table;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const auto end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const auto bad = [&](std::string_view why) {
      return base::fail(
          base::Errc::InvalidArgument,
          fmt::format("line {} of the tokens: {}; a line is TOKEN ROLE USER", number, why));
    };
    const std::string_view token = next_word(line);
    if (token.empty() || token.starts_with('#')) continue;
    const std::string_view role_text = next_word(line), user = next_word(line);
    if (token.size() < kTokenCharactersMin) {
      return bad(fmt::format("the token has fewer than {} characters", kTokenCharactersMin));
    }
    if (user.empty() || !next_word(line).empty()) return bad("not three words");
    const auto role = parse_role(role_text);
    if (!role) return bad(role.error().message);
    if (table.entries_.size() == kTokensMax)
      return bad(fmt::format("more than {} tokens", kTokensMax));
    table.entries_.push_back({base::sha256(token), std::string(user), *role});
  }
  return table;
}

std::optional<Principal> TokenTable::find(std::string_view token) const {
  const base::Digest hash = base::sha256(token);
  std::optional<Principal> found;
  for (const Entry& entry : entries_) {
    if (base::constant_time_equal(hash, entry.hash)) found = Principal{entry.user, entry.role, {}};
  }
  return found;
}

std::string_view bearer_token(std::string_view authorization) {
  constexpr std::string_view kScheme = "Bearer ";
  if (authorization.size() <= kScheme.size() ||
      !std::ranges::equal(authorization.substr(0, kScheme.size()), kScheme, {}, lower, lower)) {
    return {};
  }
  authorization.remove_prefix(kScheme.size());
  return next_word(authorization);
}

}  // namespace nexus
