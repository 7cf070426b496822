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
  while (!records.empty()) {
    const ssize_t count = ::write(file_.get(), records.data(), records.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return;
    bytes_ += static_cast<std::size_t>(count);
    records.remove_prefix(static_cast<std::size_t>(count));
  }
}

}  // namespace nexus::process
