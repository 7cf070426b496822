#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <algorithm>
#include <base/log.hpp>
#include <base/time.hpp>
#include <map>
#include <mutex>

namespace base {
namespace {

constexpr std::string_view kNames[] = {"debug", "info", "warning", "error", "off"};

/// Bytes of the UTF-8 character that `text` begins with; 0 when it begins with none (RFC 3629).
std::size_t utf8_length(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead < 0xc2   ? 0
                             : lead < 0xe0 ? 2
                             : lead < 0xf0 ? 3
                             : lead < 0xf5 ? 4
                                           : 0;
  if (length == 0 || text.size() < length) return 0;
  // The second byte's range keeps out overlong forms, surrogates and what is above U+10FFFF.
  const unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  const unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  if (byte(1) < low || byte(1) > high) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  return length;
}

// What is no UTF-8 is replaced: it may come from outside, and JSON is UTF-8 (RFC 8259 section 8.1).
void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
          out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        } else if (const std::size_t bytes = utf8_length(text.substr(i)); bytes > 0) {
          out += text.substr(i, bytes);
          i += bytes - 1;
        } else {
          out += "\xef\xbf\xbd";  // U+FFFD
        }
    }
  }
  out += '"';
}

bool needs_quotes(std::string_view value) {
  // Control characters too: an escape sequence from outside must not reach a terminal.
  return std::ranges::any_of(
             value,
             [](unsigned char c) { return c <= ' ' || c == 0x7f || c == '"' || c == '='; }) ||
         value.empty();
}

// The whole line is ours already; spdlog gives the thread-safe hand-over.
class FdSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit FdSink(int fd) : fd_(fd) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    std::string_view rest(message.payload.data(), message.payload.size());
    while (!rest.empty()) {
      const ssize_t written = ::write(fd_, rest.data(), rest.size());
      if (written <= 0) return;  // A log that cannot be written must not stop the daemon.
      rest.remove_prefix(static_cast<std::size_t>(written));
    }
  }
  void flush_() override {}
  int fd_;
};

}  // namespace

Result<LogLevel> parse_log_level(std::string_view text) {
  for (std::size_t i = 0; i < std::size(kNames); ++i) {
    if (text == kNames[i]) return static_cast<LogLevel>(i);
  }
  return fail(
      Errc::InvalidArgument,
      fmt::format("log level \"{}\" is unknown; use debug, info, warning, error or off", text));
}

struct LogSink::State {
  State(int fd, Format f) : logger("", std::make_shared<FdSink>(fd)), format(f) {
    logger.set_level(spdlog::level::trace);
  }
  spdlog::logger logger;
  Format format;
  SystemClock clock;
  mutable std::mutex mutex;
  LogLevel standard = LogLevel::Info;                   // Guarded by mutex.
  std::map<std::string, LogLevel, std::less<>> levels;  // Guarded by mutex.
};

LogSink::LogSink(int fd, Format format) : state_(std::make_unique<State>(fd, format)) {}
LogSink::~LogSink() = default;

Result<> LogSink::set_levels(std::string_view spec) {
  LogLevel standard = LogLevel::Info;
  std::map<std::string, LogLevel, std::less<>> levels;
  while (!spec.empty()) {
    const std::size_t comma = std::min(spec.find(','), spec.size());
    const std::string_view part = spec.substr(0, comma);
    spec.remove_prefix(std::min(comma + 1, spec.size()));
    if (const std::size_t equals = part.find('='); equals != part.npos) {
      TRY(levels[std::string(part.substr(0, equals))], parse_log_level(part.substr(equals + 1)));
    } else {
      TRY(standard, parse_log_level(part));
    }
  }
  const std::lock_guard lock(state_->mutex);
  state_->standard = standard;
  state_->levels = std::move(levels);
  return {};
}

LogLevel LogSink::level_of(std::string_view component) const {
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->levels.find(component);
  return found == state_->levels.end() ? state_->standard : found->second;
}

void LogSink::write(LogLevel level, std::string_view component, std::string_view trace_id,
                    std::string_view event, std::initializer_list<LogField> fields) {
  const std::string_view name = kNames[static_cast<std::size_t>(level)];
  const std::string time = to_rfc3339(state_->clock.wall(), 3);
  std::string line;
  if (state_->format == Format::Json) {
    line = fmt::format(R"({{"time":"{}","level":"{}","component":)", time, name);
    append_json_string(line, component);
    line += ",\"event\":";
    append_json_string(line, event);
    if (!trace_id.empty()) {
      line += ",\"trace\":";
      append_json_string(line, trace_id);
    }
    for (const LogField& field : fields) {
      line += ',';
      append_json_string(line, field.key);
      line += ':';
      if (field.quoted) {
        append_json_string(line, field.value);
      } else {
        line += field.value;
      }
    }
    line += "}\n";
  } else {
    line = fmt::format("{} {:<7} {}: {}", time, name, component, event);
    for (const LogField& field : fields) {
      line += fmt::format("  {}=", field.key);
      if (field.quoted && needs_quotes(field.value)) {
        append_json_string(line, field.value);
      } else {
        line += field.value;
      }
    }
    if (!trace_id.empty()) line += fmt::format("  trace={}", trace_id);
    line += '\n';
  }
  state_->logger.info(spdlog::string_view_t(line.data(), line.size()));
}

Log::Log(LogSink& sink, std::string component)
    : sink_(&sink), level_(sink.level_of(component)), component_(std::move(component)) {}

Log Log::with_component(std::string component) const {
  if (!sink_) return {};
  Log log(*sink_, std::move(component));
  log.trace_id_ = trace_id_;
  return log;
}

Log Log::with_trace(std::string trace_id) const {
  Log log = *this;
  log.trace_id_ = std::move(trace_id);
  return log;
}

void Log::write(LogLevel level, std::string_view event,
                std::initializer_list<LogField> fields) const {
  if (sink_ && level >= level_) sink_->write(level, component_, trace_id_, event, fields);
}

}  // namespace base
