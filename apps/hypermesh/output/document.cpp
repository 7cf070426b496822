#include "output/document.hpp"

#include <fmt/format.h>

#include <array>

#include "output/suggest.hpp"
#include "output/yaml.hpp"

namespace cli {
namespace {

constexpr std::array<std::string_view, 7> kForms = {"table", "wide",     "json",          "yaml",
                                                    "name",  "jsonpath", "custom-columns"};

base::Result<std::vector<Column>> parse_columns(std::string_view text) {
  constexpr std::size_t kColumnsMax = 64;
  std::vector<Column> columns;
  while (!text.empty()) {
    // A comma inside brackets or quotes belongs to the path.
    std::size_t end = 0;
    int depth = 0;
    for (; end < text.size(); ++end) {
      if (text[end] == '[' || text[end] == '(') ++depth;
      if (text[end] == ']' || text[end] == ')') --depth;
      if (text[end] == ',' && depth <= 0) break;
    }
    const std::string_view column = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t colon = column.find(':');
    if (colon == std::string_view::npos || colon == 0 || colon + 1 == column.size()) {
      return base::fail(
          base::Errc::InvalidArgument,
          fmt::format("custom-columns: \"{}\" is not HEAD:PATH, such as NAME:.metadata.name",
                      column));
    }
    if (columns.size() == kColumnsMax) {
      return base::fail(base::Errc::InvalidArgument,
                        fmt::format("custom-columns: more than {} columns", kColumnsMax));
    }
    TRY(JsonPath path, JsonPath::parse(column.substr(colon + 1)));
    columns.push_back({std::string(column.substr(0, colon)), std::move(path)});
  }
  if (columns.empty())
    return base::fail(base::Errc::InvalidArgument, "custom-columns: want HEAD:PATH,...");
  return columns;
}

std::string cell_of(const std::vector<const Json*>& values) {
  if (values.empty()) return "<none>";
  std::string text;
  for (const Json* value : values) {
    if (!text.empty()) text += ',';
    text += value->is_string() ? value->get<std::string>()
            : value->is_null() ? "<none>"
                               : value->dump();
  }
  return text;
}

base::Result<std::string> print_columns(const Document& document, const OutputFormat& format,
                                        const Look& look, bool with_heads) {
  std::vector<std::string> heads;
  for (const Column& column : format.columns) heads.push_back(column.head);
  Table table(heads);
  const auto add = [&](const Json& item) -> base::Result<> {
    std::vector<Cell> cells;
    for (const Column& column : format.columns) {
      TRY(const auto values, column.path.select(item));
      cells.emplace_back(cell_of(values));
    }
    table.row(std::move(cells));
    return {};
  };
  if (at(document.value, {"items"}).is_array()) {
    for (const Json& item : list_at(document.value, {"items"})) TRY_DO(add(item));
  } else {
    TRY_DO(add(document.value));
  }
  return table.render(look, with_heads);
}

}  // namespace

base::Result<OutputFormat> parse_output(std::string_view text) {
  using Form = OutputFormat::Form;
  OutputFormat format;
  const std::size_t equals = text.find('=');
  const std::string_view name = text.substr(0, equals);
  const bool has_value = equals != std::string_view::npos;
  const std::string_view value = has_value ? text.substr(equals + 1) : std::string_view();
  const bool wants_value = name == "jsonpath" || name == "custom-columns";
  const auto* found = std::ranges::find(kForms, name);
  if (found == kForms.end()) {
    auto error = base::make_error(
        base::Errc::InvalidArgument,
        fmt::format("-o \"{}\" is not a form of output; want {}", name, fmt::join(kForms, ", ")));
    if (const std::string near = suggest(name, kForms); !near.empty()) {
      error = base::make_error(
          base::Errc::InvalidArgument,
          fmt::format("-o \"{}\" is not a form of output; did you mean \"{}\"?", name, near));
    }
    return std::unexpected(base::with_hint(std::move(error), "hm help output"));
  }
  if (wants_value != has_value || (wants_value && value.empty())) {
    return base::fail(base::Errc::InvalidArgument,
                      wants_value
                          ? fmt::format("-o {} wants a value: -o {}", name,
                                        name == "jsonpath" ? "jsonpath='{.items[*].metadata.name}'"
                                                           : "custom-columns=NAME:.metadata.name")
                          : fmt::format("-o {} takes no value", name));
  }
  format.form = static_cast<Form>(found - kForms.begin());
  if (format.form == Form::JsonPath) {
    TRY(format.path, JsonPath::parse(value));
  } else if (format.form == Form::CustomColumns) {
    TRY(format.columns, parse_columns(value));
  }
  return format;
}

Json list_json(std::string_view kind, Json::array_t items) {
  return Json{{"apiVersion", kApiVersion}, {"kind", kind}, {"items", std::move(items)}};
}

base::Result<Printed> print(const Document& document, const OutputFormat& format, const Look& look,
                            bool with_heads) {
  using Form = OutputFormat::Form;
  Printed printed;
  switch (format.form) {
    case Form::Table:
    case Form::Wide: {
      if (!document.table) break;
      const Table table = document.table(format.form == Form::Wide);
      if (table.empty() && !document.when_empty.empty()) {
        printed.err = fit(look, document.when_empty) + "\n";
      } else {
        printed.out = table.render(look, with_heads);
      }
      printed.out += fit(look, document.after);
      break;
    }
    case Form::Json:
      printed.out = document.value.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
      break;
    case Form::Yaml:
      printed.out = to_yaml(document.value);
      break;
    case Form::Name:
      for (const std::string& name : document.names) printed.out += name + "\n";
      break;
    case Form::JsonPath: {
      TRY(printed.out, format.path.render(document.value));
      if (!printed.out.empty() && look.terminal && !printed.out.ends_with('\n'))
        printed.out += '\n';
      break;
    }
    case Form::CustomColumns: {
      TRY(printed.out, print_columns(document, format, look, with_heads));
      break;
    }
  }
  return printed;
}

}  // namespace cli
