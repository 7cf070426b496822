#include "orchestration/json_read.hpp"

namespace nexus::orchestration {

const Json* find(const Json& json, std::string_view key) {
  if (!json.is_object()) return nullptr;
  const auto found = json.find(key);
  return found == json.end() || found->is_null() ? nullptr : &*found;
}

const Json& at(const Json& json, std::string_view key) {
  static const Json none;
  const Json* member = find(json, key);
  return member == nullptr ? none : *member;
}

const std::vector<Json>& items(const Json& json, std::string_view key) {
  static const std::vector<Json> none;
  const Json* member = find(json, key);
  return member == nullptr || !member->is_array() ? none : member->get_ref<const Json::array_t&>();
}

std::string text(const Json& json, std::string_view key, std::string_view fallback) {
  const Json* member = find(json, key);
  return member != nullptr && member->is_string() ? member->get<std::string>()
                                                  : std::string(fallback);
}

std::optional<std::int64_t> number(const Json& json, std::string_view key) {
  const Json* member = find(json, key);
  if (member == nullptr || !member->is_number_integer()) return std::nullopt;
  return member->get<std::int64_t>();
}

std::int64_t number_or(const Json& json, std::string_view key, std::int64_t fallback) {
  return number(json, key).value_or(fallback);
}

bool flag(const Json& json, std::string_view key, bool fallback) {
  const Json* member = find(json, key);
  return member != nullptr && member->is_boolean() ? member->get<bool>() : fallback;
}

std::vector<std::string> texts(const Json& json, std::string_view key) {
  std::vector<std::string> out;
  for (const Json& item : items(json, key)) {
    if (item.is_string()) out.push_back(item.get<std::string>());
  }
  return out;
}

std::map<std::string, std::string> text_map(const Json& json, std::string_view key) {
  std::map<std::string, std::string> out;
  const Json* member = find(json, key);
  if (member == nullptr || !member->is_object()) return out;
  for (const auto& [name, value] : member->items()) {
    if (value.is_string()) out.emplace(name, value.get<std::string>());
  }
  return out;
}

std::optional<base::WallTime> time(const Json& json, std::string_view key) {
  const Json* member = find(json, key);
  if (member == nullptr || !member->is_string()) return std::nullopt;
  const auto parsed = base::parse_rfc3339(member->get_ref<const std::string&>());
  if (!parsed) return std::nullopt;
  return *parsed;
}

}  // namespace nexus::orchestration
