#pragma once

#include <cstdint>

namespace stoq::rpc {

/// Why a stream was reset; on the wire, and only for people to read.
enum class ResetCode : std::uint64_t { Cancelled = 1, TimedOut = 2, Protocol = 3, Stalled = 4 };

}  // namespace stoq::rpc
