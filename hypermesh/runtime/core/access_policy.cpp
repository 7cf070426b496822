#include "runtime/core/access_policy.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "runtime/core/capabilities.hpp"

namespace hypermesh::keeper {
namespace {

std::unexpected<base::Error> forbidden(std::string message, std::string_view option,
                                       std::string_view key) {
  return std::unexpected(base::with_hint(
      base::make_error(base::Errc::Forbidden, std::move(message)),
      fmt::format("root allows it with {} of hypermesh-keeper; on a development node with {} in "
                  "hypermesh.yaml",
                  option, key)));
}

std::unexpected<base::Error> not_privileged(std::string_view what) {
  return forbidden(fmt::format("{}: this node's keeper allows no privileged containers", what),
                   "--allow-privileged", "runtime.allow_privileged: true");
}

}  // namespace

base::Result<> check_access(const AccessPolicy& policy, const nexus::PodSpec& pod) {
  if (pod.host_users && !policy.host_users) {
    return forbidden("hostUsers: this node's keeper gives every pod users of its own",
                     "--allow-host-users", "runtime.allow_host_users: true");
  }
  if (!policy.host_paths.empty()) return {};
  for (const auto& volume : pod.volumes) {
    if (const auto* host = std::get_if<nexus::HostPathVolume>(&volume.source))
      return check_host_path_access({}, host->path, host->path);
  }
  return {};
}

base::Result<> check_access(const AccessPolicy& policy, bool host_users,
                            const nexus::ContainerSecurity& security) {
  if (policy.privileged) return {};
  if (security.privileged) return not_privileged("privileged");
  // Within a user namespace of its own a container rules nothing else with them.
  if (!host_users) return {};
  if (security.seccomp_unconfined)
    return not_privileged("seccompProfile Unconfined with hostUsers");
  TRY(const CapabilitySet wanted,
      effective_capabilities(security.capabilities_add, security.capabilities_drop, false));
  const CapabilitySet beyond = wanted & ~default_capabilities();
  if (beyond == 0) return {};
  return not_privileged(
      fmt::format("hostUsers with {}", fmt::join(capability_names(beyond), ", ")));
}

base::Result<> check_host_path_access(const std::vector<std::string>& real_folders,
                                      const std::string& path, const std::string& real_path) {
  const bool within = std::ranges::any_of(real_folders, [&](const std::string& folder) {
    return folder == "/" || real_path == folder || real_path.starts_with(folder + "/");
  });
  if (within) return {};
  const std::string found =
      real_path == path ? path : fmt::format("{}, which leads to {},", path, real_path);
  return forbidden(
      real_folders.empty()
          ? fmt::format("hostPath {}: this node's keeper allows none", found)
          : fmt::format("hostPath {} is in no folder that this node's keeper allows: {}", found,
                        fmt::join(real_folders, ", ")),
      "--allow-host-path FOLDER", "runtime.host_paths");
}

}  // namespace hypermesh::keeper
