#pragma once

#include <base/crypto.hpp>
#include <nexus/access.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace nexus {

/// Bearer tokens and whom they stand for. Holds hashes only: a token cannot be read back.
class TokenTable {
 public:
  static constexpr std::size_t kTokenCharactersMin = 32;
  static constexpr std::size_t kTokensMax = 1000;

  /// Lines "TOKEN ROLE USER"; empty lines and lines that begin with # are left out.
  /// Errors: InvalidArgument (names the line, never the token).
  static base::Result<TokenTable> parse(std::string_view text);

  /// Whose token this is; empty for a stranger's. Takes as long for every token.
  std::optional<Principal> find(std::string_view token) const;
  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    base::Digest hash;
    std::string user;
    Role role;
  };
  std::vector<Entry> entries_;
};

/// The token of "Bearer TOKEN" (RFC 6750 section 2.1); empty when the header is of another form.
std::string_view bearer_token(std::string_view authorization);

}  // namespace nexus
