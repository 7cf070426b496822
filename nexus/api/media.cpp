#include "api/media.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>

namespace nexus::api {
namespace {

constexpr std::size_t kWarningBytesMax = 1000;

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  });
  return out;
}

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::string media_type(std::string_view value) {
  return lower(trim(value.substr(0, value.find(';'))));
}

bool has_parameter(std::string_view value, std::string_view name, std::string_view wanted) {
  while (true) {
    const auto semicolon = value.find(';');
    if (semicolon == std::string_view::npos) return false;
    value.remove_prefix(semicolon + 1);
    const std::string_view parameter = trim(value.substr(0, value.find(';')));
    const auto equals = parameter.find('=');
    if (equals != std::string_view::npos && lower(parameter.substr(0, equals)) == name &&
        lower(parameter.substr(equals + 1)) == lower(wanted))
      return true;
  }
}

}  // namespace

Reply<AnswerForm> choose_answer_form(std::string_view accept) {
  if (trim(accept).empty()) return AnswerForm::Json;
  std::string_view rest = accept;
  while (!rest.empty()) {
    const auto comma = std::min(rest.find(','), rest.size());
    const std::string_view one = rest.substr(0, comma);
    rest.remove_prefix(std::min(comma + 1, rest.size()));
    const std::string type = media_type(one);
    const bool any = type == "*/*" || type == "application/*";
    if (!any && type != "application/json") continue;
    if (has_parameter(one, "as", "Table") && has_parameter(one, "v", "v1"))
      return AnswerForm::Table;
    // Other conversions (partial metadata, aggregated discovery) are not made; clients name a plain
    // form after them.
    if (one.find("as=") != std::string_view::npos) continue;
    return AnswerForm::Json;
  }
  return refuse(base::Errc::InvalidArgument, 406, "NotAcceptable",
                fmt::format("\"{}\" is not spoken here", accept), "Accept: application/json");
}

Reply<PatchType> patch_type_of(std::string_view content_type) {
  const std::string type = media_type(content_type);
  if (type == "application/merge-patch+json") return PatchType::Merge;
  if (type == "application/json-patch+json") return PatchType::Json;
  if (type == "application/strategic-merge-patch+json") return PatchType::Strategic;
  return refuse(base::Errc::Unsupported, 415, "UnsupportedMediaType",
                fmt::format("\"{}\" is not a patch that is understood here", content_type),
                "Content-Type: application/merge-patch+json, application/json-patch+json or "
                "application/strategic-merge-patch+json");
}

bool is_json(std::string_view content_type) {
  const std::string type = media_type(content_type);
  return type.empty() || type == "application/json" || type == "text/json";
}

std::string warning_value(std::string_view text) {
  std::string out = "299 - \"";
  for (const char c : text.substr(0, kWarningBytesMax)) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < ' ' || c == '\x7f' ? ' ' : c;
  }
  return out + '"';
}

}  // namespace nexus::api
