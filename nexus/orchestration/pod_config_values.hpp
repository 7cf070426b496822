#pragma once

#include "orchestration/pod_config.hpp"

namespace nexus::orchestration {

/// Value of a field path such as metadata.labels['app'] or status.podIP.
/// Errors: Unsupported (no such field), FailedPrecondition (not known yet).
base::Result<std::string> field_value(const PodConfigInput& input, const std::string& path);
/// Value of {containerName, resource, divisor}. `container`: whose, when none is named.
base::Result<std::string> resource_value(const PodConfigInput& input, const Json& reference,
                                         const Container* container);
/// Every key of a ConfigMap or Secret with its bytes; empty when it does not exist and `optional`.
base::Result<std::map<std::string, std::string>> config_entries(const PodConfigInput& input,
                                                                const std::string& kind,
                                                                const std::string& name,
                                                                bool optional);
/// The environment, in order, each name once.
base::Result<std::vector<std::pair<std::string, std::string>>> environment(
    const PodConfigInput& input, const Container& container);

}  // namespace nexus::orchestration
