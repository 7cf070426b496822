#pragma once

#include "sim/client.hpp"

namespace sim {

/// What the operator does, step by step; when the cluster refuses for a reason that passes, again.
struct World::Goal {
  const Fault& fault;
  std::optional<std::size_t> newcomer;
  std::optional<std::size_t> goes;  ///< Who votes no more.
  bool listed = false;              ///< The newcomer is a member.
  bool voted = false;               ///< The voters are changed.
  unsigned tries = 0;
};

}  // namespace sim
