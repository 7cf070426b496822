#pragma once

#include <cstdint>

namespace hypermesh::keeper {

inline constexpr std::uint64_t kLogFileBytesMin = 64u << 10, kLogFileBytesMax = 1u << 30;
inline constexpr std::uint32_t kLogFilesMax = 100;

/// Of the log of one attempt of a container.
struct LogLimits {
  std::uint64_t file_bytes_max = 10u << 20;  ///< Then the file is put aside.
  std::uint32_t files_max = 5;               ///< The one being written included.
};

}  // namespace hypermesh::keeper
