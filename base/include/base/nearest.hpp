#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace base {

/// Edits (insert, delete, replace, swap of neighbours) that turn `a` into `b`: optimal string
/// alignment.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate a person most likely meant, or nothing when none is near (a third of the length at
/// most).
std::optional<std::string> nearest(std::string_view word, std::span<const std::string> candidates);

}  // namespace base
