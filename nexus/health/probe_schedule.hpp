#pragma once

// When one probe of one container runs next, and what its answers mean. Pure: time is an argument.

#include <nexus/health_types.hpp>
#include <optional>

namespace nexus {

/// Counts answers to a verdict that changes only after a threshold.
///
/// A check that passes in time matters most right after the start. Until the first success, checks
/// therefore come faster than the period (kEagerDelay, doubling up to the period); those between
/// the ticks of the period can succeed but are not counted when they fail, so that
/// failure_threshold * period keeps its meaning.
class ProbeSchedule {
 public:
  static constexpr base::Duration kEagerDelay = std::chrono::milliseconds(50);

  /// `healthy`: the verdict until answers change it. `eager`: as above; not for liveness, where a
  /// success says nothing new. `first_delay` comes on top of the initial delay: spreads the probes
  /// of many containers that are taken over at the same moment.
  ProbeSchedule(ProbeTiming timing, bool healthy, bool eager, base::MonotonicTime container_started,
                base::MonotonicTime now, base::Duration first_delay);

  /// Empty while a check runs.
  std::optional<base::MonotonicTime> next() const;
  /// A check is due and has been started.
  void begin(base::MonotonicTime now);
  /// The check that runs has ended. True when the verdict changed, or when it is "unhealthy" anew:
  /// a container that is restarted for it fails once for each failure_threshold.
  bool finish(bool passed, base::MonotonicTime now);
  /// The check that was begun could not be made: it counts neither way, and the next one comes with
  /// the period.
  void skip(base::MonotonicTime now);
  bool healthy() const { return healthy_; }
  /// Whether a failure of the last check counted.
  bool last_counted() const { return counted_; }

 private:
  ProbeTiming timing_;
  bool healthy_;
  bool eager_;
  bool running_ = false;
  bool counted_ = true;  // whether a failure of the check that runs is counted
  base::MonotonicTime due_;
  base::MonotonicTime tick_;  // the next check of the period
  base::Duration eager_delay_ = kEagerDelay;
  std::uint32_t successes_ = 0, failures_ = 0;
};

/// An amount below `period` that is the same each time for the same name.
base::Duration spread(std::string_view name, base::Duration period);

}  // namespace nexus
