#pragma once

#include <base/config/effective.hpp>

namespace apps {

/// What all layers share: metrics, logging. Always at a file's top.
base::config::Layer shared_layer();

}  // namespace apps
