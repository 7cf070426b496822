#pragma once

// Every kind of object by every name that people give it. Pure data: the API server's discovery,
// the CLI's arguments and the manifest reader all ask here.

#include <base/error.hpp>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nexus::manifest {

/// What the API serves for a kind. A bit each.
enum class Verb : std::uint16_t {
  Get = 1 << 0,
  List = 1 << 1,
  Watch = 1 << 2,
  Create = 1 << 3,
  Update = 1 << 4,
  Patch = 1 << 5,
  Delete = 1 << 6,
  DeleteCollection = 1 << 7,
};

/// A kind that this version serves.
struct KindInfo {
  std::string_view kind;                          ///< "Deployment"
  std::string_view plural;                        ///< "deployments"
  std::string_view singular;                      ///< "deployment"
  std::span<const std::string_view> short_names;  ///< "deploy"
  std::string_view group;                         ///< "apps"; empty: the core group
  std::string_view version;                       ///< "v1"
  bool namespaced = true;
  std::uint16_t verbs = 0;                         ///< OR of Verb
  std::span<const std::string_view> subresources;  ///< "log", "scale"
  std::span<const std::string_view> categories;    ///< "all"

  bool serves(Verb verb) const { return (verbs & static_cast<std::uint16_t>(verb)) != 0; }
  /// "apps/v1", "v1".
  std::string api_version() const;
  /// "deployments.apps", "pods".
  std::string group_resource() const;
};

/// All served kinds, in the order of dependence: what others refer to comes first (Namespace,
/// ConfigMap, Secret, Service, then workloads), so that applying in this order works.
std::span<const KindInfo> served_kinds();

/// Position in served_kinds().
std::size_t apply_rank(const KindInfo& kind);

/// By kind, plural, singular or short name, in any case, also with the group ("deployments.apps",
/// "deployments.v1.apps"). Null when not served.
const KindInfo* find_kind(std::string_view name);

/// By path of the REST API: group "" is the core group. Null when not served.
const KindInfo* find_resource(std::string_view group, std::string_view version,
                              std::string_view plural);

/// Like find_kind, with an error that helps.
/// Errors: Unsupported (a kind of Kubernetes that this version does not serve; the hint says what
/// to use), InvalidArgument (no such kind; the hint names the nearest).
base::Result<const KindInfo*> resolve_kind(std::string_view name);

/// The kind of an object by its `apiVersion` and `kind`.
struct ObjectKind {
  const KindInfo* info = nullptr;
  /// Not empty: the object came in an old version and is to be read as `info->api_version()`.
  std::string converted_from;
};
/// Errors: Unsupported (known kind not served; wrong version of a served one), InvalidArgument (no
/// such kind or a kind under the wrong group; hints name the right one).
base::Result<ObjectKind> resolve_object_kind(std::string_view api_version, std::string_view kind);

}  // namespace nexus::manifest
