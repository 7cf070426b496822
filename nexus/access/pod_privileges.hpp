#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace nexus {

/// What in a pod, or in the pod template of a workload, reaches beyond the pod into the node, so
/// that only the role admin may ask for it: fields with what they ask, e.g.
/// "spec.template.spec.volumes[0].hostPath". Empty: nothing. Objects of other kinds have nothing.
std::vector<std::string> pod_privileges(std::string_view kind, const nlohmann::json& object);

/// The pod's spec within an object of `kind`; null for kinds without pods.
const nlohmann::json* pod_spec_of(std::string_view kind, const nlohmann::json& object);

}  // namespace nexus
