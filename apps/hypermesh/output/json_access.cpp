#include "output/json_access.hpp"

#include <limits>

namespace cli {

const Json& at(const Json& object, std::initializer_list<std::string_view> path) {
  static const Json kNull;
  const Json* here = &object;
  for (const std::string_view key : path) {
    if (!here->is_object()) return kNull;
    const auto found = here->find(key);
    if (found == here->end()) return kNull;
    here = &*found;
  }
  return *here;
}

std::string text_at(const Json& object, std::initializer_list<std::string_view> path) {
  const Json& value = at(object, path);
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number() || value.is_boolean()) return value.dump();
  return {};
}

std::int64_t number_at(const Json& object, std::initializer_list<std::string_view> path,
                       std::int64_t otherwise) {
  const Json& value = at(object, path);
  if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
    return number > static_cast<std::uint64_t>(kMost) ? kMost : static_cast<std::int64_t>(number);
  }
  return value.is_number_integer() ? value.get<std::int64_t>() : otherwise;
}

bool flag_at(const Json& object, std::initializer_list<std::string_view> path) {
  const Json& value = at(object, path);
  return value.is_boolean() && value.get<bool>();
}

const Json::array_t& list_at(const Json& object, std::initializer_list<std::string_view> path) {
  static const Json::array_t kEmpty;
  const Json& value = at(object, path);
  return value.is_array() ? value.get_ref<const Json::array_t&>() : kEmpty;
}

}  // namespace cli
