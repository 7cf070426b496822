#pragma once

// A pod's configuration resolved: ConfigMaps, Secrets, fields of the pod and services become the
// environment, files and arguments that the driver is given. Pure. An error names what is missing;
// it is the author's to repair, and is looked at again when an object changes.

#include <nexus/workload_types.hpp>

#include "orchestration/object_view.hpp"
#include "orchestration/pod.hpp"

namespace nexus::orchestration {

struct PodConfigInput {
  const Pod& pod;
  const ObjectView& view;
  std::string zone = "mesh";  ///< Domain of services.
  std::string node_name;
  std::vector<std::string> node_addresses;
  std::vector<std::string> addresses;  ///< Of the pod; empty before its sandbox stands.
};

/// Errors: NotFound (a ConfigMap, Secret or key that is not optional), InvalidArgument,
/// Unsupported.
base::Result<PodSpec> resolve_pod(const PodConfigInput& input);
/// The volumes of resolve_pod alone, to bring their files up to date.
base::Result<std::vector<Volume>> resolve_volumes(const PodConfigInput& input);
/// Errors: as above.
base::Result<ContainerSpec> resolve_container(const PodConfigInput& input,
                                              const Container& container, std::uint32_t attempt,
                                              std::string image);

/// Credentials for the registry of `image` in the pod's imagePullSecrets; empty when none fit.
std::optional<RegistryCredentials> registry_credentials(const PodConfigInput& input,
                                                        std::string_view image);

/// Whether the pod reads the ConfigMap or Secret.
bool uses_config(const Pod& pod, const ObjectRef& ref);

/// "$(NAME)" replaced by the variable's value, "$$" by "$"; an unknown name stays as written.
std::string expand(std::string_view text, const std::map<std::string, std::string>& variables);

}  // namespace nexus::orchestration
