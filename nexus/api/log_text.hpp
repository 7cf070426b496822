#pragma once

#include <nexus/workload_types.hpp>
#include <string>

#include "api/options.hpp"

namespace nexus::api {

/// Log records as the text that a client asked for.
class LogText {
 public:
  explicit LogText(const LogOptions& options) : options_(options) {}
  /// Text to send for `record`; may be empty.
  std::string next(const LogRecord& record);
  /// Whether limitBytes is used up.
  bool full() const { return options_.bytes_max && sent_ >= *options_.bytes_max; }

 private:
  LogOptions options_;
  std::uint64_t sent_ = 0;
  bool within_line_[2] = {false, false};  // Of standard output and standard error.
};

}  // namespace nexus::api
