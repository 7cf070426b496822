#pragma once

// The parts of an HTTP/1.1 message (RFC 9112) as values. Light: no Asio, no Beast.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace base::http {

struct Header {
  std::string name;
  std::string value;
};

/// Header fields in order. Names are compared without case (RFC 9110 section 5.1).
class Headers {
 public:
  Headers() = default;
  Headers(std::initializer_list<Header> entries) : entries_(entries) {}

  void add(std::string name, std::string value) {
    entries_.push_back({std::move(name), std::move(value)});
  }
  /// The first of this name.
  std::optional<std::string_view> get(std::string_view name) const;
  std::vector<std::string_view> all(std::string_view name) const;
  bool has(std::string_view name) const { return get(name).has_value(); }
  /// Whether `token` is one of the comma separated values of `name`, without case.
  bool has_token(std::string_view name, std::string_view token) const;
  const std::vector<Header>& entries() const { return entries_; }

 private:
  std::vector<Header> entries_;
};

bool equal_without_case(std::string_view a, std::string_view b);

struct RequestHead {
  std::string method;  ///< "GET"
  std::string target;  ///< "/path?query" as it was sent
  int version = 11;    ///< 10 or 11
  Headers headers;
  bool keep_alive = false;
  bool has_body = false;
  std::optional<std::uint64_t> content_length;  ///< Empty when chunked or absent.
  /// RFC 6455 section 4.2.1: GET, HTTP/1.1, Connection: upgrade, Upgrade: websocket.
  bool web_socket = false;
};

struct ResponseHead {
  int status = 0;
  Headers headers;
  bool keep_alive = false;
};

/// "Not Found"
std::string_view reason_phrase(int status);

/// Status line and fields with the empty line at the end. A character that would end a field early
/// (CR, LF, NUL) is written as a space: no value can forge a header.
std::string format_response_head(int status, const Headers& headers);
std::string format_request_head(std::string_view method, std::string_view target,
                                const Headers& headers);

}  // namespace base::http
