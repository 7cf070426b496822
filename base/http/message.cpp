#include <fmt/format.h>

#include <algorithm>
#include <base/http/message.hpp>
#include <iterator>

namespace base::http {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

void append_line(std::string& out, std::string_view name, std::string_view value) {
  const auto clean = [](char c) { return c == '\r' || c == '\n' || c == '\0' ? ' ' : c; };
  std::ranges::transform(name, std::back_inserter(out), clean);
  out += ": ";
  std::ranges::transform(value, std::back_inserter(out), clean);
  out += "\r\n";
}

}  // namespace

bool equal_without_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::optional<std::string_view> Headers::get(std::string_view name) const {
  for (const Header& entry : entries_) {
    if (equal_without_case(entry.name, name)) return entry.value;
  }
  return std::nullopt;
}

std::vector<std::string_view> Headers::all(std::string_view name) const {
  std::vector<std::string_view> values;
  for (const Header& entry : entries_) {
    if (equal_without_case(entry.name, name)) values.push_back(entry.value);
  }
  return values;
}

bool Headers::has_token(std::string_view name, std::string_view token) const {
  for (std::string_view value : all(name)) {
    while (!value.empty()) {
      const auto comma = value.find(',');
      if (equal_without_case(trim(value.substr(0, comma)), token)) return true;
      if (comma == std::string_view::npos) break;
      value.remove_prefix(comma + 1);
    }
  }
  return false;
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 101:
      return "Switching Protocols";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return "Unknown";
  }
}

std::string format_response_head(int status, const Headers& headers) {
  std::string out = fmt::format("HTTP/1.1 {} {}\r\n", status, reason_phrase(status));
  for (const Header& entry : headers.entries()) append_line(out, entry.name, entry.value);
  out += "\r\n";
  return out;
}

std::string format_request_head(std::string_view method, std::string_view target,
                                const Headers& headers) {
  std::string out(method);
  out += ' ';
  // A space or a line break would end the request line early.
  std::ranges::transform(target, std::back_inserter(out), [](char c) {
    return static_cast<unsigned char>(c) <= ' ' || c == '\x7f' ? '+' : c;
  });
  out += " HTTP/1.1\r\n";
  for (const Header& entry : headers.entries()) append_line(out, entry.name, entry.value);
  out += "\r\n";
  return out;
}

}  // namespace base::http
