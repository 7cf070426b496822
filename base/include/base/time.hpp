#pragma once

// One injectable clock. Nothing below apps/ asks the system for the time.

#include <base/error.hpp>
#include <chrono>
#include <string>
#include <string_view>

namespace base {

using Duration = std::chrono::nanoseconds;
/// Since an arbitrary start; never goes back. For timeouts, back-off and intervals.
using MonotonicTime = std::chrono::time_point<std::chrono::steady_clock, Duration>;
/// UTC. For what a person reads and what certificates say.
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual MonotonicTime now() const = 0;
  virtual WallTime wall() const = 0;
};

class SystemClock final : public Clock {
 public:
  MonotonicTime now() const override { return std::chrono::steady_clock::now(); }
  WallTime wall() const override { return std::chrono::system_clock::now(); }
};

/// "2026-11-21T12:25:07Z", with nanoseconds when `fraction_digits` is 9, milliseconds when 3 (RFC
/// 3339).
std::string to_rfc3339(WallTime time, int fraction_digits = 0);
Result<WallTime> parse_rfc3339(std::string_view text);  ///< Of the years 1678 to 2261.

/// "3m12s", "12m", "4h5m", "3d": an age as kubectl shows it.
std::string to_age(Duration age);

}  // namespace base
