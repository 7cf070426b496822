#pragma once

#include "runtime/core/keeper_protocol.hpp"
#include "runtime/images/image_config.hpp"

namespace hypermesh::keeper {

/// What a container runs: the image's words where the specification has none. The layers stay
/// empty. `command` replaces the image's entrypoint and its command both, `args` its command alone,
/// as in Kubernetes. Errors: InvalidArgument (no command at all; a stop signal that is none).
base::Result<ContainerImage> combine(const nexus::ContainerSpec& spec, const ImageConfig& image);

/// Number of "SIGTERM", "TERM" or "15". Errors: InvalidArgument.
base::Result<std::int32_t> signal_number(std::string_view text);

}  // namespace hypermesh::keeper
