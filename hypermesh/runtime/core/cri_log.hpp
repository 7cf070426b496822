#pragma once

// Lines of a container's log: "2026-11-21T12:25:07.123456789Z stdout F text", the format of the
// Kubernetes CRI. P instead of F: the line goes on in the next record of that stream.

#include <base/bytes.hpp>
#include <nexus/workload_types.hpp>
#include <string>
#include <string_view>

namespace hypermesh::keeper {

inline constexpr std::size_t kLogLineBytesMax =
    16u << 10;  ///< Of text; longer lines are cut into P records.

/// Cuts one stream into records. What has no newline yet waits, at most kLogLineBytesMax of it.
class LogLines {
 public:
  explicit LogLines(bool is_stderr) : is_stderr_(is_stderr) {}
  /// Appends the records that `data`, which was read at `now`, completes.
  void add(std::string_view data, base::WallTime now, std::string& records);
  /// Ends the stream: what waits becomes a record of its own, as a whole line.
  void finish(base::WallTime now, std::string& records);
  std::size_t waiting() const { return waiting_.size(); }

 private:
  bool is_stderr_;
  std::string waiting_;
};

void append_log_record(std::string& records, base::WallTime time, bool is_stderr, bool partial,
                       std::string_view text);

/// One line of a log file, without its newline. Errors: DataLoss.
base::Result<nexus::LogRecord> parse_log_record(std::string_view line);

/// Longest line that append_log_record writes, newline included.
inline constexpr std::size_t kLogRecordBytesMax = kLogLineBytesMax + 64;

}  // namespace hypermesh::keeper
