#pragma once

// Waiting for what was written to run, and going back when it does not.

#include <span>
#include <string>
#include <vector>

#include "commands/objects.hpp"
#include "commands/rollout_state.hpp"

namespace cli {

struct Rollout {
  ObjectName object;
  std::string name_space;
  RolloutGoal goal;
  Json before;  ///< The object as it was; null: it did not exist.
};
/// From the answer to a write.
Rollout rollout_of(const Json& written, Json before = nullptr);

/// Waits until every rollout is complete, with progress on standard error. Returns at once with
/// --detach.
///
/// Without --timeout a rollout may take as long as it makes progress: its own progress deadline
/// ends it. Errors: TimedOut (--timeout, or no change for longer than the progress deadline),
/// FailedPrecondition (a rollout failed or was rolled back by the cluster), Cancelled (Ctrl-C; says
/// what goes on). What did not become ready is in the error's causes.
base::Result<> wait_for_rollouts(Session& session, Api& api, std::span<const Rollout> rollouts);

/// After a failed wait: brings every Deployment among `rollouts` back to what it was, waits for
/// that, and answers the error to end with. What is new stays as it is, so that it can be looked
/// at.
base::Error roll_back(Session& session, Api& api, std::span<const Rollout> rollouts,
                      base::Error error);

}  // namespace cli
