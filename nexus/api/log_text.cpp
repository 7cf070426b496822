#include "api/log_text.hpp"

#include <nlohmann/json.hpp>

namespace nexus::api {

std::string LogText::next(const LogRecord& record) {
  if (record.is_stderr ? !options_.error_output : !options_.output) return {};
  std::string text;
  if (options_.as_json) {
    text = to_text({{"time", base::to_rfc3339(record.time, 9)},
                    {"stream", record.is_stderr ? "stderr" : "stdout"},
                    {"partial", record.partial},
                    {"text", record.text}}) +
           "\n";
  } else {
    // A line that came in several records is one line again, with the time of its first part.
    bool& within = within_line_[record.is_stderr ? 1 : 0];
    if (options_.timestamps && !within) text = base::to_rfc3339(record.time, 9) + " ";
    text += record.text;
    if (!record.partial) text += '\n';
    within = record.partial;
  }
  if (options_.bytes_max && sent_ + text.size() > *options_.bytes_max)
    text.resize(*options_.bytes_max - sent_);
  sent_ += text.size();
  return text;
}

}  // namespace nexus::api
