#include "manifest/yaml_scalar.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>

namespace nexus::manifest {

namespace {

using nlohmann::json;

constexpr std::string_view kTagPrefix = "tag:yaml.org,2002:";
constexpr std::string_view kTrue[] = {"y",    "Y",    "yes", "Yes", "YES", "true",
                                      "True", "TRUE", "on",  "On",  "ON"};
constexpr std::string_view kFalse[] = {"n",     "N",     "no",  "No",  "NO", "false",
                                       "False", "FALSE", "off", "Off", "OFF"};
constexpr std::string_view kNull[] = {"", "~", "null", "Null", "NULL"};
constexpr std::string_view kNotFinite[] = {".nan",  ".NaN",  ".NAN",  ".inf",  ".Inf",  ".INF",
                                           "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF"};

bool is_one_of(std::string_view text, auto& words) {
  return std::ranges::find(words, text) != std::end(words);
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// Digits and a point, then perhaps an exponent; no infinities, no hexadecimal.
bool is_float_form(std::string_view text) {
  std::size_t at = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  const auto digits = [&] {
    const std::size_t first = at;
    while (at < text.size() && is_digit(text[at])) ++at;
    return at - first;
  };
  const std::size_t whole = digits();
  std::size_t fraction = 0;
  if (at < text.size() && text[at] == '.') {
    ++at;
    fraction = digits();
  }
  if (whole + fraction == 0) return false;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '-' || text[at] == '+')) ++at;
    if (digits() == 0) return false;
  }
  return at == text.size();
}

/// Decimal, 0x, 0b, 0o or a leading 0 for octal; null when it is none of them or does not fit.
std::optional<json> read_integer(std::string_view text) {
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  int base = 10;
  if (text.size() > 1 && text[0] == '0') {
    const char mark = static_cast<char>(text[1] | 0x20);
    base = mark == 'x' ? 16 : mark == 'b' ? 2 : 8;
    text.remove_prefix(mark == 'x' || mark == 'b' || mark == 'o' ? 2 : 1);
  }
  std::uint64_t magnitude = 0;
  const auto [rest, problem] =
      std::from_chars(text.data(), text.data() + text.size(), magnitude, base);
  if (text.empty() || problem != std::errc() || rest != text.data() + text.size())
    return std::nullopt;
  if (!negative) {
    if (magnitude <= INT64_MAX) return json(static_cast<std::int64_t>(magnitude));
    return json(magnitude);
  }
  if (magnitude > static_cast<std::uint64_t>(INT64_MAX) + 1) return std::nullopt;
  return json(static_cast<std::int64_t>(0 - magnitude));
}

std::optional<json> read_number(std::string_view text) {
  if (text.empty() || !(is_digit(text[0]) || text[0] == '-' || text[0] == '+' || text[0] == '.'))
    return std::nullopt;
  std::string digits;
  if (text.contains('_') && text[0] != '.') {
    std::ranges::copy_if(text, std::back_inserter(digits), [](char c) { return c != '_'; });
    text = digits;
  }
  if (text[0] != '.') {
    if (auto integer = read_integer(text)) return integer;
  }
  if (!is_float_form(text)) return std::nullopt;
  if (text[0] == '+') text.remove_prefix(1);
  double value = 0;
  const auto [rest, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc()) return std::nullopt;
  return json(value);
}

}  // namespace

base::Result<json> resolve_plain_scalar(std::string_view text) {
  // Nothing but a string is this long.
  if (text.size() > 400) return json(std::string(text));
  if (is_one_of(text, kNull)) return json();
  if (is_one_of(text, kTrue)) return json(true);
  if (is_one_of(text, kFalse)) return json(false);
  if (is_one_of(text, kNotFinite)) {
    return std::unexpected(base::with_hint(
        base::make_error(base::Errc::InvalidArgument,
                         fmt::format("{} is not a number that an object can hold", text)),
        "quote it if it is meant as text"));
  }
  if (auto number = read_number(text)) return *std::move(number);
  return json(std::string(text));
}

base::Result<json> resolve_tagged_scalar(std::string_view tag, std::string_view text, bool plain) {
  if (tag == "!") return json(std::string(text));
  if (!tag.starts_with(kTagPrefix)) {
    return base::fail(base::Errc::Unsupported,
                      fmt::format("tag {} is not supported", tag.substr(0, 100)));
  }
  const std::string_view type = tag.substr(kTagPrefix.size());
  if (type == "str") return json(std::string(text));
  if (type != "int" && type != "float" && type != "bool" && type != "null" && type != "timestamp") {
    return base::fail(base::Errc::Unsupported,
                      fmt::format("tag !!{} is not supported", type.substr(0, 100)));
  }
  if (type == "timestamp") return json(std::string(text));
  TRY(json value, resolve_plain_scalar(text));
  if (type == "float" && value.is_number_integer()) value = json(value.get<double>());
  const bool fits = (type == "int" && value.is_number_integer()) ||
                    (type == "float" && value.is_number()) ||
                    (type == "bool" && value.is_boolean()) || (type == "null" && value.is_null());
  if (fits) return value;
  return base::fail(base::Errc::InvalidArgument,
                    fmt::format("{}{}{} is not a !!{}", plain ? "" : "\"", text.substr(0, 100),
                                plain ? "" : "\"", type));
}

}  // namespace nexus::manifest
