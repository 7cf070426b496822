#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cli {

/// Edits (insert, delete, replace, swap of neighbours) that turn `a` into `b`.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate that `word` was most likely meant to be, or "" when none is near. A candidate that
/// begins with `word` is near as well.
std::string nearest(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace cli
