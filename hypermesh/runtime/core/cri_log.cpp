#include "runtime/core/cri_log.hpp"

#include <fmt/format.h>

namespace hypermesh::keeper {

void append_log_record(std::string& records, base::WallTime time, bool is_stderr, bool partial,
                       std::string_view text) {
  records += base::to_rfc3339(time, 9);
  records += is_stderr ? " stderr " : " stdout ";
  records += partial ? "P " : "F ";
  records += text;
  records += '\n';
}

void LogLines::add(std::string_view data, base::WallTime now, std::string& records) {
  while (!data.empty()) {
    const std::size_t newline = data.find('\n');
    const std::size_t line_bytes = std::min(newline, data.size());
    const std::size_t room = kLogLineBytesMax - waiting_.size();
    if (line_bytes > room || (newline == data.npos && line_bytes == room)) {
      waiting_ += data.substr(0, room);
      append_log_record(records, now, is_stderr_, true, waiting_);
      waiting_.clear();
      data.remove_prefix(room);
      continue;
    }
    if (newline == data.npos) {
      waiting_ += data;
      return;
    }
    if (waiting_.empty()) {
      append_log_record(records, now, is_stderr_, false, data.substr(0, newline));
    } else {
      waiting_ += data.substr(0, newline);
      append_log_record(records, now, is_stderr_, false, waiting_);
      // Idle containers hold no buffer.
      waiting_ = std::string();
    }
    data.remove_prefix(newline + 1);
  }
}

void LogLines::finish(base::WallTime now, std::string& records) {
  if (waiting_.empty()) return;
  append_log_record(records, now, is_stderr_, false, waiting_);
  waiting_ = std::string();
}

base::Result<nexus::LogRecord> parse_log_record(std::string_view line) {
  const auto malformed = [&] {
    return base::fail(base::Errc::DataLoss,
                      fmt::format("malformed line in a log: {:.64}",
                                  base::to_base64(base::as_bytes(line.substr(0, 48)))));
  };
  const std::size_t space = line.find(' ');
  if (space == line.npos) return malformed();
  nexus::LogRecord record;
  auto time = base::parse_rfc3339(line.substr(0, space));
  if (!time) return malformed();
  record.time = *time;
  line.remove_prefix(space + 1);
  if (line.starts_with("stderr ")) {
    record.is_stderr = true;
  } else if (!line.starts_with("stdout ")) {
    return malformed();
  }
  line.remove_prefix(7);
  if (line.size() < 2 || (line[0] != 'F' && line[0] != 'P') || line[1] != ' ') return malformed();
  record.partial = line[0] == 'P';
  record.text = line.substr(2);
  return record;
}

}  // namespace hypermesh::keeper
