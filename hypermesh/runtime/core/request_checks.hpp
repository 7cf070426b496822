#pragma once

// What the keeper demands of a request before anything is done: it runs as root, the asker does
// not, and names become paths.

#include "runtime/core/keeper_protocol.hpp"

namespace hypermesh::keeper {

inline constexpr std::size_t kVolumesMax = 128;    ///< Of a pod.
inline constexpr std::size_t kMountsMax = 256;     ///< Of a container.
inline constexpr std::size_t kContainersMax = 64;  ///< Of a pod.
inline constexpr std::size_t kVolumeFilesMax = 4096;
inline constexpr std::size_t kArgumentsMax = 4096;  ///< Words of a command line, and variables.
inline constexpr std::size_t kArgumentBytesMax = 128u << 10;  ///< Of one; the kernel takes no more.
inline constexpr std::size_t kLayersMax = 128;
inline constexpr std::size_t kPathBytesMax = 4095;

/// Errors: InvalidArgument (names the member and what is wrong with it), Unsupported (a sysctl that
/// is not of the pod's own namespaces).
base::Result<> check(const Request& request);

base::Result<> check_pod_uid(std::string_view uid);
base::Result<> check_container_name(std::string_view name);
/// Absolute and not "/", without "..", NUL, or doubled slashes, at most kPathBytesMax. A slash at
/// the end is allowed.
base::Result<> check_absolute_path(std::string_view path, std::string_view what);
/// Relative, without "..", not empty.
base::Result<> check_relative_path(std::string_view path, std::string_view what);

/// Folder of a named volume below the node's volumes: "namespace/name" has no slash there.
std::string volume_folder_name(std::string_view volume_name);

}  // namespace hypermesh::keeper
