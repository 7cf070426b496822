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

/// Writes `content` to a new file beside `path`, syncs it and moves it over `path`.
base::Result<> write_private_file(const std::filesystem::path& path, std::string_view content);
/// The content of a file that only its owner may read. Empty optional: there is none.
/// Errors: FailedPrecondition (its mode), ResourceExhausted (above 1 MiB).
base::Result<std::optional<std::string>> read_private_file(const std::filesystem::path& path);

}  // namespace nexus
