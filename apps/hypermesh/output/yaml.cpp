#include "output/yaml.hpp"

#include <algorithm>
#include <array>
#include <cctype>

#include "output/json_access.hpp"

namespace cli {
namespace {

bool looks_like_number(std::string_view text) {
  // Generous: whatever begins like a number of YAML 1.1 (also 0x1f, 1_000, 12:30, .5, 1e3) is
  // quoted.
  std::size_t i = 0;
  if (text[i] == '+' || text[i] == '-') ++i;
  if (i < text.size() && text[i] == '.') ++i;
  if (i >= text.size() || std::isdigit(static_cast<unsigned char>(text[i])) == 0) return false;
  return std::ranges::all_of(text.substr(i), [](unsigned char c) {
    return std::isxdigit(c) != 0 ||
           std::string_view("_.:+-xoTZtz ").find(static_cast<char>(c)) != std::string_view::npos;
  });
}

bool is_reserved_word(std::string_view text) {
  constexpr std::array kWords = {"null", "true", "false", "yes",   "no",    "on",   "off",
                                 "y",    "n",    ".inf",  "-.inf", "+.inf", ".nan", "~"};
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return std::ranges::any_of(kWords, [&](const char* word) { return lower == word; });
}

bool has_control(std::string_view text) {
  return std::ranges::any_of(text,
                             [](unsigned char c) { return (c < 0x20 && c != '\n') || c == 0x7f; });
}

bool can_be_plain(std::string_view text) {
  if (text.empty() || text.size() > 4096) return false;
  if (is_reserved_word(text) || looks_like_number(text)) return false;
  if (std::string_view("-?:,[]{}#&*!|>'\"%@` \t=<").find(text.front()) != std::string_view::npos)
    return false;
  if (text.back() == ' ' || text.back() == ':') return false;
  if (text == "---" || text == "...") return false;
  if (text.find(": ") != std::string_view::npos || text.find(" #") != std::string_view::npos)
    return false;
  return !has_control(text) && text.find('\n') == std::string_view::npos;
}

// A block literal keeps the text readable; it can say nothing about control characters, and its
// first line must not begin with a space (that would set the indentation).
bool can_be_literal(std::string_view text) {
  if (text.find('\n') == std::string_view::npos || has_control(text)) return false;
  const std::size_t start = text.find_first_not_of('\n');
  if (start == std::string_view::npos || text[start] == ' ') return false;
  // Lines of spaces only would be cut by an editor, and the text with them.
  std::size_t line = 0;
  while (line < text.size()) {
    const std::size_t end = std::min(text.find('\n', line), text.size());
    if (end > line &&
        text.substr(line, end - line).find_first_not_of(' ') == std::string_view::npos)
      return false;
    line = end + 1;
  }
  return true;
}

void put_literal(std::string& out, std::string_view text, std::size_t indent) {
  out += '|';
  const std::size_t body_end = text.find_last_not_of('\n') + 1;
  const std::size_t newlines = text.size() - body_end;
  if (newlines == 0) out += '-';
  if (newlines > 1) out += '+';
  std::size_t line = 0;
  while (line < text.size()) {
    const std::size_t end = std::min(text.find('\n', line), text.size());
    out += '\n';
    if (end > line) out.append(indent, ' ').append(text.substr(line, end - line));
    line = end + 1;
  }
}

void put_string(std::string& out, const std::string& text, std::size_t indent, bool is_key) {
  if (can_be_plain(text)) {
    out += text;
  } else if (!is_key && can_be_literal(text)) {
    put_literal(out, text, indent);
  } else {
    // JSON's quoting is YAML's double quoting.
    out += Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
  }
}

void put(std::string& out, const Json& value, std::size_t indent, bool in_sequence) {
  if (value.is_object() && !value.empty()) {
    bool first = true;
    for (const auto& [key, entry] : value.items()) {
      // The first key of a mapping in a sequence stands behind the dash.
      if (!first || !in_sequence) out.append(indent, ' ');
      first = false;
      put_string(out, key, indent, true);
      out += ':';
      if (entry.is_object() && !entry.empty()) {
        out += '\n';
        put(out, entry, indent + 2, false);
      } else if (entry.is_array() && !entry.empty()) {
        out += '\n';
        put(out, entry, indent, false);
      } else {
        out += ' ';
        put(out, entry, indent + 2, false);
      }
    }
  } else if (value.is_array() && !value.empty()) {
    bool first = true;
    for (const Json& entry : value) {
      if (!first || !in_sequence) out.append(indent, ' ');
      first = false;
      out += "- ";
      put(out, entry, indent + 2, true);
    }
  } else {
    if (value.is_string()) {
      put_string(out, value.get_ref<const std::string&>(), indent, false);
    } else {
      out += value.dump();
    }
    out += '\n';
  }
}

}  // namespace

std::string to_yaml(const Json& value) {
  std::string out;
  // A literal at the top needs an indentation of its own.
  put(out, value, value.is_string() ? 2 : 0, false);
  return out;
}

}  // namespace cli
