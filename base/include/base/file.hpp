#pragma once

#include <base/error.hpp>
#include <filesystem>
#include <string>

namespace base {

/// All of a file of at most `bytes_max` bytes; also of one that the kernel makes up, in /proc.
/// Errors: of the system, ResourceExhausted (it is larger).
Result<std::string> read_file(const std::filesystem::path& path, std::size_t bytes_max);

}  // namespace base
