#include "session/loop.hpp"

#include <fmt/format.h>
#include <signal.h>

#include "output/units.hpp"

namespace cli {
namespace {

// A signal handler can reach nothing but a variable of the process.
volatile sig_atomic_t interrupt_noted = 0;

}  // namespace

void watch_for_interrupt() {
  struct sigaction action{};
  action.sa_handler = [](int) { interrupt_noted = 1; };
  action.sa_flags =
      static_cast<int>(SA_RESETHAND);  // no SA_RESTART: a read that waits for a person ends
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() {
  return interrupt_noted != 0;
}

Loop::Stop Loop::drive(const bool& done, const std::function<void()>& cancel,
                       std::optional<base::Duration> limit) {
  using Clock = std::chrono::steady_clock;
  constexpr auto kTick = std::chrono::milliseconds(100);
  const auto start = Clock::now();
  Stop stop = Stop::Done;
  context_.restart();
  while (!done) {
    auto wait = std::chrono::duration_cast<Clock::duration>(kTick);
    if (limit)
      wait = std::clamp(start + std::chrono::duration_cast<Clock::duration>(*limit) - Clock::now(),
                        Clock::duration::zero(), wait);
    const auto until = Clock::now() + wait;
    while (!done && context_.run_one_until(until) > 0) {
    }
    if (context_.stopped()) context_.restart();
    if (done) break;
    tick_();
    if (stop != Stop::Done) continue;
    if (interrupted()) {
      stop = Stop::Interrupted;
    } else if (limit && Clock::now() - start >= *limit) {
      stop = Stop::TimedOut;
      limit.reset();
    }
    if (stop != Stop::Done) cancel();
  }
  return stop;
}

base::Result<> Loop::pause(base::Duration length) {
  const auto wait = [](base::Duration time) -> base::Task<base::Result<>> {
    co_await base::sleep_for(time);
    co_return base::Result<>();
  };
  return run(wait(length));
}

base::Error Loop::timed_out(std::string_view what, base::Duration limit) {
  return base::make_error(
      base::Errc::TimedOut,
      fmt::format("{}: not within {}", what.empty() ? "the request" : what, show_took(limit)));
}

}  // namespace cli
