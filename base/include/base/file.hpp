#pragma once

#include <base/error.hpp>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace base {

/// All of a file of at most `bytes_max` bytes; also of one that the kernel makes up, in /proc.
/// Errors: of the system, ResourceExhausted (it is larger).
Result<std::string> read_file(const std::filesystem::path& path, std::size_t bytes_max);

/// A file that holds secrets; empty when there is none. A symbolic link is not followed.
/// Errors: of the system, FailedPrecondition (others than its owner may use it),
/// ResourceExhausted (it is larger).
Result<std::optional<std::string>> read_private_file(const std::filesystem::path& path,
                                                     std::size_t bytes_max);
/// Whole or not at all: written beside `path` for its owner alone, brought to disk, then moved over
/// `path`, and the folder brought to disk. Errors: of the system.
Result<> write_private_file(const std::filesystem::path& path, std::string_view content);

}  // namespace base
