#pragma once

// Reads the log files of a container in their order.

#include <nexus/workload_types.hpp>
#include <optional>

#include "process/places.hpp"
#include "process/unique_fd.hpp"

namespace nexus::process {

struct LogScanOptions {
  Path folder;  ///< Of the container.
  bool previous = false;
  std::optional<base::WallTime> since;
  std::optional<std::uint64_t> tail_lines;
};

/// Blocks on the disk. Used by one thread at a time.
class LogScan {
 public:
  /// Errors: NotFound (no such container, or no attempt before the latest).
  static base::Result<LogScan> open(LogScanOptions options);
  /// The next records, a batch at a time; none: all that is there now was given. What is damaged is
  /// passed over.
  std::vector<LogRecord> next_batch();
  /// The container's folder is gone: nothing will follow.
  bool gone() const;
  /// The folder that is read now.
  Path attempt_folder() const { return options_.folder / std::to_string(attempt_); }

 private:
  explicit LogScan(LogScanOptions options) : options_(std::move(options)) {}
  Path file(const char* name) const;
  void skip_to_tail();
  bool open_next();
  bool refill();

  LogScanOptions options_;
  std::uint32_t attempt_ = 0;
  UniqueFd file_;
  std::string buffer_;  ///< Read, and no whole record yet.
};

/// Numbers of the attempts in a container's folder, ascending.
std::vector<std::uint32_t> attempts_in(const Path& folder);

}  // namespace nexus::process
