#pragma once

// What root lets the daemon ask the keeper for. Who of the daemon's users may ask is the daemon's
// matter; a daemon that somebody took over asks for anything.

#include <nexus/workload_types.hpp>
#include <string>
#include <vector>

namespace hypermesh::keeper {

struct AccessPolicy {
  bool host_users = false;  ///< Pods without a user namespace of their own.
  /// In such pods: privileged containers, capabilities beyond the defaults, no system call filter.
  bool privileged = false;
  std::vector<std::string> host_paths;  ///< A hostPath lies in one of these folders, or is one.
};

/// Errors: Forbidden (names what is allowed and where to allow more). Where a hostPath leads is
/// seen only when it is opened: open_host_path().
base::Result<> check_access(const AccessPolicy& policy, const nexus::PodSpec& pod);
base::Result<> check_access(const AccessPolicy& policy, bool host_users,
                            const nexus::ContainerSecurity& security);
/// `real_path` is free of links.
base::Result<> check_host_path_access(const std::vector<std::string>& real_folders,
                                      const std::string& path, const std::string& real_path);

}  // namespace hypermesh::keeper
