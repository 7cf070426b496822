#include "orchestration/timer_alarms.hpp"

namespace nexus::orchestration {

struct TimerAlarms::State {
  State(const base::Executor& executor, const base::Clock& c) : timer(executor), clock(c) {}
  boost::asio::steady_timer timer;
  const base::Clock& clock;
  std::multimap<base::MonotonicTime, std::pair<Id, std::function<void()>>> calls;
  std::map<Id, decltype(calls)::iterator> by_id;
  Id last = 0;
  bool closed = false;

  static void arm(const std::shared_ptr<State>& self) {
    if (self->calls.empty()) {
      self->timer.cancel();
      return;
    }
    self->timer.expires_at(std::chrono::time_point_cast<boost::asio::steady_timer::duration>(
        self->calls.begin()->first));
    self->timer.async_wait([self](const boost::system::error_code& code) {
      if (!code && !self->closed) run_due(self);
    });
  }
  static void run_due(const std::shared_ptr<State>& self) {
    const base::MonotonicTime now = self->clock.now();
    while (!self->closed && !self->calls.empty() && self->calls.begin()->first <= now) {
      auto [id, call] = std::move(self->calls.begin()->second);
      self->calls.erase(self->calls.begin());
      self->by_id.erase(id);
      call();
    }
    if (!self->closed) arm(self);
  }
};

TimerAlarms::TimerAlarms(const base::Executor& executor, const base::Clock& clock)
    : state_(std::make_shared<State>(executor, clock)) {}

TimerAlarms::~TimerAlarms() {
  state_->closed = true;
  state_->timer.cancel();
  state_->calls.clear();
}

Alarms::Id TimerAlarms::call_at(base::MonotonicTime when, std::function<void()> call) {
  const Id id = ++state_->last;
  const auto entry = state_->calls.emplace(when, std::pair(id, std::move(call)));
  state_->by_id.emplace(id, entry);
  if (entry == state_->calls.begin()) State::arm(state_);
  return id;
}

void TimerAlarms::cancel(Id alarm) {
  const auto found = state_->by_id.find(alarm);
  if (found == state_->by_id.end()) return;
  state_->calls.erase(found->second);  // the timer may fire early once and finds nothing due
  state_->by_id.erase(found);
}

}  // namespace nexus::orchestration
