#pragma once

#include <base/async/task.hpp>
#include <nexus/health_types.hpp>

namespace nexus {

/// Asks a workload whether it is well.
///
/// Calls are made on one executor and do not block it. Implementations: NetworkProber;
/// ScriptedProber (tests).
class Prober {
 public:
  virtual ~Prober() = default;
  /// One check, ended after `timeout` with a failed result. Whatever goes wrong is a failed check;
  /// the detail says what. Waits for its turn when too many run already; the timeout starts then.
  virtual base::Task<CheckResult> run(Check check, base::Duration timeout) = 0;
};

}  // namespace nexus
