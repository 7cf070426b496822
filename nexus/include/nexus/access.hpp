#pragma once

// Who may do what. Denied unless a rule allows it (SPEC N7).

#include <base/error.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nexus {

/// Ordered: each role may do all that the ones before it may.
enum class Role : std::uint8_t { View, Edit, Admin };
std::string_view to_string(Role role);
/// Errors: InvalidArgument (names the roles).
base::Result<Role> parse_role(std::string_view text);

/// Somebody whose word for who they are was checked.
struct Principal {
  std::string user;  ///< "uid:1000", "root", or the name beside a token.
  Role role = Role::View;
  std::string origin;  ///< "unix" or "[fd00::9]:40122"
};

enum class AccessVerb : std::uint8_t { Get, List, Watch, Create, Update, Patch, Delete };
std::string_view to_string(AccessVerb verb);
/// Errors: InvalidArgument (names the verbs).
base::Result<AccessVerb> parse_access_verb(std::string_view text);
inline bool is_read(AccessVerb verb) {
  return verb <= AccessVerb::Watch;
}

struct AccessRequest {
  AccessVerb verb = AccessVerb::Get;
  std::string resource;     ///< "deployments", or one of ours: "images", "audit".
  std::string subresource;  ///< "exec", "scale"; may be empty.
  std::string name_space;   ///< Empty: cluster-scoped, or all namespaces.
  std::string name;
};
/// "update deployments/scale in namespace prod".
std::string describe(const AccessRequest& request);

struct Decision {
  bool allowed = false;
  std::string reason;  ///< A sentence for people and for the audit log.
};

/// Pure: the answer depends on the arguments alone.
Decision decide(const Principal& principal, const AccessRequest& request);

/// The principal with the lower role it asked to act with.
/// Errors: InvalidArgument (no such role), Forbidden (a higher role than one has).
base::Result<Principal> act_as(Principal principal, std::string_view role);

}  // namespace nexus
