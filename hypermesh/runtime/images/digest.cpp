#include "runtime/images/digest.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hypermesh {

base::Result<ContentDigest> parse_digest_hex(std::string_view hex) {
  const auto is_lower_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  if (hex.size() != 64 || !std::ranges::all_of(hex, is_lower_hex)) {
    return base::fail(
        base::Errc::InvalidArgument,
        fmt::format("\"{}\" is not a SHA-256 digest: 64 lower-case hex digits are needed",
                    hex.substr(0, 80)));
  }
  TRY(const base::Bytes bytes, base::from_hex(hex));
  ContentDigest digest;
  std::ranges::copy(bytes, digest.bytes.begin());
  return digest;
}

base::Result<ContentDigest> parse_digest(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos) {
    return base::fail(
        base::Errc::InvalidArgument,
        fmt::format("\"{}\" is not a digest: \"sha256:\" and 64 hex digits are needed",
                    text.substr(0, 80)));
  }
  if (const auto algorithm = text.substr(0, colon); algorithm != "sha256") {
    return base::fail(base::Errc::Unsupported,
                      fmt::format("digest algorithm \"{}\" is not supported; sha256 is",
                                  algorithm.substr(0, 40)));
  }
  return parse_digest_hex(text.substr(colon + 1));
}

base::Error digest_mismatch(std::string_view what, const ContentDigest& wanted,
                            const ContentDigest& found) {
  return base::with_hint(
      base::make_error(base::Errc::NotVerified,
                       fmt::format("{} does not match its digest: wanted {}, found {}", what,
                                   wanted.text(), found.text())),
      "the source is damaged or lies; nothing of it was kept");
}

}  // namespace hypermesh
