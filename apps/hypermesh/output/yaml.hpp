#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace cli {

/// `value` as YAML 1.2 in block style, readable again by YAML 1.1 readers: a string that either
/// would take for something else is quoted. Ends with a newline.
std::string to_yaml(const nlohmann::json& value);

}  // namespace cli
