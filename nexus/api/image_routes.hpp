#pragma once

#include "api/exchange.hpp"

namespace nexus::api {

/// Errors: 501.
Reply<ImageAdmin*> image_admin(const Exchange& exchange);
/// ?reference=. Errors: 400.
Reply<std::string> image_reference(const Exchange& exchange);

}  // namespace nexus::api
