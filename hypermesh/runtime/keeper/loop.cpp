#include "runtime/keeper/loop.hpp"

#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

namespace hypermesh::keeper {
namespace {

constexpr int kEventsMax = 64;
constexpr std::uint64_t kSignalWatch = 0;

base::MonotonicTime now() {
  return std::chrono::steady_clock::now();
}

}  // namespace

base::Result<std::unique_ptr<Loop>> Loop::open() {
  std::unique_ptr<Loop> loop(new Loop);
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGCHLD, SIGTERM, SIGINT}) sigaddset(&signals, signal);
  if (::sigprocmask(SIG_BLOCK, &signals, nullptr) != 0)
    return base::fail_errno(errno, "cannot block signals");
  struct sigaction ignore{};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, nullptr);
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) {
    return base::fail_errno(errno, "cannot become the reaper of containers");
  }
  loop->signals_.reset(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  loop->epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  if (!loop->signals_ || !loop->epoll_) return base::fail_errno(errno, "cannot make an event loop");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kSignalWatch;
  if (::epoll_ctl(loop->epoll_.get(), EPOLL_CTL_ADD, loop->signals_.get(), &event) != 0) {
    return base::fail_errno(errno, "cannot watch signals");
  }
  return loop;
}

base::Result<> Loop::watch(int fd, std::uint32_t events, std::function<void(std::uint32_t)> ready) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = next_watch_;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return base::fail_errno(errno, "cannot watch a descriptor");
  }
  // Events carry the number of the watch, not the descriptor: one that was closed and reused in
  // between does not get its predecessor's events.
  fd_of_watch_[next_watch_] = fd;
  watches_[fd] = {next_watch_++,
                  std::make_shared<std::function<void(std::uint32_t)>>(std::move(ready))};
  return {};
}

void Loop::change(int fd, std::uint32_t events) {
  const auto found = watches_.find(fd);
  if (found == watches_.end()) return;
  epoll_event event{};
  event.events = events;
  event.data.u64 = found->second.id;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void Loop::unwatch(int fd) {
  const auto found = watches_.find(fd);
  if (found == watches_.end()) return;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  fd_of_watch_.erase(found->second.id);
  watches_.erase(found);
}

TimerId Loop::after(base::Duration delay, std::function<void()> call) {
  const TimerId id = next_timer_++;
  const base::MonotonicTime due = now() + delay;
  timers_.emplace(std::pair{due, id}, std::move(call));
  time_of_timer_[id] = due;
  return id;
}

void Loop::cancel(TimerId timer) {
  const auto found = time_of_timer_.find(timer);
  if (found == time_of_timer_.end()) return;
  timers_.erase({found->second, timer});
  time_of_timer_.erase(found);
}

void Loop::on_exit(pid_t child, std::function<void(int)> ended) {
  if (const auto found = unclaimed_.find(child); found != unclaimed_.end()) {
    post([ended = std::move(ended), status = found->second] { ended(status); });
    unclaimed_.erase(found);
    return;
  }
  children_[child] = std::move(ended);
}

void Loop::reap() {
  for (;;) {
    int status = 0;
    const pid_t child = ::waitpid(-1, &status, WNOHANG | __WALL);
    if (child <= 0) return;
    const auto found = children_.find(child);
    if (found == children_.end()) {
      if (expecting_ > 0) unclaimed_[child] = status;
      continue;
    }
    post([ended = std::move(found->second), status] { ended(status); });
    children_.erase(found);
  }
}

void Loop::read_signals() {
  bool child = false;
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGCHLD) {
      child = true;
    } else if (terminate_) {
      post(std::exchange(terminate_, nullptr));
    }
  }
  if (child) reap();
}

int Loop::next_timeout_ms() {
  if (!posted_.empty()) return 0;
  if (timers_.empty()) return -1;
  const auto wait = timers_.begin()->first.first - now();
  const auto millis = std::chrono::ceil<std::chrono::milliseconds>(wait).count();
  return static_cast<int>(std::clamp<std::int64_t>(millis, 0, 60'000));
}

void Loop::run_timers() {
  const auto time = now();
  while (!timers_.empty() && timers_.begin()->first.first <= time) {
    auto call = std::move(timers_.begin()->second);
    time_of_timer_.erase(timers_.begin()->first.second);
    timers_.erase(timers_.begin());
    call();
  }
}

void Loop::run_posted() {
  // What is posted meanwhile waits for the next round, after the descriptors had theirs.
  for (std::size_t left = posted_.size(); left > 0; --left) {
    auto call = std::move(posted_.front());
    posted_.pop_front();
    call();
  }
}

void Loop::run() {
  std::array<epoll_event, kEventsMax> events{};
  while (running_ && !std::exchange(pausing_, false)) {
    const int count = ::epoll_wait(epoll_.get(), events.data(), kEventsMax, next_timeout_ms());
    BASE_ASSERT(count >= 0 || errno == EINTR, "epoll_wait failed");
    for (int i = 0; i < count; ++i) {
      const std::uint64_t watch = events[i].data.u64;  // copied: the kernel packs its events
      if (watch == kSignalWatch) {
        read_signals();
        continue;
      }
      const auto fd = fd_of_watch_.find(watch);
      if (fd == fd_of_watch_.end()) continue;
      // The call may end its own watch.
      const auto ready = watches_.at(fd->second).ready;
      (*ready)(events[i].events);
    }
    run_timers();
    run_posted();
  }
}

void Signal::notify() {
  if (waiting_.empty()) return;
  loop_.post([jobs = std::exchange(waiting_, {})] {
    for (auto job : jobs) job.resume();
  });
}

namespace {

// Awaits one call of a function that is handed out.
template <class T>
struct Callback {
  std::function<void(std::function<void(T)>)> start;
  std::optional<T> value{};
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> job) {
    start([this, job](T result) {
      value = std::move(result);
      job.resume();
    });
  }
  T await_resume() { return std::move(*value); }
};

}  // namespace

Job<void> Loop::sleep(base::Duration delay) {
  (void)co_await Callback<bool>{[&](std::function<void(bool)> done) {
    after(delay, [done = std::move(done)] { done(true); });
  }};
}

Job<std::optional<int>> Loop::exit_of(pid_t child, base::Duration limit) {
  TimerId timer = 0;
  co_return co_await Callback<std::optional<int>>{
      [&](std::function<void(std::optional<int>)> done) {
        timer = after(limit, [this, child, done] {
          // Where its end was read in this very turn, the call that tells of it is on its way.
          if (children_.erase(child) > 0) done(std::nullopt);
        });
        on_exit(child, [this, &timer, done](int status) {
          cancel(timer);
          done(status);
        });
      }};
}

Job<bool> Loop::ready(int fd, std::uint32_t events, base::Duration limit) {
  TimerId timer = 0;
  co_return co_await Callback<bool>{[&](std::function<void(bool)> done) {
    timer = after(limit, [this, fd, done] {
      unwatch(fd);
      done(false);
    });
    const auto watched = watch(fd, events, [this, fd, &timer, done](std::uint32_t) {
      unwatch(fd);
      cancel(timer);
      done(true);
    });
    if (!watched) {
      cancel(timer);
      post([done] { done(false); });
    }
  }};
}

}  // namespace hypermesh::keeper
