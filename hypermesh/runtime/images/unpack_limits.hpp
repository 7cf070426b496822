#pragma once

#include <chrono>
#include <cstdint>

namespace hypermesh {

/// How much one layer may take. What goes beyond is refused as a bomb.
struct UnpackLimits {
  std::uint64_t bytes_max =
      32ull << 30;  ///< Of the uncompressed archive, and of its files together.
  std::uint64_t entries_max = 1'000'000;
  std::uint64_t path_bytes_max = 4096;
  std::uint64_t ratio_max = 300;  ///< Uncompressed to compressed, once past ratio_free_bytes.
  std::uint64_t ratio_free_bytes = 256u << 20;
  std::uint64_t xattr_bytes_max = 64u << 10;  ///< Of one entry, names and values.
  std::chrono::seconds time_max{1800};        ///< Kept by the process that started the unpacker.
};

}  // namespace hypermesh
