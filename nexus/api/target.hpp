#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/refusal.hpp"

namespace nexus::api {

/// The query of a request, decoded, in order.
class Query {
 public:
  static constexpr std::size_t kEntriesMax = 256;

  void add(std::string name, std::string value) {
    entries_.emplace_back(std::move(name), std::move(value));
  }
  /// The first of this name; empty when there is none.
  std::string_view get(std::string_view name) const;
  bool has(std::string_view name) const;
  std::vector<std::string> all(std::string_view name) const;
  /// Absent is false; "", "1", "true" are true. Errors: 400.
  Reply<bool> flag(std::string_view name) const;
  /// Errors: 400 (not a number, or not within 0 and `max`).
  Reply<std::optional<std::uint64_t>> number(std::string_view name, std::uint64_t max) const;

 private:
  std::vector<std::pair<std::string, std::string>> entries_;
};

/// A request's target, taken apart and decoded (RFC 3986).
struct Target {
  std::vector<std::string> segments;
  Query query;
};

/// Errors: 400 (not a path, a bad escape, an empty or dotted segment, a control character).
Reply<Target> parse_target(std::string_view target);

}  // namespace nexus::api
