#pragma once

// JSON from outside: bounded in bytes, depth and number of values, and without duplicate keys,
// which two readers could understand differently.

#include <base/error.hpp>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace hypermesh {

struct JsonLimits {
  std::size_t bytes_max = 4u << 20;  ///< What registries accept for a manifest (distribution spec).
  std::size_t depth_max = 32;
  std::size_t values_max = 100'000;  ///< Each costs memory many times its bytes.
};

/// `what` begins the messages: "manifest of docker.io/library/nginx:1.27". Errors: InvalidArgument.
base::Result<nlohmann::json> parse_bounded_json(std::string_view text, std::string_view what,
                                                const JsonLimits& limits = {});

/// Reads members of an object, and says in errors where it stands: "manifest: layers[3].size is a
/// string; ...". null counts as absent, as Go's encoders write it.
class JsonObject {
 public:
  /// `value` is borrowed. Errors: InvalidArgument (not an object).
  static base::Result<JsonObject> open(const nlohmann::json& value, std::string path);

  const std::string& path() const { return path_; }
  bool has(const char* key) const { return member(key) != nullptr; }
  /// Empty when absent.
  base::Result<std::string> text(const char* key, std::size_t bytes_max = 4096) const;
  base::Result<std::string> required_text(const char* key, std::size_t bytes_max = 4096) const;
  /// A whole number in 0 to `max`. 0 when absent.
  base::Result<std::uint64_t> number(const char* key, std::uint64_t max) const;
  base::Result<std::uint64_t> required_number(const char* key, std::uint64_t max) const;
  /// Empty when absent.
  base::Result<std::vector<std::string>> texts(const char* key, std::size_t count_max,
                                               std::size_t bytes_max = 32768) const;
  /// The keys of an object whose values do not matter. Empty when absent.
  base::Result<std::vector<std::string>> keys(const char* key, std::size_t count_max) const;
  base::Result<std::vector<std::pair<std::string, std::string>>> pairs(const char* key,
                                                                       std::size_t count_max) const;
  /// Null when absent.
  base::Result<const nlohmann::json*> array(const char* key, std::size_t count_max) const;
  /// Null when absent.
  const nlohmann::json* member(const char* key) const;

  base::Error wrong(const char* key, std::string_view found_and_wanted) const;

 private:
  JsonObject(const nlohmann::json& value, std::string path)
      : value_(&value), path_(std::move(path)) {}
  std::string at(const char* key) const;

  const nlohmann::json* value_;
  std::string path_;
};

}  // namespace hypermesh
