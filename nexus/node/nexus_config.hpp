#pragma once

#include <base/config/effective.hpp>

namespace nexus {

/// The keys of nexus.yaml: discovery, dns_ct, dns, api, orchestration.
base::config::Layer config_layer();

}  // namespace nexus
