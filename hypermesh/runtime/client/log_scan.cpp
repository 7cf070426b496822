#include "runtime/client/log_scan.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <set>
#include <utility>

#include "runtime/core/cri_log.hpp"

namespace hypermesh {
namespace {

using base::Errc;

constexpr std::size_t kReadBytes = 64u << 10;
constexpr std::size_t kBatchRecords = 512;
constexpr unsigned kRotatedMax = 1000;

struct LogName {
  std::uint32_t attempt = 0;
  unsigned rotation = 0;  ///< 0: the one being written.
};

std::optional<LogName> parse_name(std::string_view name) {
  LogName parsed;
  auto [at, error] = std::from_chars(name.data(), name.data() + name.size(), parsed.attempt);
  if (error != std::errc{}) return std::nullopt;
  std::string_view rest = name.substr(static_cast<std::size_t>(at - name.data()));
  if (!rest.starts_with(".log")) return std::nullopt;
  rest.remove_prefix(4);
  if (rest.empty()) return parsed;
  if (rest.front() != '.') return std::nullopt;
  const char* const end = rest.data() + rest.size();
  const auto number = std::from_chars(rest.data() + 1, end, parsed.rotation);
  if (number.ec != std::errc{} || number.ptr != end || parsed.rotation == 0 ||
      parsed.rotation > kRotatedMax)
    return std::nullopt;
  return parsed;
}

std::vector<LogName> names_in(const std::string& folder) {
  std::vector<LogName> names;
  DIR* open = ::opendir(folder.c_str());
  if (!open) return names;
  while (const dirent* entry = ::readdir(open)) {
    if (const auto parsed = parse_name(entry->d_name)) names.push_back(*parsed);
  }
  ::closedir(open);
  return names;
}

ino_t inode_of(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 ? status.st_ino : 0;
}

}  // namespace

std::vector<std::uint32_t> LogScan::attempts() const {
  std::set<std::uint32_t> found;
  for (const auto& name : names_in(options_.folder)) found.insert(name.attempt);
  return {found.begin(), found.end()};
}

std::vector<std::string> LogScan::files_of(std::uint32_t attempt) const {
  std::vector<unsigned> rotations;
  for (const auto& name : names_in(options_.folder)) {
    if (name.attempt == attempt) rotations.push_back(name.rotation);
  }
  std::ranges::sort(rotations, std::greater<>());
  std::vector<std::string> files;
  for (unsigned rotation : rotations) {
    files.push_back(rotation ? fmt::format("{}/{}.log.{}", options_.folder, attempt, rotation)
                             : fmt::format("{}/{}.log", options_.folder, attempt));
  }
  return files;
}

base::Result<LogScan> LogScan::open(LogScanOptions options) {
  LogScan scan(std::move(options));
  TRY_DO(scan.begin());
  return scan;
}

base::Result<> LogScan::begin() {
  const auto found = attempts();
  const std::string name = options_.folder.substr(options_.folder.rfind('/') + 1);
  if (found.empty())
    return base::fail(Errc::NotFound, fmt::format("container {} has no log on this node", name));
  if (options_.previous) {
    if (found.size() < 2)
      return base::fail(Errc::NotFound, fmt::format("container {} was not started before", name));
    attempt_ = found[found.size() - 2];
  } else {
    attempt_ = found.back();
  }
  for (auto& file : files_of(attempt_)) waiting_.push_back(std::move(file));
  if (options_.tail_lines) skip_to_tail();
  return {};
}

// Counts lines from the end, over as many files as it takes, and leaves the first of the wanted
// ones open at its place.
void LogScan::skip_to_tail() {
  std::uint64_t wanted = *options_.tail_lines;
  if (wanted == 0 && !waiting_.empty()) {
    fd_.reset(::open(waiting_.back().c_str(), O_RDONLY | O_CLOEXEC));
    if (fd_) ::lseek(fd_.get(), 0, SEEK_END);
    waiting_.clear();
    return;
  }
  for (std::size_t i = waiting_.size(); i-- > 0;) {
    datapath::UniqueFd fd(::open(waiting_[i].c_str(), O_RDONLY | O_CLOEXEC));
    struct stat status{};
    if (!fd || ::fstat(fd.get(), &status) != 0) continue;
    // A newline at `at` ends a line; the line after it begins at `at` + 1.
    off_t block_end = status.st_size;
    std::array<char, kReadBytes> block;
    while (block_end > 0) {
      const auto size = static_cast<std::size_t>(std::min<off_t>(block_end, kReadBytes));
      const off_t block_start = block_end - static_cast<off_t>(size);
      if (::pread(fd.get(), block.data(), size, block_start) != static_cast<ssize_t>(size)) break;
      for (std::size_t at = size; at-- > 0;) {
        if (block[at] != '\n' || block_start + static_cast<off_t>(at) + 1 == status.st_size)
          continue;
        if (--wanted > 0) continue;
        ::lseek(fd.get(), block_start + static_cast<off_t>(at) + 1, SEEK_SET);
        fd_ = std::move(fd);
        waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(i) + 1);
        return;
      }
      block_end = block_start;
    }
    if (status.st_size > 0) --wanted;
    if (wanted == 0) {
      // The file's first line is the first wanted one.
      waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(i));
      return;
    }
  }
}

/// Whether the open file will grow no more: it was put aside under another name, or a later attempt
/// writes.
bool LogScan::superseded() const {
  if (!waiting_.empty() || !fd_) return true;
  struct stat status{};
  const ino_t now = inode_of(fmt::format("{}/{}.log", options_.folder, attempt_));
  if (now != 0 && ::fstat(fd_.get(), &status) == 0 && status.st_ino != now) return true;
  const auto found = attempts();
  // None: the pod is being removed, and what is open is all there will be.
  return !options_.previous && !found.empty() && found.back() > attempt_;
}

base::Result<bool> LogScan::open_next() {
  if (waiting_.empty()) {
    struct stat status{};
    const std::string current = fmt::format("{}/{}.log", options_.folder, attempt_);
    const ino_t now = inode_of(current);
    if (now != 0 && (!fd_ || (::fstat(fd_.get(), &status) == 0 && status.st_ino != now))) {
      waiting_.push_back(current);
    } else if (!options_.previous) {
      const auto found = attempts();
      const auto next = std::ranges::upper_bound(found, attempt_);
      if (next == found.end()) return false;
      attempt_ = *next;
      for (auto& file : files_of(attempt_)) waiting_.push_back(std::move(file));
    }
  }
  while (!waiting_.empty()) {
    const std::string file = std::move(waiting_.front());
    waiting_.pop_front();
    fd_.reset(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    if (fd_) return true;
    // Rotated away between the look at the folder and now.
    if (errno != ENOENT) return base::fail_errno(errno, fmt::format("cannot read {}", file));
  }
  return false;
}

base::Result<bool> LogScan::refill() {
  std::array<char, kReadBytes> block;
  for (bool read_after_its_end = false;;) {
    const ssize_t count = fd_ ? ::read(fd_.get(), block.data(), block.size()) : 0;
    if (count > 0) {
      buffer_.append(block.data(), static_cast<std::size_t>(count));
      return true;
    }
    if (count < 0 && errno == EINTR) continue;
    if (!superseded()) return false;
    // What was written between our last look and the file's end is read before the next file is.
    if (fd_ && !std::exchange(read_after_its_end, true)) continue;
    read_after_its_end = false;
    TRY(const bool more, open_next());
    if (!more) return false;
    // What is no whole line in a file that is over was cut by a full disk.
    buffer_.clear();
  }
}

base::Result<std::vector<nexus::LogRecord>> LogScan::next_batch() {
  std::vector<nexus::LogRecord> records;
  while (records.size() < kBatchRecords) {
    std::size_t start = 0;
    for (std::size_t end;
         records.size() < kBatchRecords && (end = buffer_.find('\n', start)) != buffer_.npos;
         start = end + 1) {
      auto record = keeper::parse_log_record(std::string_view(buffer_).substr(start, end - start));
      if (!record || (options_.since && record->time < *options_.since)) continue;
      records.push_back(*std::move(record));
    }
    buffer_.erase(0, start);
    if (records.size() >= kBatchRecords) break;
    // No line of ours: the rest of it will be passed over as damaged, too.
    if (buffer_.size() > keeper::kLogRecordBytesMax) buffer_.clear();
    TRY(const bool more, refill());
    if (!more) break;
  }
  return records;
}

bool LogScan::gone() const {
  return ::access(options_.folder.c_str(), F_OK) != 0;
}

}  // namespace hypermesh
