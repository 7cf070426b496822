#pragma once

#include <base/random.hpp>
#include <filesystem>

#include "access/token_table.hpp"

namespace nexus {

/// Reads the tokens of `path`; when there is no such file, makes one with one new token of role
/// admin (mode 0600, on disk before it is used).
/// Errors: Forbidden, FailedPrecondition (others can read the file), InvalidArgument (a bad line).
base::Result<TokenTable> open_token_file(const std::filesystem::path& path, base::Rng& rng);

/// A new token: 256 bits of `rng`.
std::string make_token(base::Rng& rng);

}  // namespace nexus
