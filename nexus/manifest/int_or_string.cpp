#include "manifest/int_or_string.hpp"

#include <fmt/format.h>

#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>

namespace nexus::manifest {

base::Result<IntOrString> IntOrString::from_json(const nlohmann::json& json) {
  if (json.is_string()) return IntOrString(json.get<std::string>());
  if (json.is_number_integer()) {
    const bool fits =
        json.is_number_unsigned()
            ? json.get<std::uint64_t>() <= std::numeric_limits<std::int32_t>::max()
            : json.get<std::int64_t>() >= std::numeric_limits<std::int32_t>::min() &&
                  json.get<std::int64_t>() <= std::numeric_limits<std::int32_t>::max();
    if (fits) return IntOrString(json.get<std::int32_t>());
    return base::fail(base::Errc::InvalidArgument,
                      fmt::format("{} does not fit into 32 bits", json.dump()));
  }
  return base::fail(base::Errc::InvalidArgument,
                    fmt::format("is {}; must be a number or a string", json.type_name()));
}

nlohmann::json IntOrString::to_json() const {
  return is_number() ? nlohmann::json(number()) : nlohmann::json(text());
}

std::string IntOrString::describe() const {
  return is_number() ? fmt::to_string(number()) : text();
}

base::Result<std::int32_t> IntOrString::scaled(std::int32_t total, Rounding rounding) const {
  if (is_number()) return number();
  const std::string& words = std::get<std::string>(value_);
  std::int32_t percent = 0;
  const char* end = words.data() + words.size();
  const auto [rest, problem] = std::from_chars(words.data(), end, percent);
  if (problem != std::errc() || rest + 1 != end || *rest != '%' || percent < 0) {
    return base::fail(base::Errc::InvalidArgument,
                      fmt::format("\"{}\" is not a percentage such as 25%", words));
  }
  const std::int64_t product = static_cast<std::int64_t>(percent) * total;
  const std::int64_t share = rounding == Rounding::Up ? (product + 99) / 100 : product / 100;
  if (share > std::numeric_limits<std::int32_t>::max()) {
    return base::fail(base::Errc::InvalidArgument,
                      fmt::format("{} of {} does not fit into 32 bits", words, total));
  }
  return static_cast<std::int32_t>(share);
}

}  // namespace nexus::manifest
