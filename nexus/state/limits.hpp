#pragma once

#include <cstddef>
#include <cstdint>

namespace nexus {

inline constexpr std::size_t kStateKeyBytesMax = 1024;
inline constexpr std::size_t kStateValueBytesMax = 4u << 20;
inline constexpr std::size_t kStateWritesMax = 4096;  ///< Of one transaction.
inline constexpr std::size_t kStateCommitBytesMax = 16u
                                                    << 20;  ///< Keys and values of one transaction.

/// How much of the past a watch can start from.
struct EventLogLimits {
  std::uint64_t commits_max = 100'000;
  std::uint64_t bytes_max = 64u << 20;
};

}  // namespace nexus
