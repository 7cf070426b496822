#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nexus/access.hpp>

namespace nexus {
namespace {

constexpr std::array<std::string_view, 3> kRoles = {"view", "edit", "admin"};
constexpr std::array<std::string_view, 7> kVerbs = {"get",    "list",  "watch", "create",
                                                    "update", "patch", "delete"};

/// The least role that may read, and that may write. A write that no rule names is denied to all.
struct Rule {
  std::string_view resource, subresource;
  Role read;
  std::optional<Role> write;
};

constexpr Role kView = Role::View, kEdit = Role::Edit, kAdmin = Role::Admin;
constexpr auto kNobody = std::nullopt;

constexpr Rule kRules[] = {
    // Objects.
    {"namespaces", "", kView, kAdmin},
    {"namespaces", "status", kView, kAdmin},
    {"nodes", "", kView, kAdmin},
    {"nodes", "status", kView, kAdmin},
    {"configmaps", "", kView, kEdit},
    {"secrets", "", kEdit, kEdit},
    {"services", "", kView, kEdit},
    {"services", "status", kView, kAdmin},
    {"endpoints", "", kView, kNobody},
    {"endpointslices", "", kView, kNobody},
    {"events", "", kView, kNobody},
    {"pods", "", kView, kEdit},
    {"pods", "status", kView, kAdmin},
    {"pods", "log", kView, kNobody},
    // To look through a container's eyes is to have what it has: its secrets and its network.
    {"pods", "exec", kEdit, kEdit},
    {"pods", "attach", kEdit, kEdit},
    {"pods", "portforward", kEdit, kEdit},
    {"pods", "files", kEdit, kEdit},
    {"replicasets", "", kView, kEdit},
    {"replicasets", "status", kView, kAdmin},
    {"replicasets", "scale", kView, kEdit},
    {"deployments", "", kView, kEdit},
    {"deployments", "status", kView, kAdmin},
    {"deployments", "scale", kView, kEdit},
    {"deployments", "history", kView, kNobody},
    {"deployments", "rollback", kView, kEdit},
    {"deployments", "restart", kView, kEdit},
    {"deployments", "pause", kView, kEdit},
    {"deployments", "resume", kView, kEdit},
    {"jobs", "", kView, kEdit},
    {"jobs", "status", kView, kAdmin},
    // The node.
    {"discovery", "", kView, kNobody},
    {"metrics", "", kView, kNobody},
    {"node", "", kView, kNobody},
    {"whoami", "", kView, kNobody},
    {"ps", "", kView, kNobody},
    {"why", "", kView, kNobody},
    {"top", "", kView, kNobody},
    {"doctor", "", kView, kNobody},
    {"config", "", kAdmin, kNobody},
    {"audit", "", kAdmin, kNobody},
    {"images", "", kView, kAdmin},
    {"images", "inspect", kView, kNobody},
    {"images", "pull", kEdit, kEdit},
    {"images", "export", kEdit, kNobody},
    // A path on the node is read with the daemon's rights.
    {"images", "import", kAdmin, kAdmin},
    {"images", "gc", kAdmin, kAdmin},
};

std::string who_can(Role least) {
  std::string roles;
  for (std::size_t i = static_cast<std::size_t>(least); i < kRoles.size(); ++i) {
    roles += fmt::format("{}{}", roles.empty() ? "" : " and ", kRoles[i]);
  }
  return roles;
}

}  // namespace

std::string_view to_string(Role role) {
  return kRoles[static_cast<std::size_t>(role)];
}
std::string_view to_string(AccessVerb verb) {
  return kVerbs[static_cast<std::size_t>(verb)];
}

base::Result<Role> parse_role(std::string_view text) {
  const auto* found = std::ranges::find(kRoles, text);
  if (found == kRoles.end()) {
    return base::fail(base::Errc::InvalidArgument,
                      fmt::format("\"{}\" is not a role; there are view, edit and admin", text));
  }
  return static_cast<Role>(found - kRoles.begin());
}

base::Result<AccessVerb> parse_access_verb(std::string_view text) {
  const auto* found = std::ranges::find(kVerbs, text);
  if (found == kVerbs.end()) {
    return base::fail(
        base::Errc::InvalidArgument,
        fmt::format(
            "\"{}\" is not a verb; there are get, list, watch, create, update, patch and delete",
            text));
  }
  return static_cast<AccessVerb>(found - kVerbs.begin());
}

std::string describe(const AccessRequest& request) {
  return fmt::format("{} {}{}{}{}", to_string(request.verb), request.resource,
                     request.subresource.empty() ? "" : "/" + request.subresource,
                     request.name.empty() ? "" : " " + request.name,
                     request.name_space.empty() ? "" : " in namespace " + request.name_space);
}

Decision decide(const Principal& principal, const AccessRequest& request) {
  const auto* rule = std::ranges::find_if(kRules, [&](const Rule& candidate) {
    return candidate.resource == request.resource && candidate.subresource == request.subresource;
  });
  if (rule == std::end(kRules)) {
    return {false, fmt::format("no rule allows anybody to {}", describe(request))};
  }
  const std::optional<Role> least = is_read(request.verb) ? rule->read : rule->write;
  if (!least) return {false, fmt::format("nobody may {}", describe(request))};
  if (principal.role < *least) {
    return {false, fmt::format("role \"{}\" may not {}; {} can", to_string(principal.role),
                               describe(request), who_can(*least))};
  }
  return {true, fmt::format("role \"{}\" may {}", to_string(principal.role), describe(request))};
}

base::Result<Principal> act_as(Principal principal, std::string_view role) {
  TRY(const Role wanted, parse_role(role));
  if (wanted > principal.role) {
    return base::fail(base::Errc::Forbidden,
                      fmt::format("{} has role \"{}\" and cannot act as \"{}\"", principal.user,
                                  to_string(principal.role), role));
  }
  principal.role = wanted;
  return principal;
}

}  // namespace nexus
