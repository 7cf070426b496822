#pragma once

#include <base/error.hpp>
#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace cli::dev {

/// Folders of the name `name` in every cgroup hierarchy below `top`, version 1 or 2, wherever they
/// hang.
std::vector<std::filesystem::path> find_cgroups(const std::filesystem::path& top,
                                                const std::string& name);

/// Kills every process in the trees at once. Processes that the kernel has frozen are thawed for
/// it.
base::Result<> kill_cgroups(const std::vector<std::filesystem::path>& trees);

/// Waits until the trees are empty, killing what appears, and removes them. Errors: TimedOut (names
/// the tree).
base::Result<> remove_cgroups(const std::vector<std::filesystem::path>& trees,
                              std::chrono::milliseconds limit);

}  // namespace cli::dev
