#include "commands/log_lines.hpp"

#include <fmt/format.h>

namespace cli {

base::Result<LinePattern> LinePattern::compile(const std::string& text) {
  LinePattern pattern;
  auto* raw = new regex_t{};
  if (const int code = regcomp(raw, text.c_str(), REG_EXTENDED | REG_NOSUB); code != 0) {
    char why[200];
    regerror(code, raw, why, sizeof why);
    delete raw;
    return base::fail(base::Errc::InvalidArgument,
                      fmt::format("--grep \"{}\" is not a regular expression: {}", text, why));
  }
  pattern.compiled_ = std::shared_ptr<regex_t>(raw, [](regex_t* r) {
    regfree(r);
    delete r;
  });
  return pattern;
}

bool LinePattern::matches(const std::string& line) const {
  return regexec(compiled_.get(), line.c_str(), 0, nullptr, 0) == 0;
}

LogLines::LogLines(const LogStyle& style, std::string prefix, std::size_t index, std::string pod,
                   std::string container, std::string node)
    : style_(style),
      prefix_(prefix.empty() ? "" : paint_replica(style.look, index, fit(style.look, prefix))),
      pod_(std::move(pod)),
      container_(std::move(container)),
      node_(std::move(node)) {}

std::string LogLines::render(std::string_view time, std::string_view stream,
                             const std::string& line, bool ended) const {
  if (style_.pattern && !style_.pattern->matches(line)) return {};
  if (style_.json) {
    const Json record = {{"time", time}, {"stream", stream},        {"text", line},
                         {"pod", pod_},  {"container", container_}, {"node", node_}};
    return record.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  }
  std::string out = prefix_;
  if (style_.timestamps) out += fmt::format("{} ", time);
  out += line;
  // A process that ended in the middle of a line printed no newline, and a single source shows what
  // it printed.
  if (ended || !prefix_.empty()) out += '\n';
  return out;
}

std::string LogLines::add(const Json& record) {
  if (pending_.empty()) {
    time_ = text_at(record, {"time"});
    stream_ = text_at(record, {"stream"});
  }
  std::string out;
  if (const std::string stream = text_at(record, {"stream"}); stream != stream_) {
    // The other stream began in the middle of a line.
    out = finish();
    time_ = text_at(record, {"time"});
    stream_ = stream;
  }
  pending_ += text_at(record, {"text"});
  if (flag_at(record, {"partial"}) && pending_.size() < kLineBytesMax) return out;
  out += render(time_, stream_, pending_, true);
  pending_.clear();
  return out;
}

std::string LogLines::finish() {
  if (pending_.empty()) return {};
  std::string out = render(time_, stream_, pending_, false);
  pending_.clear();
  return out;
}

}  // namespace cli
