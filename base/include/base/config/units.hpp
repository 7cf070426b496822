#pragma once

// Text to values with units. Sizes are 1024-based: 4KB is 4096 bytes (DESIGN:
// docs/operating/configuration.md).

#include <base/error.hpp>
#include <base/time.hpp>
#include <cstdint>
#include <string>
#include <string_view>

namespace base::config {

/// "100ms", "5s", "1.5h", "24h", "7d". Units: ns us ms s m h d. Errors: InvalidArgument.
Result<Duration> parse_duration(std::string_view text);
/// "4KB", "10GB", "512", "1.5GiB". Units: B K KB KiB M MB MiB G GB GiB T TB TiB. Errors:
/// InvalidArgument.
Result<std::uint64_t> parse_size(std::string_view text);

struct Endpoint {
  std::string address;  ///< Without brackets.
  std::uint16_t port = 0;
  bool operator==(const Endpoint&) const = default;
};
/// "[::]:8080", "[fd00::1]:53", "127.0.0.1:80". Errors: InvalidArgument.
Result<Endpoint> parse_endpoint(std::string_view text);

}  // namespace base::config
