#include "runtime/images/platform.hpp"

#include <fmt/format.h>

namespace hypermesh {
namespace {

// Variants are "v" and a small number. 0: one that we do not know.
unsigned variant_level(const Platform& platform) {
  const std::string& text = platform.variant;
  if (text.empty()) {
    if (platform.architecture == "arm64") return 8;
    if (platform.architecture == "arm") return 7;  // what Docker takes "linux/arm" for
    return 1;
  }
  if (text.size() != 2 || text[0] != 'v' || text[1] < '1' || text[1] > '9') return 0;
  return unsigned(text[1] - '0');
}

}  // namespace

std::string Platform::text() const {
  return variant.empty() ? os + "/" + architecture : os + "/" + architecture + "/" + variant;
}

base::Result<Platform> parse_platform(std::string_view text) {
  const auto first = text.find('/');
  const auto second = first == std::string_view::npos ? first : text.find('/', first + 1);
  Platform out;
  out.os = text.substr(0, first);
  if (first != std::string_view::npos)
    out.architecture =
        text.substr(first + 1, second == std::string_view::npos ? second : second - first - 1);
  if (second != std::string_view::npos) out.variant = text.substr(second + 1);
  if (first == std::string_view::npos || out.os.empty() || out.architecture.empty() ||
      out.variant.find('/') != std::string::npos || text.size() > 100) {
    return base::fail(
        base::Errc::InvalidArgument,
        fmt::format(
            "\"{}\" is not a platform; write OS/ARCHITECTURE[/VARIANT], for example linux/amd64",
            text.substr(0, 100)));
  }
  return out;
}

unsigned platform_fitness(const Platform& host, const Platform& image) {
  if (host.os != image.os || host.architecture != image.architecture) return 0;
  const unsigned host_level = variant_level(host);
  const unsigned image_level = variant_level(image);
  if (host_level == 0 || image_level == 0) return host.variant == image.variant ? 1 : 0;
  return image_level <= host_level ? image_level : 0;
}

std::optional<std::size_t> select_platform(const Platform& host,
                                           std::span<const std::optional<Platform>> candidates) {
  std::optional<std::size_t> best;
  unsigned best_fitness = 0;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const unsigned fitness = candidates[i] ? platform_fitness(host, *candidates[i]) : 0;
    if (fitness > best_fitness) {
      best = i;
      best_fitness = fitness;
    }
  }
  return best;
}

}  // namespace hypermesh
