#pragma once

// Lines of a container's log: "2026-11-21T12:25:07.123456789Z stdout F text", the format of the
// Kubernetes CRI. P instead of F: the line goes on in the next record of that stream.

#include <nexus/workload_types.hpp>
#include <string>
#include <string_view>

namespace nexus::process {

/// Of text in one record; longer lines are cut into P records.
inline constexpr std::size_t kLogTextBytesMax = 16u << 10;
/// Of a whole record with its newline.
inline constexpr std::size_t kLogRecordBytesMax = kLogTextBytesMax + 64;

/// Makes records of one stream's bytes. A line without its newline is kept until it has one.
class LogCutter {
 public:
  explicit LogCutter(bool is_stderr) : is_stderr_(is_stderr) {}
  /// The records that `data`, read at `now`, completes.
  std::string add(std::string_view data, base::WallTime now);
  /// The stream is over: what is left becomes a line.
  std::string finish(base::WallTime now);

 private:
  bool is_stderr_;
  std::string unfinished_;  ///< Shorter than kLogTextBytesMax.
};

/// A record without its newline. Errors: DataLoss.
base::Result<LogRecord> parse_log_record(std::string_view line);

}  // namespace nexus::process
