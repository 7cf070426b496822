#pragma once

#include "process/places.hpp"
#include "process/unique_fd.hpp"

namespace nexus::process {

/// At this size the file becomes the older one, and the older one goes.
inline constexpr std::size_t kLogFileBytesMax = 10u << 20;

/// The log of one attempt, written by its supervisor.
class LogFile {
 public:
  explicit LogFile(Path attempt);
  /// Whole records. What the disk does not take is lost: a container is never held up by its log.
  void append(std::string_view records);

 private:
  void open();
  std::size_t write(std::string_view bytes);

  Path attempt_;
  UniqueFd file_;
  std::size_t bytes_ = 0;
  bool cut_ = false;  ///< The file ends within a record.
};

}  // namespace nexus::process
