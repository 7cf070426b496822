#pragma once

#include <cstdint>

namespace stoq::rpc {

/// Why a stream was reset; on the wire, and only for people to read.
enum class ResetCode : std::uint64_t { Cancelled = 1, TimedOut = 2, Protocol = 3, Stalled = 4 };

/// With this code a connection is closed that nothing goes on at: whoever closes has begun no call
/// of the peer's that it has not answered in full, and begins none.
inline constexpr std::uint64_t kCloseUnused = 1;

}  // namespace stoq::rpc
