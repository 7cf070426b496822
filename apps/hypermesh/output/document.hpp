#pragma once

// What a command answers, before the person's choice of form (-o) is applied.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "output/json_access.hpp"
#include "output/jsonpath.hpp"
#include "output/look.hpp"
#include "output/table.hpp"

namespace cli {

inline constexpr std::string_view kApiVersion = "hypermesh.io/v1";

struct Column {
  std::string head;
  JsonPath path;
};

/// -o table|wide|json|yaml|name|jsonpath=TEMPLATE|custom-columns=HEAD:PATH,...
struct OutputFormat {
  enum class Form { Table, Wide, Json, Yaml, Name, JsonPath, CustomColumns };
  Form form = Form::Table;
  JsonPath path;                ///< JsonPath
  std::vector<Column> columns;  ///< CustomColumns

  /// For programs: progress and words for people would be in the way.
  bool for_programs() const { return form != Form::Table && form != Form::Wide; }
};
/// Errors: InvalidArgument (unknown form, with the nearest; a template that does not parse).
base::Result<OutputFormat> parse_output(std::string_view text);

struct Document {
  /// For json, yaml, jsonpath. With `items`, custom columns show one row for each of them.
  Json value;
  /// "deployment/web" for each item: -o name.
  std::vector<std::string> names;
  /// The table; `wide` asks for the further columns.
  std::function<Table(bool wide)> table;
  /// Printed instead of a table without rows ("no pods in namespace default"), to standard error.
  std::string when_empty;
  /// What follows the table for a person, not for programs.
  std::string after;
};

/// {"apiVersion": "hypermesh.io/v1", "kind": `kind`, "items": `items`}
Json list_json(std::string_view kind, Json::array_t items);

struct Printed {
  std::string out;  ///< For standard output.
  std::string err;  ///< For standard error.
};
base::Result<Printed> print(const Document& document, const OutputFormat& format, const Look& look,
                            bool with_heads);

}  // namespace cli
