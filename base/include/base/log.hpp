#pragma once

// Structured logs: an event in words, key-value pairs, a level for each component, one trace id
// that follows a request through all layers. Lines for people or JSON, chosen once at start.
//
//   log.info("pod started", {{"pod", name}, {"took_ms", 12}});

#include <atomic>
#include <base/error.hpp>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

namespace base {

enum class LogLevel : std::uint8_t { Debug, Info, Warning, Error, Off };
Result<LogLevel> parse_log_level(std::string_view text);

struct LogField {
  std::string_view key;
  std::string value;
  bool quoted = true;  ///< false: a number or a boolean

  LogField(std::string_view k, std::string v) : key(k), value(std::move(v)) {}
  LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
  LogField(std::string_view k, const char* v) : key(k), value(v) {}
  LogField(std::string_view k, bool v) : key(k), value(v ? "true" : "false"), quoted(false) {}
  template <std::integral T>
  LogField(std::string_view k, T v) : key(k), value(std::to_string(v)), quoted(false) {}
  LogField(std::string_view k, double v) : key(k), value(std::to_string(v)), quoted(false) {}
  LogField(std::string_view k, const Error& v) : key(k), value(v.describe()) {}
};

/// Where lines go. One for a process, handed to every component. Thread safe.
class LogSink {
 public:
  enum class Format : std::uint8_t { Human, Json };
  /// Writes to file descriptor `fd`, which stays the caller's.
  LogSink(int fd, Format format);
  ~LogSink();
  /// "debug", or "info,runtime=debug,dns=warning". Errors: InvalidArgument (names the unknown
  /// level).
  Result<> set_levels(std::string_view spec);
  LogLevel level_of(std::string_view component) const;
  void write(LogLevel level, std::string_view component, std::string_view trace_id,
             std::string_view event, std::initializer_list<LogField> fields);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// A component's view of the sink; cheap to copy. A default-constructed one drops everything.
class Log {
 public:
  Log() = default;
  /// `sink` is borrowed and outlives every Log made from it.
  Log(LogSink& sink, std::string component);
  Log with_component(std::string component) const;
  Log with_trace(std::string trace_id) const;
  const std::string& trace_id() const { return trace_id_; }

  void debug(std::string_view event, std::initializer_list<LogField> fields = {}) const {
    write(LogLevel::Debug, event, fields);
  }
  void info(std::string_view event, std::initializer_list<LogField> fields = {}) const {
    write(LogLevel::Info, event, fields);
  }
  void warning(std::string_view event, std::initializer_list<LogField> fields = {}) const {
    write(LogLevel::Warning, event, fields);
  }
  void error(std::string_view event, std::initializer_list<LogField> fields = {}) const {
    write(LogLevel::Error, event, fields);
  }

 private:
  void write(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) const;
  LogSink* sink_ = nullptr;
  LogLevel level_ = LogLevel::Off;
  std::string component_;
  std::string trace_id_;
};

}  // namespace base
