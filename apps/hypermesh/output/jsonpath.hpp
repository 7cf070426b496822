#pragma once

// The JSONPath templates of `kubectl -o jsonpath=`: text with expressions in braces.
//
//   {.items[*].metadata.name}   {range .items[*]}{.metadata.name}{"\n"}{end}
//   {.items[?(@.ready==true)].name}
//
// Supported: $ @ .name ['name'] [n] [-n] [a:b:step] [a,b] ['a','b'] [*] .* ..name [?(left op
// right)], text in quotes, range ... end. What does not exist prints as nothing, as kubectl does.

#include <base/error.hpp>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace cli {

class JsonPath {
 public:
  static constexpr std::size_t kTemplateBytesMax = 64 * 1024;
  static constexpr std::size_t kNestingMax = 32;  ///< Of range blocks and filters.
  static constexpr std::size_t kMatchesMax = 1'000'000;

  /// Text without any brace is one expression: `.metadata.name` is `{.metadata.name}`.
  /// Errors: InvalidArgument (what is wrong and at which character).
  static base::Result<JsonPath> parse(std::string_view text);

  /// Several values of one expression are separated by a space; an object or array is printed as
  /// JSON. Errors: ResourceExhausted (more than kMatchesMax values).
  base::Result<std::string> render(const nlohmann::json& document) const;
  /// The values of the first expression, for custom columns.
  base::Result<std::vector<const nlohmann::json*>> select(const nlohmann::json& document) const;

  struct Node;

 private:
  std::shared_ptr<const std::vector<Node>> nodes_;
};

}  // namespace cli
