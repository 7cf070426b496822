#pragma once

// Coroutines of the keeper's one thread. A Job starts when it is awaited or spawned, runs to its
// end, and is never cancelled: what waits has a time limit of its own.

#include <coroutine>
#include <cstdlib>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

namespace hypermesh::keeper {

template <class T>
class Job;

namespace job_detail {

struct Final {
  bool await_ready() const noexcept { return false; }
  template <class Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> ended) const noexcept {
    auto waiting = ended.promise().waiting;
    return waiting ? waiting : std::noop_coroutine();
  }
  void await_resume() const noexcept {}
};

struct PromiseBase {
  std::coroutine_handle<> waiting;
  std::suspend_always initial_suspend() const noexcept { return {}; }
  Final final_suspend() const noexcept { return {}; }
  // Nothing here throws but for lack of memory, after which the successor does better than we
  // would.
  void unhandled_exception() const noexcept { std::abort(); }
};

template <class T>
struct Promise : PromiseBase {
  std::optional<T> value;
  Job<T> get_return_object();
  template <class U>
  void return_value(U&& result) {
    value.emplace(std::forward<U>(result));
  }
};

template <>
struct Promise<void> : PromiseBase {
  Job<void> get_return_object();
  void return_void() const noexcept {}
};

}  // namespace job_detail

template <class T = void>
class [[nodiscard]] Job {
 public:
  using promise_type = job_detail::Promise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  explicit Job(Handle handle) : handle_(handle) {}
  Job(Job&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Job& operator=(Job&&) = delete;
  ~Job() {
    if (handle_) handle_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiting) noexcept {
    handle_.promise().waiting = waiting;
    return handle_;
  }
  T await_resume() {
    if constexpr (!std::is_void_v<T>) return std::move(*handle_.promise().value);
  }

 private:
  Handle handle_;
};

namespace job_detail {

template <class T>
Job<T> Promise<T>::get_return_object() {
  return Job<T>(Job<T>::Handle::from_promise(*this));
}
inline Job<void> Promise<void>::get_return_object() {
  return Job<void>(Job<void>::Handle::from_promise(*this));
}

/// Owns itself: lives until its body ends.
struct Detached {
  struct promise_type {
    Detached get_return_object() const noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void unhandled_exception() const noexcept { std::abort(); }
    void return_void() const noexcept {}
  };
};

inline Detached run_detached(Job<void> job) {
  co_await job;
}

}  // namespace job_detail

/// Runs `job` until it first waits, and goes on when the loop does.
inline void spawn(Job<void> job) {
  job_detail::run_detached(std::move(job));
}

}  // namespace hypermesh::keeper
