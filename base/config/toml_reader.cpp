#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <sstream>

#include "config/readers.hpp"

namespace base::config {
namespace {

Origin origin_of(const toml::source_region& region, std::string_view file_name) {
  return {std::string(file_name), static_cast<int>(region.begin.line)};
}

Value convert(const toml::node& node, std::string_view file_name) {
  Value value;
  value.origin = origin_of(node.source(), file_name);
  if (const auto* table = node.as_table()) {
    value.kind = Value::Kind::Map;
    for (const auto& [key, child] : *table) {
      Value member = convert(child, file_name);
      member.key_origin = origin_of(key.source(), file_name);
      value.members.emplace_back(std::string(key.str()), std::move(member));
    }
    // toml++ sorts by key; problems are told in the file's order.
    std::ranges::stable_sort(value.members, {},
                             [](const auto& member) { return member.value.key_origin.line; });
  } else if (const auto* array = node.as_array()) {
    value.kind = Value::Kind::List;
    for (const auto& child : *array) value.items.push_back(convert(child, file_name));
  } else if (const auto* text = node.as_string()) {
    value.kind = Value::Kind::Text;
    value.text = text->get();
  } else if (const auto* flag = node.as_boolean()) {
    value.kind = Value::Kind::Bool;
    value.text = flag->get() ? "true" : "false";
  } else if (const auto* number = node.as_integer()) {
    value.kind = Value::Kind::Integer;
    value.text = std::to_string(number->get());
  } else {
    value.kind = node.is_floating_point() ? Value::Kind::Float : Value::Kind::Text;
    std::ostringstream out;
    out << toml::node_view<const toml::node>(node);
    value.text = std::move(out).str();
  }
  return value;
}

}  // namespace

// toml++ bounds nesting itself (TOML_MAX_NESTED_VALUES, 256) and refuses a key that stands twice.
Result<Value> parse_toml(std::string_view text, std::string_view file_name) {
  try {
    return convert(toml::parse(text, file_name), file_name);
  } catch (const toml::parse_error& error) {
    return fail(Errc::InvalidArgument, fmt::format("{}:{}: {}", file_name,
                                                   error.source().begin.line, error.description()));
  }
}

}  // namespace base::config
