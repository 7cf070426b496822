#include "manifest/quantity.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <utility>

namespace nexus::manifest {

namespace {

constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
constexpr __int128 kNanosMax = static_cast<__int128>(kMax) * 1'000'000'000;
constexpr std::size_t kTextBytesMax = 64;

constexpr std::string_view kBinarySuffixes[] = {"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
constexpr std::pair<std::string_view, int> kDecimalSuffixes[] = {
    {"n", -9}, {"u", -6}, {"m", -3}, {"", 0},   {"k", 3},
    {"M", 6},  {"G", 9},  {"T", 12}, {"P", 15}, {"E", 18}};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::string digits_of(__int128 value) {
  std::string out;
  do {
    out.push_back(static_cast<char>('0' + static_cast<int>(value % 10)));
    value /= 10;
  } while (value > 0);
  std::ranges::reverse(out);
  return out;
}

/// What the suffix is worth: 2^binary or 10^decimal.
struct Scale {
  int binary = 0, decimal = 0;
  Quantity::Format format = Quantity::Format::Decimal;
};

std::optional<Scale> scale_of(std::string_view suffix) {
  for (int i = 1; i < static_cast<int>(std::size(kBinarySuffixes)); ++i) {
    if (suffix == kBinarySuffixes[i]) return Scale{10 * i, 0, Quantity::Format::Binary};
  }
  for (const auto& [name, power] : kDecimalSuffixes) {
    if (suffix == name) return Scale{0, power, Quantity::Format::Decimal};
  }
  if (suffix.size() < 2 || (suffix[0] != 'e' && suffix[0] != 'E')) return std::nullopt;
  std::string_view digits = suffix.substr(1);
  const bool negative = digits[0] == '-';
  if (digits[0] == '-' || digits[0] == '+') digits.remove_prefix(1);
  if (digits.empty() || digits.size() > 4 || !std::ranges::all_of(digits, is_digit))
    return std::nullopt;
  int power = 0;
  for (char c : digits) power = power * 10 + (c - '0');
  return Scale{0, negative ? -power : power, Quantity::Format::Exponent};
}

base::Error refused(std::string_view text, std::string_view hint) {
  return base::with_hint(
      base::make_error(base::Errc::InvalidArgument,
                       fmt::format("\"{}\" is not a quantity", text.substr(0, kTextBytesMax))),
      std::string(hint));
}

std::string_view hint_for(std::string_view suffix) {
  if (suffix == "K" || suffix == "KB" || suffix == "kb" || suffix == "kB")
    return "write k (1000) or Ki (1024)";
  if (suffix == "MB" || suffix == "mb" || suffix == "Mb" || suffix == "MiB")
    return "write M (10^6) or Mi (2^20)";
  if (suffix == "g" || suffix == "GB" || suffix == "gb" || suffix == "Gb" || suffix == "GiB" ||
      suffix == "gi") {
    return "write G (10^9) or Gi (2^30)";
  }
  if (suffix == "TB" || suffix == "tb" || suffix == "t" || suffix == "TiB")
    return "write T (10^12) or Ti (2^40)";
  if (suffix == "ki" || suffix == "mi") return "binary suffixes begin with a capital: Ki Mi Gi";
  return "a number and one of n u m k M G T P E, Ki Mi Gi Ti Pi Ei, or an exponent such as e3";
}

}  // namespace

base::Result<Quantity> Quantity::parse(std::string_view text) {
  constexpr std::string_view kForms = "a number and a suffix, such as 100m, 0.5, 64Mi, 2G or 1e3";
  if (text.size() > kTextBytesMax)
    return std::unexpected(refused(text, "it is longer than 64 characters"));
  std::size_t at = 0;
  const bool negative = !text.empty() && text[0] == '-';
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) at = 1;

  // Digits without the point; `fraction` of them stood behind it.
  __int128 mantissa = 0;
  int fraction = 0;
  std::size_t digits = 0;
  bool point = false, inexact = false, large = false;
  for (; at < text.size() && (is_digit(text[at]) || (text[at] == '.' && !point)); ++at) {
    if (text[at] == '.') {
      point = true;
      continue;
    }
    ++digits;
    if (large) {
      // What does not fit any more: before the point it makes the number larger, behind it finer.
      if (!point) return std::unexpected(refused(text, "it is larger than 2^63-1"));
      inexact = inexact || text[at] != '0';
      continue;
    }
    mantissa = mantissa * 10 + (text[at] - '0');
    if (point) ++fraction;
    large = mantissa > kNanosMax;
  }
  if (digits == 0) return std::unexpected(refused(text, kForms));
  const std::string_view suffix = text.substr(at);
  const auto scale = scale_of(suffix);
  if (!scale) return std::unexpected(refused(text, hint_for(suffix)));

  // value = mantissa * 10^(decimal - fraction) * 2^binary, wanted in billionths, rounded away from
  // zero.
  int power = scale->decimal - fraction + 9;
  int doublings = scale->binary;
  const auto too_large = [&] { return std::unexpected(refused(text, "it is larger than 2^63-1")); };
  if (mantissa == 0) return Quantity(0, scale->format);
  for (; power > 0; --power) {
    if (mantissa > kNanosMax / 10) return too_large();
    mantissa *= 10;
  }
  // Doubling before dividing keeps every digit that can reach the result: 10^36 against 10^28.
  constexpr __int128 kRoomMax = kNanosMax * 250'000'000;
  while (power < 0 || doublings > 0) {
    if (doublings > 0 && (power == 0 || mantissa <= kRoomMax)) {
      if (power == 0 && mantissa > kNanosMax / 2) return too_large();
      mantissa *= 2;
      --doublings;
    } else {
      inexact = inexact || mantissa % 10 != 0;
      mantissa /= 10;
      ++power;
    }
  }
  if (inexact) ++mantissa;
  if (mantissa > kNanosMax) return too_large();
  return Quantity(negative ? -mantissa : mantissa, scale->format);
}

std::int64_t Quantity::value() const {
  const __int128 up = nanos_ > 0 ? (nanos_ + kNano - 1) / kNano : nanos_ / kNano;
  return static_cast<std::int64_t>(std::min<__int128>(up, kMax));
}

std::int64_t Quantity::millis() const {
  constexpr std::int64_t unit = kNano / 1000;
  const __int128 up = nanos_ > 0 ? (nanos_ + unit - 1) / unit : nanos_ / unit;
  return static_cast<std::int64_t>(std::clamp<__int128>(up, -static_cast<__int128>(kMax), kMax));
}

std::string Quantity::text() const {
  if (nanos_ == 0) return "0";
  const std::string sign = nanos_ < 0 ? "-" : "";
  __int128 amount = nanos_ < 0 ? -nanos_ : nanos_;
  if (format_ == Format::Binary && amount % kNano == 0 && amount / kNano >= 1024) {
    amount /= kNano;
    std::size_t step = 0;
    while (step + 1 < std::size(kBinarySuffixes) && amount % 1024 == 0) {
      amount /= 1024;
      ++step;
    }
    return fmt::format("{}{}{}", sign, digits_of(amount), kBinarySuffixes[step]);
  }
  int power = -9;
  while (power < 18 && amount % 1000 == 0) {
    amount /= 1000;
    power += 3;
  }
  if (format_ == Format::Exponent) {
    return power == 0 ? sign + digits_of(amount)
                      : fmt::format("{}{}e{}", sign, digits_of(amount), power);
  }
  const auto suffix =
      std::ranges::find(kDecimalSuffixes, power, &std::pair<std::string_view, int>::second);
  return fmt::format("{}{}{}", sign, digits_of(amount), suffix->first);
}

Quantity& Quantity::operator+=(const Quantity& other) {
  if (nanos_ == 0) format_ = other.format_;
  nanos_ = std::clamp(nanos_ + other.nanos_, -kNanosMax, kNanosMax);
  return *this;
}

Quantity& Quantity::operator-=(const Quantity& other) {
  if (nanos_ == 0) format_ = other.format_;
  nanos_ = std::clamp(nanos_ - other.nanos_, -kNanosMax, kNanosMax);
  return *this;
}

}  // namespace nexus::manifest
