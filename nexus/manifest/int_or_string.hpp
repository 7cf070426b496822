#pragma once

#include <base/error.hpp>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <variant>

namespace nexus::manifest {

/// A number or a word: a port by number or name, an amount or a percentage.
class IntOrString {
 public:
  IntOrString() = default;
  explicit IntOrString(std::int32_t number) : value_(number) {}
  explicit IntOrString(std::string text) : value_(std::move(text)) {}
  /// Errors: InvalidArgument (neither a whole number of 32 bits nor a string).
  static base::Result<IntOrString> from_json(const nlohmann::json& json);
  nlohmann::json to_json() const;

  bool is_number() const { return std::holds_alternative<std::int32_t>(value_); }
  /// 0 for a string.
  std::int32_t number() const { return is_number() ? std::get<std::int32_t>(value_) : 0; }
  /// Empty for a number.
  std::string text() const { return is_number() ? std::string() : std::get<std::string>(value_); }
  /// "8080", "http", "25%".
  std::string describe() const;

  enum class Rounding : std::uint8_t { Down, Up };
  /// The number itself, or the percentage of `total`. Kubernetes rounds maxSurge up and
  /// maxUnavailable down. Errors: InvalidArgument (a string that is not a percentage).
  base::Result<std::int32_t> scaled(std::int32_t total, Rounding rounding) const;

  bool operator==(const IntOrString&) const = default;

 private:
  std::variant<std::int32_t, std::string> value_ = std::int32_t{0};
};

}  // namespace nexus::manifest
