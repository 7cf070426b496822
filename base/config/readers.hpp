#pragma once

#include <base/config/value.hpp>
#include <string_view>

namespace base::config {

Result<Value> parse_yaml(std::string_view text, std::string_view file_name);
Result<Value> parse_toml(std::string_view text, std::string_view file_name);

}  // namespace base::config
