#include "output/suggest.hpp"

#include <base/nearest.hpp>

namespace cli {

std::string suggest(std::string_view word, std::span<const std::string_view> candidates) {
  constexpr std::size_t kPrefixMin = 3, kWordMax = 64;
  if (word.empty() || word.size() > kWordMax) return {};
  if (word.size() >= kPrefixMin) {
    for (const std::string_view candidate : candidates) {
      if (candidate.starts_with(word)) return std::string(candidate);
    }
  }
  return base::nearest(word, std::vector<std::string>(candidates.begin(), candidates.end()))
      .value_or("");
}

}  // namespace cli
