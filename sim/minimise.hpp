#pragma once

#include <functional>

#include "sim/plan.hpp"

namespace sim {

/// Runs a plan; empty when all is well, else what failed.
using Trial = std::function<std::string(const Plan&)>;
struct Minimal {
  Plan plan;
  std::string failure;
  std::size_t trials = 0;
};

/// The least of a failing plan that still fails in the same way: faults, liars and clients are left
/// out, by halves and then smaller parts (ddmin: Zeller and Hildebrandt 2002), and the life is cut
/// behind its end. No single fault of what is left can go.
Minimal minimise(Plan plan, std::string failure, const Trial& trial, std::size_t trials_max = 2000);

}  // namespace sim
