#pragma once

#include <string>
#include <vector>

namespace sim {

/// A script for four replicas that meets a bug which an implementation of a protocol like this one
/// had.
struct Scenario {
  const char* name;      ///< What holds instead.
  const char* source;    ///< Where it went wrong.
  std::string (*run)();  ///< Empty, or what does not hold.
};

std::vector<Scenario> view_scenarios();
std::vector<Scenario> restart_scenarios();
std::vector<Scenario> checkpoint_scenarios();
std::vector<Scenario> epoch_scenarios();
std::vector<Scenario> fast_path_scenarios();
std::vector<Scenario> version_scenarios();

}  // namespace sim
