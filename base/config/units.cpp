#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <base/config/units.hpp>
#include <charconv>
#include <cmath>
#include <optional>

namespace base::config {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

constexpr std::array kDurations = {Unit{"ns", 1.0},   Unit{"us", 1e3}, Unit{"ms", 1e6},
                                   Unit{"s", 1e9},    Unit{"m", 60e9}, Unit{"h", 3600e9},
                                   Unit{"d", 86400e9}};
constexpr double kKilo = 1024.0;
constexpr std::array kSizes = {
    Unit{"", 1.0},
    Unit{"B", 1.0},
    Unit{"K", kKilo},
    Unit{"KB", kKilo},
    Unit{"KiB", kKilo},
    Unit{"M", kKilo* kKilo},
    Unit{"MB", kKilo* kKilo},
    Unit{"MiB", kKilo* kKilo},
    Unit{"G", kKilo* kKilo* kKilo},
    Unit{"GB", kKilo* kKilo* kKilo},
    Unit{"GiB", kKilo* kKilo* kKilo},
    Unit{"T", kKilo* kKilo* kKilo* kKilo},
    Unit{"TB", kKilo* kKilo* kKilo* kKilo},
    Unit{"TiB", kKilo* kKilo* kKilo* kKilo},
};

// A number and one of `units`; spaces between them are allowed. Empty when it is neither.
template <std::size_t N>
std::optional<double> scaled(std::string_view text, const std::array<Unit, N>& units) {
  double number = 0;
  const auto [rest, error] =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc() || number < 0 || !std::isfinite(number)) return std::nullopt;
  std::string_view unit(rest, static_cast<std::size_t>(text.data() + text.size() - rest));
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  const auto found = std::ranges::find(units, unit, &Unit::name);
  if (found == units.end()) return std::nullopt;
  const double value = number * found->factor;
  if (value > 9.2e18) return std::nullopt;
  return value;
}

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  if (const auto value = scaled(text, kDurations))
    return Duration(static_cast<std::int64_t>(std::llround(*value)));
  return fail(
      Errc::InvalidArgument,
      fmt::format(
          "\"{}\" is not a duration; want a number with ns, us, ms, s, m, h or d, such as \"24h\"",
          text.substr(0, 80)));
}

Result<std::uint64_t> parse_size(std::string_view text) {
  if (const auto value = scaled(text, kSizes))
    return static_cast<std::uint64_t>(std::llround(*value));
  return fail(Errc::InvalidArgument, fmt::format("\"{}\" is not a size; want a number with KB, MB, "
                                                 "GB or TB (1024-based), such as \"10GB\"",
                                                 text.substr(0, 80)));
}

Result<Endpoint> parse_endpoint(std::string_view text) {
  const auto bad = [&] {
    return fail(Errc::InvalidArgument, fmt::format("\"{}\" is not an address with a port; want one "
                                                   "such as \"[::]:8080\" or \"127.0.0.1:8080\"",
                                                   text.substr(0, 80)));
  };
  const std::size_t colon = text.rfind(':');
  if (colon == text.npos) return bad();
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  std::uint16_t port = 0;
  const auto [rest, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || rest != digits.data() + digits.size()) return bad();
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  Endpoint endpoint{std::string(host), port};
  unsigned char buffer[sizeof(in6_addr)];
  if (inet_pton(bracketed ? AF_INET6 : AF_INET, endpoint.address.c_str(), buffer) != 1)
    return bad();
  return endpoint;
}

}  // namespace base::config
