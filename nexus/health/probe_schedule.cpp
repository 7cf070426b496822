#include "health/probe_schedule.hpp"

#include <algorithm>

namespace nexus {

ProbeSchedule::ProbeSchedule(ProbeTiming timing, bool healthy, bool eager,
                             base::MonotonicTime container_started, base::MonotonicTime now,
                             base::Duration first_delay)
    : timing_(timing),
      healthy_(healthy),
      eager_(eager && !healthy),
      due_(std::max(container_started + timing.initial_delay, now + first_delay)),
      tick_(due_) {}

std::optional<base::MonotonicTime> ProbeSchedule::next() const {
  if (running_) return std::nullopt;
  return due_;
}

void ProbeSchedule::begin(base::MonotonicTime now) {
  running_ = true;
  counted_ = now >= tick_;
  if (counted_) tick_ = now + timing_.period;
}

bool ProbeSchedule::finish(bool passed, base::MonotonicTime now) {
  running_ = false;
  bool verdict = false;
  if (passed) {
    failures_ = 0;
    eager_ = false;
    if (++successes_ >= timing_.success_threshold && !healthy_) {
      healthy_ = true;
      verdict = true;
    }
  } else if (counted_) {
    successes_ = 0;
    if (++failures_ >= timing_.failure_threshold) {
      verdict = true;
      healthy_ = false;
      failures_ = 0;
    }
  } else {
    successes_ = 0;
  }
  due_ = std::max(tick_, now);
  if (eager_) {
    due_ = std::min(due_, now + eager_delay_);
    eager_delay_ = std::min(eager_delay_ * 2, timing_.period);
  }
  return verdict;
}

void ProbeSchedule::skip(base::MonotonicTime now) {
  running_ = false;
  due_ = std::max(tick_, now);
}

base::Duration spread(std::string_view name, base::Duration period) {
  std::uint64_t hash = 14695981039346656037ull;  // FNV-1a
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  if (period.count() <= 0) return base::Duration(0);
  return base::Duration(
      static_cast<std::int64_t>(hash % static_cast<std::uint64_t>(period.count())));
}

}  // namespace nexus
