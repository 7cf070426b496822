#pragma once

#include <span>
#include <string>
#include <string_view>

namespace cli {

/// The candidate that a person who typed `word` most likely meant, or "": what begins with it, else
/// the nearest by edits.
std::string suggest(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace cli
