#include "output/units.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <utility>

namespace cli {

using namespace std::chrono_literals;

std::string show_bytes(std::uint64_t bytes) {
  constexpr std::array kUnits = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  // 1023.95 would be printed as "1024.0".
  while (value >= 1023.95 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string show_cpu(std::uint64_t millis) {
  if (millis % 1000 == 0) return std::to_string(millis / 1000);
  return fmt::format("{}m", millis);
}

std::string show_took(base::Duration took) {
  const auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(took).count();
  if (millis < 1000) return fmt::format("{} ms", millis);
  if (millis < 100'000) return fmt::format("{:.1f} s", static_cast<double>(millis) / 1000);
  return base::to_age(took);
}

std::string show_count(std::uint64_t count) {
  std::string digits = std::to_string(count);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

base::Result<base::Duration> parse_duration(std::string_view text, std::string_view what) {
  constexpr std::array<std::pair<std::string_view, base::Duration>, 6> kUnits = {
      {{"ms", 1ms}, {"us", 1us}, {"s", 1s}, {"m", 1min}, {"h", 1h}, {"d", 24h}}};
  constexpr base::Duration kMost = 24h * 365 * 100;
  const auto wrong = [&] {
    return base::fail(base::Errc::InvalidArgument,
                      fmt::format("{} is \"{}\"; want a duration such as 30s, 5m or 1h30m", what,
                                  text.substr(0, 64)));
  };
  std::string_view rest = text;
  base::Duration sum{};
  if (rest.empty()) return wrong();
  while (!rest.empty()) {
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    if (error != std::errc() || end == rest.data()) return wrong();
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    base::Duration unit = 1s;
    if (!rest.empty()) {
      const auto* found = kUnits.end();
      for (const auto* u = kUnits.begin(); u != kUnits.end(); ++u) {
        if (rest.starts_with(u->first)) {
          found = u;
          break;
        }
      }
      if (found == kUnits.end()) return wrong();
      unit = found->second;
      rest.remove_prefix(found->first.size());
    } else if (sum != base::Duration{}) {
      return wrong();  // "1h30" leaves open what 30 is
    }
    if (number > 0 && unit > kMost / number) return wrong();
    sum += unit * number;
    if (sum > kMost) return wrong();
  }
  return sum;
}

}  // namespace cli
