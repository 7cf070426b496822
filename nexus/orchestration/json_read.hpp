#pragma once

// Reading members of objects that the manifest layer has validated. What is absent, null or of
// another type is "not there": these never fail.

#include <base/time.hpp>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "objects/object.hpp"

namespace nexus::orchestration {

/// Null when `json` is no object or has no such member, or the member is null.
const Json* find(const Json& json, std::string_view key);
template <class... Keys>
const Json* find(const Json& json, std::string_view key, std::string_view next, Keys... keys) {
  const Json* member = find(json, key);
  return member == nullptr ? nullptr : find(*member, next, keys...);
}
/// The member, or a shared null.
const Json& at(const Json& json, std::string_view key);
/// Elements of the array `key`; none when it is not there.
const std::vector<Json>& items(const Json& json, std::string_view key);

std::string text(const Json& json, std::string_view key, std::string_view fallback = "");
std::optional<std::int64_t> number(const Json& json, std::string_view key);
std::int64_t number_or(const Json& json, std::string_view key, std::int64_t fallback);
bool flag(const Json& json, std::string_view key, bool fallback = false);
std::vector<std::string> texts(const Json& json, std::string_view key);
std::map<std::string, std::string> text_map(const Json& json, std::string_view key);
/// RFC 3339.
std::optional<base::WallTime> time(const Json& json, std::string_view key);

}  // namespace nexus::orchestration
