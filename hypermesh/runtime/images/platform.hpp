#pragma once

#include <base/error.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace hypermesh {

/// What an image is built for, in the words of Go's GOOS and GOARCH (OCI image spec,
/// image-index.md).
struct Platform {
  std::string os = "linux";
  std::string architecture = "amd64";
  std::string variant;  ///< "v8", "v7", "v3"; empty: the oldest of its architecture, for arm64 v8.

  bool operator==(const Platform&) const = default;
  /// "linux/arm/v7"
  std::string text() const;
};

/// "linux/amd64", "linux/arm/v7". Errors: InvalidArgument.
base::Result<Platform> parse_platform(std::string_view text);

/// How well an image for `image` runs on `host`: 0 not at all, higher is closer. A host runs every
/// older variant of its own architecture.
unsigned platform_fitness(const Platform& host, const Platform& image);

/// Index of the best of `candidates` for `host`; the first of equals. An empty candidate (an entry
/// that says nothing) never wins.
std::optional<std::size_t> select_platform(const Platform& host,
                                           std::span<const std::optional<Platform>> candidates);

}  // namespace hypermesh
