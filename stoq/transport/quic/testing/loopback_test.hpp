#pragma once

#include <gtest/gtest.h>

#include <base/async/task_scope.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include "transport/quic/testing/loopback_node.hpp"

namespace stoq::testing {

/// Two nodes of one process that speak over loopback.
class LoopbackTest : public ::testing::Test {
 public:
  void run(base::Task<> body) {
    bool done = false;
    boost::asio::co_spawn(context_, std::move(body), [&](std::exception_ptr thrown) {
      if (thrown) std::rethrow_exception(thrown);
      server_.transport.reset();
      client_.transport.reset();
      done = true;
    });
    context_.run();
    EXPECT_TRUE(done);
  }
  base::Executor executor() { return context_.get_executor(); }

  // Answers every stream with what it brought.
  static base::Task<> echo(std::shared_ptr<Connection> connection) {
    for (;;) {
      auto stream = co_await connection->accept_stream();
      if (!stream) co_return;
      for (;;) {
        const auto bytes = co_await (*stream)->read();
        if (!bytes || bytes->empty()) break;
        if (!co_await (*stream)->write(*bytes)) break;
      }
      (*stream)->close_write();
    }
  }
  static base::Task<> serve(Listener& listener, int& accepted) {
    base::TaskScope scope(co_await boost::asio::this_coro::executor);
    for (;;) {
      auto connection = co_await listener.accept();
      if (!connection) break;
      ++accepted;
      scope.spawn(echo(*std::move(connection)));
    }
    scope.cancel();
    co_await scope.join();
  }

  // The same, each connection on its own core.
  static base::Task<> serve_on_cores(Listener& listener) {
    for (;;) {
      auto connection = co_await listener.accept();
      if (!connection) co_return;
      const auto executor = (*connection)->executor();
      boost::asio::co_spawn(executor, echo(*std::move(connection)), boost::asio::detached);
    }
  }

  static base::Task<base::Result<std::string>> ask(Connection& connection, std::string text,
                                                   StreamOptions options = {}) {
    CO_TRY(const auto stream, co_await connection.open_stream(options));
    CO_TRY_DO(co_await stream->write(base::as_bytes(text)));
    stream->close_write();
    std::string answer;
    for (;;) {
      CO_TRY(const auto bytes, co_await stream->read());
      if (bytes.empty()) co_return answer;
      answer += base::as_text(bytes);
    }
  }

  base::SystemRng rng_;
  base::SystemClock clock_;
  boost::asio::io_context context_;
  LoopbackNode server_{rng_, clock_}, client_{rng_, clock_};
};

}  // namespace stoq::testing
