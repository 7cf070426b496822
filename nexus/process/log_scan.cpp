#include "process/log_scan.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

#include "process/log_record.hpp"

namespace nexus::process {

namespace {

constexpr std::size_t kReadBytes = 64u << 10;
constexpr std::size_t kBatchRecords = 512;

UniqueFd open_file(const Path& path) {
  return UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
}

/// 0: there is none.
ino_t inode_of(const Path& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 ? status.st_ino : 0;
}

ino_t inode_of(const UniqueFd& file) {
  struct stat status{};
  return file && ::fstat(file.get(), &status) == 0 ? status.st_ino : 0;
}

off_t size_of(const UniqueFd& file) {
  struct stat status{};
  return file && ::fstat(file.get(), &status) == 0 ? status.st_size : 0;
}

/// Where the last `lines` lines of a file begin; what is missing to that number is taken off
/// `lines`, which is 0 when all were found.
off_t tail_begin(const UniqueFd& file, std::uint64_t& lines) {
  std::array<char, kReadBytes> block{};
  const off_t size = size_of(file);
  for (off_t end = size; end > 0;) {
    const auto bytes = static_cast<std::size_t>(std::min<off_t>(end, kReadBytes));
    const off_t begin = end - static_cast<off_t>(bytes);
    if (::pread(file.get(), block.data(), bytes, begin) != static_cast<ssize_t>(bytes)) return 0;
    for (std::size_t i = bytes; i-- > 0;) {
      const off_t at = begin + static_cast<off_t>(i);
      if (block[i] != '\n' || at + 1 == size) continue;
      if (--lines == 0) return at + 1;
    }
    end = begin;
  }
  if (size > 0) --lines;  // The file's first line.
  return 0;
}

}  // namespace

std::vector<std::uint32_t> attempts_in(const Path& folder) {
  std::vector<std::uint32_t> numbers;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(folder, failed)) {
    const std::string name = entry.path().filename();
    std::uint32_t number = 0;
    const auto [end, wrong] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (wrong == std::errc() && end == name.data() + name.size()) numbers.push_back(number);
  }
  std::ranges::sort(numbers);
  return numbers;
}

Path LogScan::file(const char* name) const {
  return attempt_folder() / name;
}

base::Result<LogScan> LogScan::open(LogScanOptions options) {
  const auto attempts = attempts_in(options.folder);
  const std::string name = options.folder.filename();
  if (attempts.empty())
    return base::fail(base::Errc::NotFound, fmt::format("container {} has no log here", name));
  if (options.previous && attempts.size() < 2) {
    return base::fail(base::Errc::NotFound,
                      fmt::format("container {} was not started before", name));
  }
  LogScan scan(std::move(options));
  scan.attempt_ = attempts[attempts.size() - (scan.options_.previous ? 2 : 1)];
  scan.skip_to_tail();
  return scan;
}

void LogScan::skip_to_tail() {
  if (!options_.tail_lines) return;
  std::uint64_t lines = *options_.tail_lines;
  UniqueFd newer = open_file(file(kLogFile));
  if (lines == 0) {
    ::lseek(newer.get(), 0, SEEK_END);
    file_ = std::move(newer);
    return;
  }
  off_t begin = tail_begin(newer, lines);
  file_ = std::move(newer);
  if (UniqueFd older = open_file(file(kOlderLogFile)); lines > 0 && older) {
    begin = tail_begin(older, lines);
    file_ = std::move(older);
  }
  ::lseek(file_.get(), begin, SEEK_SET);
}

/// The file after the one that was read to its end. False: there is none yet.
bool LogScan::open_next() {
  const ino_t now = inode_of(file_);
  const ino_t newer = inode_of(file(kLogFile)), older = inode_of(file(kOlderLogFile));
  if (now == 0) {
    file_ = open_file(file(older != 0 ? kOlderLogFile : kLogFile));
    return static_cast<bool>(file_);
  }
  if (now != newer && newer != 0) {
    // Put aside once: its successor. Twice: what lay between is gone, and the older one is next.
    file_ = open_file(file(now == older || older == 0 ? kLogFile : kOlderLogFile));
    return true;
  }
  if (options_.previous) return false;
  const auto attempts = attempts_in(options_.folder);
  const auto next = std::ranges::upper_bound(attempts, attempt_);
  if (next == attempts.end()) return false;
  attempt_ = *next;
  file_ = UniqueFd();
  return open_next();
}

bool LogScan::refill() {
  std::array<char, kReadBytes> block{};
  for (bool last_look = false;;) {
    const ssize_t count = file_ ? ::read(file_.get(), block.data(), block.size()) : 0;
    if (count < 0 && errno == EINTR) continue;
    if (count > 0) {
      buffer_.append(block.data(), static_cast<std::size_t>(count));
      return true;
    }
    // Whether it was put aside is asked before it is read for the last time.
    if (!file_ || last_look) {
      if (!open_next()) return false;
      buffer_.clear();  // A record that a full disk cut.
      last_look = false;
      continue;
    }
    const auto attempts = attempts_in(options_.folder);
    const bool over = inode_of(file_) != inode_of(file(kLogFile)) ||
                      (!options_.previous && !attempts.empty() && attempts.back() > attempt_);
    if (!over) return false;
    last_look = true;
  }
}

std::vector<LogRecord> LogScan::next_batch() {
  std::vector<LogRecord> records;
  while (records.size() < kBatchRecords) {
    const std::size_t end = buffer_.find('\n');
    if (end == buffer_.npos) {
      if (buffer_.size() > kLogRecordBytesMax) buffer_.clear();
      if (!refill()) break;
      continue;
    }
    auto record = parse_log_record(std::string_view(buffer_).substr(0, end));
    buffer_.erase(0, end + 1);
    if (!record || (options_.since && record->time < *options_.since)) continue;
    records.push_back(*std::move(record));
  }
  return records;
}

bool LogScan::gone() const {
  std::error_code failed;
  return !std::filesystem::exists(options_.folder, failed) && !failed;
}

}  // namespace nexus::process
