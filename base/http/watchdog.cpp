#include "watchdog.hpp"

namespace base::http {

using Clock = asio::steady_timer::clock_type;

struct Watchdog::State {
  State(const Executor& executor, ByteStream& watched) : timer(executor), stream(&watched) {}
  asio::steady_timer timer;
  ByteStream* stream;  // Null once the watchdog is gone.
  std::optional<Clock::time_point> deadline;
  bool waiting = false;
  bool expired = false;
};

Watchdog::Watchdog(const Executor& executor, ByteStream& stream)
    : state_(std::make_shared<State>(executor, stream)) {}

Watchdog::~Watchdog() {
  state_->stream = nullptr;
  state_->timer.cancel();
}

void Watchdog::arm(Duration limit) {
  const auto deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(limit);
  state_->deadline = deadline;
  if (state_->waiting && state_->timer.expiry() <= deadline) return;
  state_->timer.expires_at(deadline);  // Ends a wait under way; its handler sees `aborted`.
  wait(state_);
}

void Watchdog::disarm() {
  state_->deadline.reset();
}
bool Watchdog::expired() const {
  return state_->expired;
}

void Watchdog::wait(const std::shared_ptr<State>& state) {
  state->waiting = true;
  state->timer.async_wait([state](const boost::system::error_code& code) {
    if (code || state->stream == nullptr) return;
    state->waiting = false;
    if (!state->deadline) return;
    if (Clock::now() < *state->deadline) {
      state->timer.expires_at(*state->deadline);
      wait(state);
      return;
    }
    state->expired = true;
    state->stream->close();
  });
}

}  // namespace base::http
