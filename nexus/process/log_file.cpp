#include "process/log_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

namespace nexus::process {

LogFile::LogFile(Path attempt) : attempt_(std::move(attempt)) {
  open();
}

void LogFile::open() {
  file_ = UniqueFd(
      ::open((attempt_ / kLogFile).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  struct stat status{};
  cut_ = false;
  bytes_ =
      file_ && ::fstat(file_.get(), &status) == 0 ? static_cast<std::size_t>(status.st_size) : 0;
}

void LogFile::append(std::string_view records) {
  if (records.empty()) return;
  if (bytes_ > 0 && bytes_ + records.size() > kLogFileBytesMax) {
    ::rename((attempt_ / kLogFile).c_str(), (attempt_ / kOlderLogFile).c_str());
    open();
  }
  if (!file_) open();  // A full disk may have room again.
  // Readers pass over a record that was cut; the next one must not become a part of it.
  if (cut_) cut_ = write("\n") == 0;
  if (cut_) return;
  const std::size_t written = write(records);
  cut_ = written > 0 && records[written - 1] != '\n';
}

/// How much of it the disk took.
std::size_t LogFile::write(std::string_view bytes) {
  std::size_t written = 0;
  while (written < bytes.size()) {
    const ssize_t count = ::write(file_.get(), bytes.data() + written, bytes.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    written += static_cast<std::size_t>(count);
  }
  bytes_ += written;
  return written;
}

}  // namespace nexus::process
