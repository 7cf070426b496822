#include "api/duplex.hpp"

namespace nexus::api {
namespace {

struct Duplex {
  explicit Duplex(const base::Executor& executor)
      : main_scope(executor), side_scope(executor), changed(executor) {}
  base::TaskScope main_scope, side_scope;
  base::Event changed;
  bool main_done = false, side_done = false, abandoned = false;
};

base::Task<> run_main(Duplex& duplex, base::Task<> task) {
  co_await std::move(task);
  duplex.main_done = true;
  duplex.changed.notify();
}

base::Task<> run_side(Duplex& duplex, base::Task<bool> task) {
  duplex.abandoned = !co_await std::move(task);
  duplex.side_done = true;
  duplex.changed.notify();
}

}  // namespace

base::Task<> run_duplex(base::Task<> main, base::Task<bool> side) {
  // A cancelled caller must not leave before its two tasks have.
  co_await base::asio::this_coro::throw_if_cancelled(false);
  {
    Duplex duplex(co_await base::asio::this_coro::executor);
    duplex.main_scope.spawn(run_main(duplex, std::move(main)));
    duplex.side_scope.spawn(run_side(duplex, std::move(side)));
    const auto state = co_await base::asio::this_coro::cancellation_state;
    bool cancelled = false;
    while (!cancelled && !duplex.main_done && !duplex.abandoned) {
      co_await duplex.changed.wait();
      cancelled = state.cancelled() != base::asio::cancellation_type::none;
    }
    if (cancelled || duplex.abandoned) duplex.main_scope.cancel();
    co_await duplex.main_scope.join();
    if (cancelled) duplex.side_scope.cancel();
    co_await duplex.side_scope.join();
  }
  co_await base::asio::this_coro::throw_if_cancelled(true);
}

}  // namespace nexus::api
