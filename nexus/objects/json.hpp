#pragma once

#include <nlohmann/json_fwd.hpp>

namespace nexus {

/// JSON with sorted keys: equal values have equal texts. Include <nlohmann/json.hpp> (or
/// "objects/object.hpp") to look inside.
using Json = nlohmann::json;

}  // namespace nexus
