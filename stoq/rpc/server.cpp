#include <base/async/task_scope.hpp>
#include <boost/asio/post.hpp>
#include <mutex>
#include <set>
#include <stoq/rpc_server.hpp>

#include "rpc/served_connection.hpp"

namespace stoq::rpc {

namespace asio = boost::asio;

struct Server::State : std::enable_shared_from_this<Server::State> {
  State(Parts parts, ServerOptions options)
      : executor(parts.executor),
        serving(std::make_shared<Serving>()),
        accepting(executor),
        gone(executor) {
    serving->clock = parts.clock;
    serving->metrics = parts.metrics;
    serving->log = std::move(parts.log);
    serving->options = options;
  }

  void serve(std::shared_ptr<Connection> connection);
  base::Task<> accept_from(std::unique_ptr<Listener> listener, Accepted accepted);
  // Takes no more connections. Gives those that are there.
  base::Task<std::set<std::shared_ptr<ServedConnection>>> close_doors();
  // Runs `task` where the connection lives, and `then` there when it is over.
  static void run_at(const std::shared_ptr<ServedConnection>& served, base::Task<> task,
                     std::function<void()> then);

  base::Executor executor;
  std::shared_ptr<Serving> serving;
  base::TaskScope accepting;
  base::Event gone;  // A connection was taken from the set.
  std::mutex mutex;  // Guards what follows: connections live on several threads.
  std::set<std::shared_ptr<ServedConnection>> connections;
};

Server::Server(Parts parts, ServerOptions options)
    : state_(std::make_shared<State>(std::move(parts), options)) {}

Server::~Server() {
  const std::lock_guard lock(state_->mutex);
  BASE_ASSERT(state_->connections.empty() && state_->accepting.size() == 0,
              "a server was destroyed before it was stopped");
}

void Server::add(const Method& method, std::unique_ptr<Handler> handler) {
  state_->serving->methods.add(method, std::move(handler));
}

void Server::State::run_at(const std::shared_ptr<ServedConnection>& served, base::Task<> task,
                           std::function<void()> then) {
  asio::co_spawn(served->executor(), std::move(task),
                 [served, then = std::move(then)](std::exception_ptr thrown) {
                   BASE_ASSERT(!thrown, "nobody cancels what serves a connection");
                   then();
                 });
}

void Server::State::serve(std::shared_ptr<Connection> connection) {
  auto served = std::make_shared<ServedConnection>(serving, std::move(connection));
  {
    const std::lock_guard lock(mutex);
    connections.insert(served);
  }
  run_at(served, served->run(), [self = shared_from_this(), served] {
    {
      const std::lock_guard lock(self->mutex);
      self->connections.erase(served);
    }
    asio::post(self->executor, [self] { self->gone.notify(); });
  });
}

base::Task<> Server::State::accept_from(std::unique_ptr<Listener> listener, Accepted accepted) {
  for (;;) {
    auto connection = co_await listener->accept();
    if (!connection) co_return;
    serve(*connection);
    if (accepted) accepted(*connection);
  }
}

base::Task<std::set<std::shared_ptr<ServedConnection>>> Server::State::close_doors() {
  serving->stopping = true;
  accepting.cancel();
  co_await accepting.join();
  const std::lock_guard lock(mutex);
  co_return connections;
}

void Server::serve(std::unique_ptr<Listener> listener, Accepted accepted) {
  state_->accepting.spawn(state_->accept_from(std::move(listener), std::move(accepted)));
}

void Server::serve(std::shared_ptr<Connection> connection) {
  state_->serve(std::move(connection));
}

base::Task<> Server::drain(base::Duration grace) {
  const auto state = state_;
  auto open = co_await state->close_doors();
  const auto until = state->serving->clock->now() + grace;
  const auto left = std::make_shared<std::size_t>(open.size());  // Counted on our executor.
  for (const auto& served : open) {
    State::run_at(served, served->drain(until), [state, left] {
      asio::post(state->executor, [state, left] {
        --*left;
        state->gone.notify();
      });
    });
  }
  open.clear();
  while (*left > 0) co_await state->gone.wait();
}

base::Task<> Server::stop(base::Duration grace) {
  const auto state = state_;
  auto open = co_await state->close_doors();
  const auto until = state->serving->clock->now() + grace;
  for (const auto& served : open) State::run_at(served, served->stop(until), [] {});
  open.clear();
  for (;;) {
    {
      const std::lock_guard lock(state->mutex);
      if (state->connections.empty()) co_return;
    }
    co_await state->gone.wait();
  }
}

std::size_t Server::calls_in_flight() const {
  return state_->serving->calls;
}

}  // namespace stoq::rpc
