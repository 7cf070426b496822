#pragma once

#include <base/config/effective.hpp>

namespace hypermesh {

/// The keys of hypermesh.yaml: node, runtime, consensus, security, storage, network.
base::config::Layer config_layer();

/// What all layers share: metrics, logging. Always at a file's top.
base::config::Layer shared_layer();

}  // namespace hypermesh
