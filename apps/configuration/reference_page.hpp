#pragma once

#include <base/config/schema.hpp>
#include <string>
#include <vector>

namespace apps {

/// docs/operating/configuration.md: every key of `layers`, as people read it.
std::string configuration_page(const std::vector<base::config::Layer>& layers);

}  // namespace apps
