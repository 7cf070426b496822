#pragma once

// Kubernetes' rules beyond the form of single fields. Each function reads what may still be
// malformed (the structural check has reported that) and adds what it finds. Private to admission.

#include <set>
#include <string_view>

#include "manifest/kinds.hpp"
#include "manifest/view.hpp"

namespace nexus::manifest {

/// Which kind of object a pod's description belongs to: what may be set differs.
enum class PodUse : std::uint8_t { Pod, ReplicaTemplate, JobTemplate };

/// What the parts of a pod may refer to.
struct PodNames {
  std::set<std::string_view> volumes, containers;
  bool host_network = false;
};

void check_metadata(const View& metadata, const KindInfo& kind, Report& report);
void check_pod_spec(const View& spec, PodUse use, Report& report);
/// A container's own fields, and what it refers to in its pod.
void check_container(const View& container, const PodNames& names, bool is_init, Report& report);
/// A field of the pod for an environment or a file.
void check_field_ref(const View& ref, Report& report);
void check_resource_ref(const View& ref, const PodNames& names, bool needs_name, Report& report);
void check_volume(const View& volume, const PodNames& names, Report& report);
void check_deployment(const View& object, Report& report);
void check_replica_set(const View& object, Report& report);
void check_job(const View& object, Report& report);
void check_service(const View& object, Report& report);
void check_config_map(const View& object, Report& report);
void check_secret(const View& object, Report& report);

void check_update(const KindInfo& kind, const Json& before, const Json& after, Report& report);

/// Exactly one of `keys` in `parent`. True when it is so; a missing parent is fine.
bool check_exactly_one(const View& parent, std::initializer_list<std::string_view> keys,
                       Report& report, std::string_view what);

/// Defaults that depend on other fields, into an object whose structure has been checked.
void apply_defaults(const KindInfo& kind, Json& object);
/// Those that must be in before the schema's own defaults.
void apply_early_defaults(const KindInfo& kind, Json& object);

}  // namespace nexus::manifest
