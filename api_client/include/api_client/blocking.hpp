#pragma once

#include <api_client/client.hpp>
#include <boost/asio/io_context.hpp>

namespace api_client {

/// Runs tasks one after the other on the calling thread: for programs that wait for each answer.
///
///   Blocking blocking;
///   Client client(blocking.executor(), config);
///   auto pods = blocking.run(client.get("/api/v1/pods"));
class Blocking {
 public:
  base::Executor executor() { return context_.get_executor(); }

  /// Runs `task` to its end; other tasks of the executor go on meanwhile.
  template <class T>
  T run(base::Task<T> task) {
    std::optional<T> result;
    std::exception_ptr thrown;
    base::asio::co_spawn(context_, std::move(task), [&](std::exception_ptr error, T value) {
      thrown = error;
      result.emplace(std::move(value));
      context_.stop();
    });
    context_.restart();
    context_.run();
    if (thrown) std::rethrow_exception(thrown);
    return *std::move(result);
  }

 private:
  base::asio::io_context context_;
};

}  // namespace api_client
