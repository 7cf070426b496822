#pragma once

// Reading JSON that came from outside: what is absent or of another type reads as empty, never
// throws.

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace cli {

using Json = nlohmann::json;

/// The value below `object` at `path`; a null value when there is none.
const Json& at(const Json& object, std::initializer_list<std::string_view> path);
/// The string there, or "". A number or boolean is shown as text.
std::string text_at(const Json& object, std::initializer_list<std::string_view> path);
/// The whole number there, or `otherwise`.
std::int64_t number_at(const Json& object, std::initializer_list<std::string_view> path,
                       std::int64_t otherwise = 0);
bool flag_at(const Json& object, std::initializer_list<std::string_view> path);
/// The entries of the array there; an empty array when there is none.
const Json::array_t& list_at(const Json& object, std::initializer_list<std::string_view> path);

}  // namespace cli
