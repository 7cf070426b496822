#pragma once

#include <base/config/effective.hpp>

namespace hypermesh {

/// The keys of hypermesh.yaml: node, runtime, consensus, security, storage, network.
base::config::Layer config_layer();

}  // namespace hypermesh
