#include <fmt/format.h>

#include <array>
#include <base/time.hpp>
#include <cstdint>

namespace base {

using namespace std::chrono;

std::string to_rfc3339(WallTime time, int fraction_digits) {
  const auto day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss clock(floor<nanoseconds>(time - day));
  std::string text =
      fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                  clock.hours().count(), clock.minutes().count(), clock.seconds().count());
  if (fraction_digits > 0) {
    const std::string digits = fmt::format("{:09}", clock.subseconds().count());
    text += '.';
    text += digits.substr(0, static_cast<std::size_t>(std::min(fraction_digits, 9)));
  }
  return text + 'Z';
}

namespace {

// The whole years of which a WallTime counts the nanoseconds.
constexpr int kYearMin = 1678, kYearMax = 2261;

// Reads exactly `count` decimal digits.
Result<int> digits(std::string_view text, std::size_t& at, std::size_t count) {
  int value = 0;
  for (std::size_t end = at + count; at < end; ++at) {
    if (at >= text.size() || text[at] < '0' || text[at] > '9') {
      return fail(Errc::InvalidArgument,
                  fmt::format("\"{}\" is not an RFC 3339 time", text.substr(0, 64)));
    }
    value = value * 10 + (text[at] - '0');
  }
  return value;
}

Result<> literal(std::string_view text, std::size_t& at, char wanted) {
  if (at >= text.size() || text[at] != wanted) {
    return fail(Errc::InvalidArgument,
                fmt::format("\"{}\" is not an RFC 3339 time", text.substr(0, 64)));
  }
  ++at;
  return {};
}

}  // namespace

Result<WallTime> parse_rfc3339(std::string_view text) {
  std::size_t at = 0;
  TRY(const int y, digits(text, at, 4));
  TRY_DO(literal(text, at, '-'));
  TRY(const int mo, digits(text, at, 2));
  TRY_DO(literal(text, at, '-'));
  TRY(const int d, digits(text, at, 2));
  TRY_DO(literal(text, at, 'T'));
  TRY(const int h, digits(text, at, 2));
  TRY_DO(literal(text, at, ':'));
  TRY(const int mi, digits(text, at, 2));
  TRY_DO(literal(text, at, ':'));
  TRY(const int s, digits(text, at, 2));
  const year_month_day date(year(y), month(static_cast<unsigned>(mo)),
                            day(static_cast<unsigned>(d)));
  if (!date.ok() || h > 23 || mi > 59 || s > 59) {
    return fail(Errc::InvalidArgument,
                fmt::format("\"{}\" is not a date and time", text.substr(0, 64)));
  }
  if (y < kYearMin || y > kYearMax) {
    return fail(Errc::InvalidArgument, fmt::format("\"{}\" is not between the years {} and {}",
                                                   text.substr(0, 64), kYearMin, kYearMax));
  }
  WallTime time = sys_days(date) + hours(h) + minutes(mi) + seconds(s);
  if (at < text.size() && text[at] == '.') {
    ++at;
    std::int64_t nanos = 0, scale = 100'000'000;
    std::size_t count = 0;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, ++count, scale /= 10) {
      nanos += (text[at] - '0') * scale;
    }
    if (count == 0 || count > 9) {
      return fail(Errc::InvalidArgument,
                  fmt::format("\"{}\" is not an RFC 3339 time", text.substr(0, 64)));
    }
    time += nanoseconds(nanos);
  }
  if (at < text.size() && (text[at] == '+' || text[at] == '-')) {
    const bool east = text[at++] == '+';
    TRY(const int oh, digits(text, at, 2));
    TRY_DO(literal(text, at, ':'));
    TRY(const int om, digits(text, at, 2));
    if (oh > 23 || om > 59) {
      return fail(Errc::InvalidArgument,
                  fmt::format("\"{}\" is not a date and time", text.substr(0, 64)));
    }
    const auto offset = hours(oh) + minutes(om);
    time += east ? -offset : offset;
  } else {
    TRY_DO(literal(text, at, 'Z'));
  }
  if (at != text.size()) {
    return fail(Errc::InvalidArgument,
                fmt::format("\"{}\" is not an RFC 3339 time", text.substr(0, 64)));
  }
  return time;
}

std::string to_age(Duration age) {
  const std::int64_t s = std::max<std::int64_t>(0, duration_cast<seconds>(age).count());
  const std::int64_t minute = s / 60, hour = minute / 60, day = hour / 24;
  if (s < 120) return fmt::format("{}s", s);
  if (minute < 10)
    return s % 60 ? fmt::format("{}m{}s", minute, s % 60) : fmt::format("{}m", minute);
  if (hour < 3) return fmt::format("{}m", minute);
  if (hour < 8)
    return minute % 60 ? fmt::format("{}h{}m", hour, minute % 60) : fmt::format("{}h", hour);
  if (hour < 48) return fmt::format("{}h", hour);
  if (day < 8) return hour % 24 ? fmt::format("{}d{}h", day, hour % 24) : fmt::format("{}d", day);
  return fmt::format("{}d", day);
}

}  // namespace base
