#pragma once

// Who a container's process is: the image's User and the pod's security context, looked up in the
// image's own /etc/passwd and /etc/group. All three are text of strangers.

#include <base/error.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hypermesh::keeper {

inline constexpr std::size_t kUserFileBytesMax = 1u << 20;  ///< Of /etc/passwd and /etc/group each.
inline constexpr std::uint32_t kContainerIds = 65'536;  ///< Ids 0 to 65535 exist in a container.
inline constexpr std::size_t kGroupsMax = 256;

struct ResolvedUser {
  std::uint32_t uid = 0, gid = 0;
  std::vector<std::uint32_t> groups;  ///< Supplementary, ascending, without gid.
  std::string home = "/";
};

struct UserRequest {
  std::string image_user;            ///< "web", "1000", "web:staff", "1000:1000" or empty.
  std::optional<std::uint32_t> uid;  ///< Replaces the image's user.
  std::optional<std::uint32_t> gid;
  std::vector<std::uint32_t> supplemental_groups;
  bool must_not_be_root = false;
  bool ids_are_mapped = true;  ///< Ids above 65535 do not exist in the container.
};

/// Errors: InvalidArgument (a name that the image does not have, an id out of range),
///         FailedPrecondition (root where the pod forbids it).
base::Result<ResolvedUser> resolve_user(const UserRequest& request, std::string_view passwd,
                                        std::string_view group);

}  // namespace hypermesh::keeper
