#pragma once

#include <base/error.hpp>
#include <string>
#include <string_view>

namespace cli {

/// Errors: errno's; ResourceExhausted (above `bytes_max`).
base::Result<std::string> read_file(const std::string& path, std::size_t bytes_max);
/// Everything that comes on a descriptor.
base::Result<std::string> read_descriptor(int fd, std::string_view what, std::size_t bytes_max);
/// Replaces the file in one step, mode 0600; missing folders are made (0700).
base::Result<> write_private_file(const std::string& path, std::string_view content);

}  // namespace cli
