#pragma once

// What `logs` prints for a record. Pure.

#include <regex.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "output/json_access.hpp"
#include "output/look.hpp"

namespace cli {

/// A POSIX extended regular expression (regex(7)).
class LinePattern {
 public:
  /// Errors: InvalidArgument (what regcomp says).
  static base::Result<LinePattern> compile(const std::string& text);
  bool matches(const std::string& line) const;

 private:
  std::shared_ptr<regex_t> compiled_;
};

struct LogStyle {
  Look look;
  bool json = false;  ///< One JSON object for each line.
  bool timestamps = false;
  std::optional<LinePattern> pattern;
};

/// One container's lines: puts pieces of a line together and drops lines that do not match.
class LogLines {
 public:
  /// A longer line is cut into pieces of this size.
  static constexpr std::size_t kLineBytesMax = 256 * 1024;

  /// `prefix` stands before each line ("web-1@n1 │ "); "" for a single source. `index` chooses its
  /// colour.
  LogLines(const LogStyle& style, std::string prefix, std::size_t index, std::string pod,
           std::string container, std::string node);

  /// A record of the API: {"time","stream","partial","text"}. What to print now, maybe nothing.
  std::string add(const Json& record);
  /// What is left of an unfinished line.
  std::string finish();

 private:
  std::string render(std::string_view time, std::string_view stream, const std::string& line,
                     bool ended) const;

  const LogStyle& style_;
  std::string prefix_, pod_, container_, node_;
  std::string pending_, time_, stream_;
};

}  // namespace cli
