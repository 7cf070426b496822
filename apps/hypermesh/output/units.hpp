#pragma once

// Numbers as people read them.

#include <base/time.hpp>
#include <cstdint>
#include <string>

namespace cli {

/// "512 B", "68.4 MiB", "1.2 GiB".
std::string show_bytes(std::uint64_t bytes);
/// "250m", "1.5": thousandths of a core as Kubernetes writes them.
std::string show_cpu(std::uint64_t millis);
/// "38 ms", "2.1 s", "4m12s": how long something took.
std::string show_took(base::Duration took);
/// "18,204".
std::string show_count(std::uint64_t count);

/// "10m", "1h30m", "45s", "500ms", "2d"; a number alone is seconds.
/// Errors: InvalidArgument (names `what` and the text).
base::Result<base::Duration> parse_duration(std::string_view text, std::string_view what);

}  // namespace cli
