#pragma once

// A configuration text as a tree of scalars, lists and maps, each with the place it was read from.

#include <base/error.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace base::config {

/// Where a value comes from: a file and a line, an environment variable, or the built-in default.
struct Origin {
  std::string source;  ///< File name as the user gave it, "env NAME" or "default".
  int line = 0;        ///< 1-based; 0 where there is none.
  std::string describe() const { return line > 0 ? source + ":" + std::to_string(line) : source; }
};

struct Member;

struct Value {
  enum class Kind : std::uint8_t { Null, Bool, Integer, Float, Text, List, Map };
  Kind kind = Kind::Null;
  std::string text;  ///< A scalar as it was written.
  std::vector<Value> items;
  std::vector<Member> members;  ///< In the file's order, no key twice.
  Origin origin;
  Origin key_origin;  ///< Of the key that leads here.
};

struct Member {
  std::string key;
  Value value;
};

inline constexpr std::size_t kConfigBytesMax = 1u << 20;
inline constexpr int kConfigDepthMax = 32;

enum class Format : std::uint8_t { Yaml, Toml };
/// By the file's ending. Errors: InvalidArgument (neither .yaml, .yml nor .toml).
Result<Format> format_of(std::string_view file_name);

/// Errors: InvalidArgument with file and line: syntax, a key twice, deeper or larger than the
/// limits.
Result<Value> parse_text(std::string_view text, Format format, std::string_view file_name);
/// Errors: NotFound, Forbidden, and parse_text's.
Result<Value> read_file(const std::string& path);

}  // namespace base::config
