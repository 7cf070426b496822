#pragma once

#include <base/crypto.hpp>
#include <compare>
#include <string>
#include <string_view>

namespace hypermesh {

/// The name of content: "sha256:" and 64 hex digits (OCI image spec, descriptor.md, Digests). Other
/// algorithms are refused as Unsupported: no registry in use serves them.
struct ContentDigest {
  base::Digest bytes{};

  auto operator<=>(const ContentDigest&) const = default;
  std::string hex() const { return base::to_hex(bytes); }
  std::string text() const { return "sha256:" + hex(); }
};

base::Result<ContentDigest> parse_digest(std::string_view text);
/// 64 lower-case hex digits, as in file names.
base::Result<ContentDigest> parse_digest_hex(std::string_view hex);
inline ContentDigest digest_of(base::BytesView bytes) {
  return {base::sha256(bytes)};
}
inline ContentDigest digest_of(std::string_view text) {
  return {base::sha256(text)};
}

/// NotVerified, naming both digests.
base::Error digest_mismatch(std::string_view what, const ContentDigest& wanted,
                            const ContentDigest& found);

}  // namespace hypermesh
