#pragma once

#include "sim/mark.hpp"
#include "sim/plan.hpp"

namespace sim {

/// How a life ended.
struct Ended {
  std::string failure;  ///< Empty: every check held.
  Duration elapsed{};
  std::uint64_t steps = 0;
  Mark mark = 0;
};
Ended run_plan(const Plan& plan, bool trace = false);
/// In a process of its own, since a broken assertion ends it: that is a failure like any other.
Ended run_apart(const Plan& plan);

/// The failure without its numbers: two that are alike have probably the same cause.
std::string kind_of(std::string_view failure);

}  // namespace sim
