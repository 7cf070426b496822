#pragma once

// The small files that every container of a pod shares.

#include <nexus/workload_types.hpp>
#include <string>
#include <vector>

namespace hypermesh::keeper {

inline constexpr std::size_t kHostNameBytesMax = 63;  ///< The kernel takes 64.

/// What the pod calls itself: its host name, or its name; cut as kubelet cuts it.
std::string pod_hostname(const nexus::PodSpec& pod);
/// /etc/hosts. `addresses` are the pod's own.
std::string hosts_file(const nexus::PodSpec& pod, const std::vector<std::string>& addresses);
/// /etc/resolv.conf. `node_servers` answer where the pod names none.
std::string resolver_file(const nexus::PodSpec& pod, const std::vector<std::string>& node_servers);

}  // namespace hypermesh::keeper
