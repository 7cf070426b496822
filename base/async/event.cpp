#include <base/async/event.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>

namespace base {

Event::Event(const Executor& executor) : timer_(executor, asio::steady_timer::time_point::max()) {}

void Event::notify() {
  if (waiters_ == 0) {
    pending_ = true;
  } else {
    timer_.cancel();
  }
}

namespace {

// Keeps the count right when a waiting task is unwound by cancellation.
struct Counted {
  explicit Counted(std::size_t& count) : count_(count) { ++count_; }
  ~Counted() { --count_; }
  std::size_t& count_;
};

}  // namespace

Task<> Event::wait() {
  if (pending_) {
    pending_ = false;
    co_return;
  }
  const Counted counted(waiters_);
  co_await timer_.async_wait(use_result);
}

Task<bool> Event::wait_for(Duration limit) {
  if (pending_) {
    pending_ = false;
    co_return true;
  }
  using namespace asio::experimental::awaitable_operators;
  asio::steady_timer deadline(timer_.get_executor(),
                              std::chrono::duration_cast<asio::steady_timer::duration>(limit));
  const Counted counted(waiters_);
  const auto first = co_await (timer_.async_wait(use_result) || deadline.async_wait(use_result));
  co_return first.index() == 0;
}

}  // namespace base
