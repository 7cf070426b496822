#include "process/log_record.hpp"

#include <fmt/format.h>

#include <utility>

namespace nexus::process {

namespace {

void append(std::string& records, base::WallTime now, bool is_stderr, bool partial,
            std::string_view text) {
  fmt::format_to(std::back_inserter(records), "{} {} {} {}\n", base::to_rfc3339(now, 9),
                 is_stderr ? "stderr" : "stdout", partial ? 'P' : 'F', text);
}

/// Takes the word before the next space off `line`.
std::string_view take_word(std::string_view& line) {
  const std::size_t space = line.find(' ');
  const std::string_view word = line.substr(0, space);
  line.remove_prefix(space == std::string_view::npos ? line.size() : space + 1);
  return word;
}

}  // namespace

std::string LogCutter::add(std::string_view data, base::WallTime now) {
  std::string records;
  while (!data.empty()) {
    const std::size_t newline = data.find('\n');
    const std::string_view piece =
        data.substr(0, std::min(newline, kLogTextBytesMax - unfinished_.size()));
    unfinished_ += piece;
    data.remove_prefix(piece.size());
    if (data.starts_with('\n')) {
      append(records, now, is_stderr_, false, std::exchange(unfinished_, {}));
      data.remove_prefix(1);
    } else if (unfinished_.size() == kLogTextBytesMax) {
      append(records, now, is_stderr_, true, std::exchange(unfinished_, {}));
    }
  }
  return records;
}

std::string LogCutter::finish(base::WallTime now) {
  std::string records;
  if (!unfinished_.empty()) append(records, now, is_stderr_, false, std::exchange(unfinished_, {}));
  return records;
}

base::Result<LogRecord> parse_log_record(std::string_view line) {
  const std::string_view whole = line;
  const auto time = base::parse_rfc3339(take_word(line));
  const std::string_view stream = take_word(line);
  const bool stream_known = stream == "stdout" || stream == "stderr";
  const bool tagged = line.starts_with("F ") || line.starts_with("P ");
  if (!time || !stream_known || !tagged) {
    return base::fail(
        base::Errc::DataLoss,
        fmt::format("no record of a log: {}", base::to_hex(base::as_bytes(whole.substr(0, 32)))));
  }
  return LogRecord{.time = *time,
                   .is_stderr = stream == "stderr",
                   .partial = line.front() == 'P',
                   .text = std::string(line.substr(2))};
}

}  // namespace nexus::process
