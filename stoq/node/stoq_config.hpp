#pragma once

#include <base/config/effective.hpp>

namespace stoq {

/// The keys of stoq.yaml: transport, routing, chunking, edge, cdn.
base::config::Layer config_layer();

}  // namespace stoq
