#pragma once

// Reads a container's log files in their order, rotated ones first, and knows when there is more.

#include <deque>
#include <nexus/workload_types.hpp>
#include <optional>
#include <string>
#include <vector>

#include "datapath/unique_fd.hpp"

namespace hypermesh {

struct LogScanOptions {
  std::string folder;  ///< <logs>/<pod uid>/<container>
  bool previous = false;
  std::optional<base::WallTime> since;
  std::optional<std::uint64_t> tail_lines;
};

/// Blocks on the disk. Used by one thread at a time.
class LogScan {
 public:
  /// Errors: NotFound (no such container; no attempt before the latest).
  static base::Result<LogScan> open(LogScanOptions options);

  /// The next records in order, a batch at a time; none: all that is there now was given. Lines
  /// that are damaged are passed over.
  base::Result<std::vector<nexus::LogRecord>> next_batch();
  /// The folder is gone: nothing will ever follow.
  bool gone() const;

 private:
  explicit LogScan(LogScanOptions options) : options_(std::move(options)) {}
  std::vector<std::string> files_of(std::uint32_t attempt) const;
  std::vector<std::uint32_t> attempts() const;
  base::Result<> begin();
  void skip_to_tail();
  bool superseded() const;
  base::Result<bool> open_next();
  base::Result<bool> refill();

  LogScanOptions options_;
  std::uint32_t attempt_ = 0;
  std::deque<std::string> waiting_;  ///< Files still to be read, oldest first.
  datapath::UniqueFd fd_;
  std::string buffer_;  ///< What was read and is no whole line yet.
};

}  // namespace hypermesh
