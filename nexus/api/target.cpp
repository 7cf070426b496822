#include "api/target.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace nexus::api {
namespace {

constexpr std::size_t kSegmentsMax = 32;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Reply<std::string> decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
      if (high < 0 || low < 0)
        return bad_request("the target has a % that two hexadecimal digits do not follow");
      c = static_cast<char>(high * 16 + low);
      i += 2;
    } else if (c == '+' && plus_is_space) {
      c = ' ';
    }
    if (c == '\0') return bad_request("the target has a NUL");
    out += c;
  }
  return out;
}

bool has_control(std::string_view text) {
  return std::ranges::any_of(
      text, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; });
}

}  // namespace

std::string_view Query::get(std::string_view name) const {
  for (const auto& [key, value] : entries_) {
    if (key == name) return value;
  }
  return {};
}

bool Query::has(std::string_view name) const {
  return std::ranges::any_of(entries_, [&](const auto& entry) { return entry.first == name; });
}

std::vector<std::string> Query::all(std::string_view name) const {
  std::vector<std::string> values;
  for (const auto& [key, value] : entries_) {
    if (key == name) values.push_back(value);
  }
  return values;
}

Reply<bool> Query::flag(std::string_view name) const {
  if (!has(name)) return false;
  const std::string_view value = get(name);
  if (value.empty() || value == "1" || value == "true" || value == "True" || value == "TRUE")
    return true;
  if (value == "0" || value == "false" || value == "False" || value == "FALSE") return false;
  return bad_request(fmt::format("{}=\"{}\" is neither true nor false", name, value));
}

Reply<std::optional<std::uint64_t>> Query::number(std::string_view name, std::uint64_t max) const {
  const std::string_view value = get(name);
  if (value.empty()) return std::nullopt;
  std::uint64_t number = 0;
  const auto [end, code] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (code != std::errc() || end != value.data() + value.size() || number > max) {
    return bad_request(
        fmt::format("{}=\"{}\" is not a whole number from 0 to {}", name, value, max));
  }
  return number;
}

Reply<Target> parse_target(std::string_view text) {
  if (!text.starts_with('/')) return bad_request("the target is not a path");
  const auto mark = std::min(text.find('?'), text.size());
  std::string_view path = text.substr(1, mark - 1);
  std::string_view query = text.substr(std::min(mark + 1, text.size()));
  query = query.substr(0, query.find('#'));

  Target target;
  if (path.ends_with('/')) path.remove_suffix(1);
  while (!path.empty()) {
    const auto slash = std::min(path.find('/'), path.size());
    auto segment = decode(path.substr(0, slash), false);
    if (!segment) return std::unexpected(std::move(segment).error());
    if (segment->empty() || *segment == "." || *segment == ".." || has_control(*segment)) {
      return bad_request(
          fmt::format("\"{}\" is not a segment of a path here", path.substr(0, slash)));
    }
    if (target.segments.size() == kSegmentsMax)
      return bad_request(fmt::format("the path has more than {} segments", kSegmentsMax));
    target.segments.push_back(*std::move(segment));
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  std::size_t entries = 0;
  while (!query.empty()) {
    const auto amp = std::min(query.find('&'), query.size());
    const std::string_view entry = query.substr(0, amp);
    query.remove_prefix(std::min(amp + 1, query.size()));
    if (entry.empty()) continue;
    if (++entries > Query::kEntriesMax)
      return bad_request(fmt::format("the query has more than {} entries", Query::kEntriesMax));
    const auto equals = std::min(entry.find('='), entry.size());
    auto name = decode(entry.substr(0, equals), true);
    if (!name) return std::unexpected(std::move(name).error());
    auto value = decode(entry.substr(std::min(equals + 1, entry.size())), true);
    if (!value) return std::unexpected(std::move(value).error());
    target.query.add(*std::move(name), *std::move(value));
  }
  return target;
}

}  // namespace nexus::api
