#pragma once

// Virtual time: events in the order of their times, and of their making where those are equal.

#include <base/time.hpp>
#include <functional>
#include <map>

namespace sim {

using base::Duration;
using base::MonotonicTime;

class Timeline {
 public:
  MonotonicTime now() const { return now_; }
  void at(MonotonicTime time, std::function<void()> event) {
    events_.emplace(std::pair(std::max(time, now_), next_++), std::move(event));
  }
  void after(Duration wait, std::function<void()> event) { at(now_ + wait, std::move(event)); }
  /// False when there is none up to `end`.
  bool step(MonotonicTime end) {
    if (events_.empty() || events_.begin()->first.first > end) {
      now_ = end;
      return false;
    }
    auto event = events_.extract(events_.begin());
    now_ = event.key().first;
    event.mapped()();
    ++steps_;
    return true;
  }
  std::uint64_t steps() const { return steps_; }

 private:
  MonotonicTime now_{};
  std::uint64_t next_ = 0, steps_ = 0;
  std::map<std::pair<MonotonicTime, std::uint64_t>, std::function<void()>> events_;
};

}  // namespace sim
