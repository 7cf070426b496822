#include "runtime/keeper/log_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace hypermesh::keeper {

bool LogFile::open() {
  if (fd_) return true;
  fd_.reset(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
  struct stat status{};
  if (!fd_ || ::fstat(fd_.get(), &status) != 0) return false;
  size_ = static_cast<std::uint64_t>(status.st_size);
  return true;
}

bool LogFile::write(std::string_view bytes) {
  if (!open()) return false;
  const std::uint64_t before = size_;
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd_.get(), bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      // Half a record would be read as a damaged one.
      if (::ftruncate(fd_.get(), static_cast<off_t>(before)) == 0) size_ = before;
      return false;
    }
    size_ += static_cast<std::uint64_t>(count);
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

void LogFile::rotate() {
  fd_.reset();
  // Also where the next one cannot be made: what was put aside is not put aside again.
  size_ = 0;
  for (unsigned i = limits_.files_max - 1; i > 0; --i) {
    const std::string older = fmt::format("{}.{}", path_, i);
    const std::string newer = i > 1 ? fmt::format("{}.{}", path_, i - 1) : path_;
    ::rename(newer.c_str(), older.c_str());
  }
  if (limits_.files_max <= 1) ::unlink(path_.c_str());
}

void LogFile::append(std::string_view records, std::string_view note_time) {
  if (dropped_ > 0) {
    const std::string note =
        fmt::format("{} stderr F hypermesh: {} bytes of this log are missing: the disk was full\n",
                    note_time, dropped_);
    if (write(note)) dropped_ = 0;
  }
  if (size_ > 0 && size_ + records.size() > limits_.file_bytes_max) rotate();
  if (dropped_ > 0 || !write(records)) dropped_ += records.size();
}

}  // namespace hypermesh::keeper
