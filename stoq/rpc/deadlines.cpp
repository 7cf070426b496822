#include "rpc/deadlines.hpp"

namespace stoq::rpc {

using base::MonotonicTime;

Deadlines::Entry::~Entry() {
  disarm(*this);
}

Deadlines::Deadlines(const base::Executor& executor, const base::Clock& clock)
    : clock_(clock), timer_(executor) {}

void Deadlines::arm(Entry& entry, MonotonicTime at) {
  disarm(entry);
  if (at == MonotonicTime::max()) return;
  entry.place_ = entries_.emplace_hint(entries_.end(), at, &entry);
  entry.armed_by_ = shared_from_this();
  if (at < timer_at_) set_timer();
}

void Deadlines::disarm(Entry& entry) {
  if (!entry.armed_by_) return;
  const auto keeper = std::move(entry.armed_by_);
  keeper->entries_.erase(entry.place_);
  // Nothing is left to wait for: an idle process has no timer running.
  if (keeper->entries_.empty()) {
    keeper->timer_at_ = MonotonicTime::max();
    keeper->timer_.cancel();
  }
}

void Deadlines::set_timer() {
  timer_at_ = entries_.begin()->first;
  timer_.expires_after(
      std::chrono::duration_cast<boost::asio::steady_timer::duration>(timer_at_ - clock_.now()));
  timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (!error && self) self->expire();
  });
}

void Deadlines::expire() {
  timer_at_ = MonotonicTime::max();
  const auto now = clock_.now();
  while (!entries_.empty() && entries_.begin()->first <= now) {
    Entry& entry = *entries_.begin()->second;
    disarm(entry);
    entry.expired();
  }
  if (!entries_.empty() && timer_at_ > entries_.begin()->first) set_timer();
}

}  // namespace stoq::rpc
