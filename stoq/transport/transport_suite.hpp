#pragma once

// What every Transport must do, as a typed test suite: MemoryTransport passes it, and so must any
// other. A fixture gives `make(executor, index)` -> Transport&, `endpoint(index)`, and `stop()`,
// which lets the transports go.

#include <gtest/gtest.h>

#include <base/async/task_scope.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <stoq/transport.hpp>

namespace stoq::testing {

using namespace std::chrono_literals;

template <class Fixture>
class TransportSuite : public ::testing::Test {
 protected:
  // Runs `body(server connection, client connection)` with a connected pair.
  void connected(std::function<base::Task<>(Connection&, Connection&)> body) {
    run([&](base::Executor executor) -> base::Task<> {
      Transport& server = fixture_.make(executor, 0);
      Transport& client = fixture_.make(executor, 1);
      auto listener = server.listen(fixture_.endpoint(0), {});
      EXPECT_TRUE(listener);
      auto near = co_await client.connect(fixture_.endpoint(0), server.self());
      EXPECT_TRUE(near) << near.error().describe();
      auto far = co_await (*listener)->accept();
      EXPECT_EQ((*far)->peer(), client.self());
      EXPECT_EQ((*near)->peer(), server.self());
      co_await body(**far, **near);
    });
  }

  void run(std::function<base::Task<>(base::Executor)> body) {
    boost::asio::io_context context;
    bool done = false;
    boost::asio::co_spawn(
        context,
        [&]() -> base::Task<> {
          co_await body(context.get_executor());
          fixture_.stop();
          done = true;
        },
        [](std::exception_ptr thrown) {
          if (thrown) std::rethrow_exception(thrown);
        });
    context.run();
    EXPECT_TRUE(done);
  }

  Fixture fixture_;
};

TYPED_TEST_SUITE_P(TransportSuite);

TYPED_TEST_P(TransportSuite, BytesArriveInOrderAndTheEndIsSeen) {
  this->connected([](Connection& server, Connection& client) -> base::Task<> {
    auto out = co_await client.open_stream();
    EXPECT_TRUE(co_await (*out)->write(base::as_bytes("hello ")));
    EXPECT_TRUE(co_await (*out)->write(base::as_bytes("world")));
    (*out)->close_write();
    auto in = co_await server.accept_stream();
    std::string text;
    for (;;) {
      auto bytes = co_await (*in)->read();
      EXPECT_TRUE(bytes);
      if (bytes->empty()) break;
      text += base::as_text(*bytes);
    }
    EXPECT_EQ(text, "hello world");
    EXPECT_TRUE(co_await (*in)->write(base::as_bytes("back")));
    EXPECT_EQ(base::as_text(*co_await (*out)->read()), "back");
  });
}

TYPED_TEST_P(TransportSuite, AWriterWaitsForASlowReader) {
  this->connected([](Connection& server, Connection& client) -> base::Task<> {
    auto out = co_await client.open_stream();
    auto executor = co_await boost::asio::this_coro::executor;
    base::TaskScope scope(executor);
    const base::Bytes large(8u << 20, 7);
    bool written = false;
    scope.spawn([](Stream& stream, const base::Bytes& bytes, bool& done) -> base::Task<> {
      EXPECT_TRUE(co_await stream.write(bytes));
      stream.close_write();
      done = true;
    }(**out, large, written));
    auto in = co_await server.accept_stream();
    std::size_t total = 0;
    EXPECT_FALSE(written);
    for (;;) {
      auto bytes = co_await (*in)->read();
      EXPECT_TRUE(bytes);
      if (bytes->empty()) break;
      total += bytes->size();
    }
    EXPECT_EQ(total, large.size());
    co_await scope.join();
  });
}

TYPED_TEST_P(TransportSuite, SharedBlocksKeepTheirPlaceAmongCopiedBytes) {
  this->connected([](Connection& server, Connection& client) -> base::Task<> {
    auto out = co_await client.open_stream();
    const auto block = std::make_shared<const base::Bytes>(1u << 20, 'b');
    auto executor = co_await boost::asio::this_coro::executor;
    base::TaskScope scope(executor);
    scope.spawn([](Stream& stream, std::shared_ptr<const base::Bytes> shared) -> base::Task<> {
      EXPECT_TRUE(co_await stream.write(base::as_bytes("a")));
      EXPECT_TRUE(co_await stream.write_shared(shared));
      EXPECT_TRUE(co_await stream.write_shared(shared));
      EXPECT_TRUE(co_await stream.write(base::as_bytes("c")));
      stream.close_write();
      EXPECT_EQ((co_await stream.write_shared(shared)).error().code,
                base::Errc::FailedPrecondition);
    }(**out, block));
    auto in = co_await server.accept_stream();
    std::string text;
    for (;;) {
      auto bytes = co_await (*in)->read();
      EXPECT_TRUE(bytes);
      if (bytes->empty()) break;
      text += base::as_text(*bytes);
    }
    EXPECT_TRUE(text == "a" + std::string(2u << 20, 'b') + "c");
    co_await scope.join();
  });
}

TYPED_TEST_P(TransportSuite, ClosingGivesItsReasonAndEndsStreams) {
  this->connected([](Connection& server, Connection& client) -> base::Task<> {
    auto stream = co_await client.open_stream();
    EXPECT_EQ(client.close_code(), 0u);
    server.close("maintenance", 7);
    EXPECT_EQ(co_await client.closed(), "maintenance");
    EXPECT_EQ(client.close_code(), 7u);
    EXPECT_EQ(client.stats().streams, 0u);
    EXPECT_EQ((co_await (*stream)->read()).error().code, base::Errc::Unavailable);
    EXPECT_EQ((co_await client.open_stream()).error().code, base::Errc::Unavailable);
  });
}

TYPED_TEST_P(TransportSuite, AResetStreamFailsOnBothSidesAndLeavesTheOthers) {
  this->connected([](Connection& server, Connection& client) -> base::Task<> {
    auto one = co_await client.open_stream();
    auto two = co_await client.open_stream();
    EXPECT_TRUE(co_await (*one)->write(base::as_bytes("1")));
    EXPECT_TRUE(co_await (*two)->write(base::as_bytes("2")));
    auto far_one = co_await server.accept_stream();
    auto far_two = co_await server.accept_stream();
    EXPECT_EQ(base::as_text(*co_await (*far_one)->read()), "1");
    EXPECT_EQ(base::as_text(*co_await (*far_two)->read()), "2");
    (*one)->reset(9);
    EXPECT_FALSE(co_await (*far_one)->read());
    EXPECT_TRUE(co_await (*two)->write(base::as_bytes("x")));
    EXPECT_EQ(base::as_text(*co_await (*far_two)->read()), "x");
  });
}

TYPED_TEST_P(TransportSuite, DatagramsTravelWhole) {
  this->connected([](Connection& server, Connection& client) -> base::Task<> {
    EXPECT_TRUE(client.send_datagram(base::as_bytes("ping")));
    EXPECT_EQ(base::as_text(*co_await server.receive_datagram()), "ping");
    const base::Bytes large(client.datagram_bytes_max() + 1);
    EXPECT_EQ(client.send_datagram(large).error().code, base::Errc::InvalidArgument);
  });
}

TYPED_TEST_P(TransportSuite, RefusalsNameTheReason) {
  this->run([this](base::Executor executor) -> base::Task<> {
    Transport& server = this->fixture_.make(executor, 0);
    Transport& client = this->fixture_.make(executor, 1);
    auto nobody =
        co_await client.connect(this->fixture_.endpoint(0), server.self(), {.timeout = 100ms});
    EXPECT_FALSE(nobody);
    auto listener = server.listen(this->fixture_.endpoint(0), {});
    EXPECT_EQ(server.listen(this->fixture_.endpoint(0), {}).error().code,
              base::Errc::FailedPrecondition);
    auto impostor = co_await client.connect(this->fixture_.endpoint(0), client.self());
    EXPECT_EQ(impostor.error().code, base::Errc::NotVerified);
    auto stranger =
        co_await client.connect(this->fixture_.endpoint(0), server.self(), {.alpn = "other/9"});
    EXPECT_EQ(stranger.error().code, base::Errc::InvalidArgument);
  });
}

// A listener of several protocols serves each client by the one it asked for.
TYPED_TEST_P(TransportSuite, OneListenerSpeaksSeveralProtocols) {
  this->run([this](base::Executor executor) -> base::Task<> {
    Transport& server = this->fixture_.make(executor, 0);
    Transport& client = this->fixture_.make(executor, 1);
    auto listener = server.listen(this->fixture_.endpoint(0), {.alpn = {"one/1", "two/1"}});
    for (const std::string alpn : {"two/1", "one/1"}) {
      auto near =
          co_await client.connect(this->fixture_.endpoint(0), server.self(), {.alpn = alpn});
      EXPECT_TRUE(near);
      auto far = co_await (*listener)->accept();
      EXPECT_EQ((*near)->alpn(), alpn);
      EXPECT_EQ((*far)->alpn(), alpn);
    }
    auto neither =
        co_await client.connect(this->fixture_.endpoint(0), server.self(), {.alpn = "three/1"});
    EXPECT_EQ(neither.error().code, base::Errc::InvalidArgument);
  });
}

TYPED_TEST_P(TransportSuite, WhoWorksForAStreamHearsThatNobodyWaits) {
  this->connected([](Connection& server, Connection& client) -> base::Task<> {
    base::Event heard(co_await boost::asio::this_coro::executor);
    auto out = co_await client.open_stream();
    EXPECT_TRUE(co_await (*out)->write(base::as_bytes("work")));
    (*out)->close_write();
    auto in = co_await server.accept_stream();
    EXPECT_EQ(base::as_text(*co_await (*in)->read()), "work");
    int calls = 0;
    (*in)->when_abandoned([&] {
      ++calls;
      heard.notify();
    });
    (*out)->reset(1);
    EXPECT_TRUE(co_await heard.wait_for(10s));
    EXPECT_EQ(calls, 1);
    auto second = co_await client.open_stream();
    EXPECT_TRUE(co_await (*second)->write(base::as_bytes("work")));
    auto in_second = co_await server.accept_stream();
    (*in_second)->when_abandoned([&] { heard.notify(); });
    client.close("enough");
    EXPECT_TRUE(co_await heard.wait_for(10s));
  });
}

TYPED_TEST_P(TransportSuite, WhatWasWrittenBeforeLettingGoArrives) {
  this->connected([](Connection& server, Connection& client) -> base::Task<> {
    auto out = co_await client.open_stream();
    EXPECT_TRUE(co_await (*out)->write(base::as_bytes("ask")));
    {
      auto in = co_await server.accept_stream();
      EXPECT_TRUE(co_await (*in)->read());
      EXPECT_TRUE(co_await (*in)->write(base::as_bytes("no")));
    }
    EXPECT_EQ(base::as_text(*co_await (*out)->read()), "no");
    EXPECT_TRUE((co_await (*out)->read())->empty());
    const base::Bytes more(100'000, 1);
    base::Result<> written;
    while (written) written = co_await (*out)->write(more);
    EXPECT_EQ(written.error().code, base::Errc::Cancelled);
  });
}

REGISTER_TYPED_TEST_SUITE_P(TransportSuite, BytesArriveInOrderAndTheEndIsSeen,
                            AWriterWaitsForASlowReader, SharedBlocksKeepTheirPlaceAmongCopiedBytes,
                            ClosingGivesItsReasonAndEndsStreams,
                            AResetStreamFailsOnBothSidesAndLeavesTheOthers, DatagramsTravelWhole,
                            RefusalsNameTheReason, OneListenerSpeaksSeveralProtocols,
                            WhoWorksForAStreamHearsThatNobodyWaits,
                            WhatWasWrittenBeforeLettingGoArrives);

}  // namespace stoq::testing
