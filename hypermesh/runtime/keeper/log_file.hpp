#pragma once

// The log of one attempt of a container: <folder>/<attempt>.log, older parts .log.1 and up.

#include <base/error.hpp>
#include <string>
#include <string_view>

#include "datapath/unique_fd.hpp"
#include "runtime/core/log_limits.hpp"

namespace hypermesh::keeper {

class LogFile {
 public:
  LogFile(std::string path, LogLimits limits) : path_(std::move(path)), limits_(limits) {}

  /// Whole records. What the disk does not take is dropped and counted; once it takes again, the
  /// next records are preceded by one that says how much is missing. Never blocks longer than the
  /// page cache does.
  void append(std::string_view records, std::string_view note_time);
  std::uint64_t dropped_bytes() const { return dropped_; }

 private:
  bool open();
  bool write(std::string_view bytes);
  void rotate();

  std::string path_;
  LogLimits limits_;
  datapath::UniqueFd fd_;
  std::uint64_t size_ = 0;
  std::uint64_t dropped_ = 0;
};

}  // namespace hypermesh::keeper
