#pragma once

#include <base/time.hpp>
#include <optional>
#include <stoq/types.hpp>
#include <vector>

namespace cli {

/// A node's transport, as people name it.
struct StoqTarget {
  std::string host;  ///< An address without brackets, or a name to look up.
  std::uint16_t port = 0;
  std::optional<stoq::NodeId> node;  ///< Who must answer; empty: whoever does.
};

inline constexpr std::uint16_t kStoqPort = 9292;

/// "[NODE@]HOST[:PORT]": "[2001:db8::1]:9292", "2001:db8::1", "n1.example:9292",
/// "qv36…@[::1]:9292". Errors: InvalidArgument.
base::Result<StoqTarget> parse_stoq_target(std::string_view text);

/// What pings took, for a summary.
struct RoundTrips {
  base::Duration shortest, median, p99, longest;
};
/// `took` is not empty.
RoundTrips summarize(std::vector<base::Duration> took);

}  // namespace cli
