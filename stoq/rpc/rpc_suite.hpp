#pragma once

// What calls must do over every transport, as a typed test suite.

#include "rpc/head.hpp"
#include "rpc/reply_reader.hpp"
#include "rpc/testing/rpc_pair.hpp"

namespace stoq::testing {

using namespace std::chrono_literals;
using base::Errc;
using base::Result;
using base::Task;
using rpc::Call;
using v1::PingReply;
using v1::PingRequest;

inline constexpr rpc::Unary<PingRequest, PingReply> kWork{"test/Work"};
inline constexpr rpc::Unary<PingRequest, PingReply> kSmall{
    "test/Small", {.request_bytes_max = 100, .reply_bytes_max = 100}};
inline constexpr rpc::Unary<PingRequest, PingReply> kBulky{"test/Bulky", {.lane = rpc::Lane::Bulk}};
inline constexpr rpc::ServerStream<PingRequest, PingReply> kCount{"test/Count", {.timeout = 0s}};
inline constexpr rpc::ClientStream<PingRequest, PingReply> kSum{"test/Sum"};
inline constexpr rpc::TwoWay<PingRequest, PingReply> kEcho{"test/Echo"};

template <class M>
M with(std::string payload) {
  M made;
  made.set_payload(std::move(payload));
  return made;
}

// Says when the task that holds it is unwound or ends.
struct Farewell {
  explicit Farewell(base::Event& event, int& count) : event(event), count(count) {}
  ~Farewell() {
    ++count;
    event.notify();
  }
  base::Event& event;
  int& count;
};

template <class Fixture>
class RpcSuite : public ::testing::Test {
 protected:
  using Pair = RpcPair<Fixture>;
  using Add = std::function<void(rpc::Server&)>;

  void serve(const Add& add, std::function<Task<>(Pair&)> body, rpc::ServerOptions options = {},
             base::Metrics* metrics = nullptr) {
    run_to_end(context_, [&](base::Executor executor) -> Task<> {
      Pair pair(executor);
      co_await pair.start(add, options, metrics);
      co_await body(pair);
      EXPECT_LE(pair.server->calls_in_flight(), 1u);
      co_await pair.stop();
    });
  }
  static void diagnostics(rpc::Server& server) {
    static const base::SystemClock clock;
    handle_diagnostics(server, {.self = {}, .version = "1", .clock = &clock});
  }

 private:
  boost::asio::io_context context_;
};

TYPED_TEST_SUITE_P(RpcSuite);

TYPED_TEST_P(RpcSuite, AReplyBringsThePayloadBack) {
  this->serve(this->diagnostics, [](auto& pair) -> Task<> {
    for (const std::size_t size : {0u, 1u, 1000u, 60'000u}) {
      auto reply = co_await pair.client->call(kPing, with<PingRequest>(std::string(size, 'p')));
      EXPECT_TRUE(reply) << reply.error().describe();
      EXPECT_EQ(reply->payload(), std::string(size, 'p'));
    }
    const auto who = co_await pair.client->call(kIdentity, v1::IdentityRequest());
    EXPECT_EQ(base::to_hex(base::as_bytes(who->caller())),
              base::to_hex(pair.client_transport.self().bytes));
    EXPECT_EQ(who->alpn(), "stoq/1");
  });
}

TYPED_TEST_P(RpcSuite, AHandlersErrorArrivesWithItsHints) {
  this->serve(
      [](rpc::Server& server) {
        server.handle(kWork, [](Call&, const PingRequest&) -> Task<Result<PingReply>> {
          auto error = base::wrap(base::make_error(Errc::NotFound, "no key 7"), "reading");
          co_return std::unexpected(base::with_hint(std::move(error), "write it first"));
        });
      },
      [](auto& pair) -> Task<> {
        const auto reply = co_await pair.client->call(kWork, PingRequest());
        EXPECT_EQ(reply.error().code, Errc::NotFound);
        EXPECT_EQ(reply.error().message, "reading: no key 7");
        EXPECT_THAT(reply.error().hints, ::testing::ElementsAre("write it first"));
      });
}

TYPED_TEST_P(RpcSuite, ManyCallsAtOnceDoNotMixUp) {
  this->serve(this->diagnostics, [](auto& pair) -> Task<> {
    base::TaskScope scope(pair.executor);
    int right = 0;
    for (int i = 0; i < 200; ++i) {
      scope.spawn([](rpc::Client& client, int number, int& count) -> Task<> {
        const std::string text(static_cast<std::size_t>(1 + number * 37 % 3000),
                               static_cast<char>('a' + number % 26));
        const auto reply = co_await client.call(kPing, with<PingRequest>(text));
        if (reply && reply->payload() == text) ++count;
      }(*pair.client, i, right));
    }
    co_await scope.join();
    EXPECT_EQ(right, 200);
  });
}

TYPED_TEST_P(RpcSuite, StreamsGoEachWay) {
  this->serve(
      [](rpc::Server& server) {
        server.handle(kCount,
                      [](Call&, const PingRequest& request,
                         rpc::Writer<PingReply>& replies) -> Task<Result<>> {
                        for (std::size_t i = 0; i < request.payload().size(); ++i)
                          CO_TRY_DO(co_await replies.write(with<PingReply>(std::to_string(i))));
                        co_return Result<>();
                      });
        server.handle(kSum,
                      [](Call&, rpc::Reader<PingRequest>& requests) -> Task<Result<PingReply>> {
                        std::string all;
                        for (;;) {
                          CO_TRY(const auto request, co_await requests.read());
                          if (!request) break;
                          all += request->payload();
                        }
                        co_return with<PingReply>(all);
                      });
        server.handle(kEcho,
                      [](Call&, rpc::Reader<PingRequest>& requests,
                         rpc::Writer<PingReply>& replies) -> Task<Result<>> {
                        for (;;) {
                          CO_TRY(const auto request, co_await requests.read());
                          if (!request) break;
                          CO_TRY_DO(co_await replies.write(with<PingReply>(request->payload())));
                        }
                        co_return base::fail(Errc::Conflict, "enough");
                      });
      },
      [](auto& pair) -> Task<> {
        auto counted = co_await pair.client->open(kCount, with<PingRequest>("abc"));
        for (const std::string want : {"0", "1", "2"}) {
          EXPECT_EQ((*co_await counted->read())->payload(), want);
        }
        EXPECT_FALSE(*co_await counted->read());

        auto sum = co_await pair.client->open(kSum);
        for (const char* part : {"x", "yy", "z"})
          EXPECT_TRUE(co_await sum->write(with<PingRequest>(part)));
        const auto total = co_await sum->finish();
        EXPECT_TRUE(total) << total.error().describe();
        EXPECT_EQ(total->payload(), "xyyz");

        auto echo = co_await pair.client->open(kEcho);
        for (const std::string text : {"one", "two"}) {
          EXPECT_TRUE(co_await echo->write(with<PingRequest>(text)));
          EXPECT_EQ((*co_await echo->read())->payload(), text);
        }
        EXPECT_TRUE(co_await echo->end());
        EXPECT_EQ((co_await echo->read()).error().code, Errc::Conflict);
      });
}

TYPED_TEST_P(RpcSuite, ADeadlineTravelsAndCancelsTheHandler) {
  std::optional<base::Duration> seen;
  int farewells = 0;
  std::unique_ptr<base::Event> gone;
  this->serve(
      [&](rpc::Server& server) {
        server.handle(kWork, [&](Call& call, const PingRequest&) -> Task<Result<PingReply>> {
          const Farewell farewell(*gone, farewells);
          seen = call.context().deadline - base::SystemClock().now();
          co_await base::sleep_for(1h);
          co_return PingReply();
        });
      },
      [&](auto& pair) -> Task<> {
        gone = std::make_unique<base::Event>(pair.executor);
        const auto reply = co_await pair.client->call(kWork, PingRequest(), {.timeout = 50ms});
        EXPECT_EQ(reply.error().code, Errc::TimedOut);
        EXPECT_EQ(farewells == 0 ? co_await gone->wait_for(10s) : true, true);
        EXPECT_LE(*seen, 50ms);
        EXPECT_GT(*seen, 0ms);
        // A context's deadline holds where it is nearer, and one that is over is not even sent.
        rpc::CallOptions late;
        late.context.deadline = pair.clock.now() - 1ms;
        EXPECT_EQ((co_await pair.client->call(kWork, PingRequest(), late)).error().code,
                  Errc::TimedOut);
        EXPECT_EQ(farewells, 1);
      });
}

TYPED_TEST_P(RpcSuite, AHandlerThatCallsOnHandsOnTraceAndTheRestOfTheTime) {
  std::vector<rpc::Context> seen;
  rpc::Client* onward = nullptr;
  this->serve(
      [&](rpc::Server& server) {
        server.handle(kWork, [&](Call& call, const PingRequest&) -> Task<Result<PingReply>> {
          seen.push_back(call.context());
          CO_TRY(auto reply, co_await onward->call(kSmall, PingRequest(),
                                                   {.timeout = 1h, .context = call.context()}));
          co_return reply;
        });
        server.handle(kSmall, [&](Call& call, const PingRequest&) -> Task<Result<PingReply>> {
          seen.push_back(call.context());
          co_return PingReply();
        });
      },
      [&](auto& pair) -> Task<> {
        onward = pair.client.get();
        EXPECT_TRUE(co_await pair.client->call(kWork, PingRequest(), {.timeout = 10s}));
        EXPECT_EQ(seen.size(), 2u);
        EXPECT_EQ(seen[0].trace.id, seen[1].trace.id);
        EXPECT_NE(seen[0].trace.id, (std::array<std::uint8_t, 16>()));
        EXPECT_NE(seen[0].trace.span, seen[1].trace.span);
        EXPECT_LE(seen[1].deadline - pair.clock.now(), 10s);
      });
}

TYPED_TEST_P(RpcSuite, ACallerThatGivesUpCancelsTheHandler) {
  int begun = 0, farewells = 0;
  std::unique_ptr<base::Event> changed;
  this->serve(
      [&](rpc::Server& server) {
        server.handle(kWork, [&](Call&, const PingRequest&) -> Task<Result<PingReply>> {
          ++begun;
          const Farewell farewell(*changed, farewells);
          changed->notify();
          co_await base::sleep_for(1h);
          co_return PingReply();
        });
      },
      [&](auto& pair) -> Task<> {
        changed = std::make_unique<base::Event>(pair.executor);
        base::TaskScope scope(pair.executor);
        scope.spawn([](rpc::Client& client) -> Task<> {
          (void)co_await client.call(kWork, PingRequest());
          ADD_FAILURE() << "the call was cancelled";
        }(*pair.client));
        while (begun == 0) co_await changed->wait();
        scope.cancel();
        co_await scope.join();
        while (farewells == 0) co_await changed->wait();
        EXPECT_EQ(begun, 1);
      });
}

TYPED_TEST_P(RpcSuite, WhatAHandlerThrowsIsToldAndEndsNothingElse) {
  this->serve(
      [](rpc::Server& server) {
        server.handle(kWork, [](Call&, const PingRequest& request) -> Task<Result<PingReply>> {
          if (request.payload() == "bad") throw std::runtime_error("lost my keys");
          co_return with<PingReply>("fine");
        });
      },
      [](auto& pair) -> Task<> {
        const auto bad = co_await pair.client->call(kWork, with<PingRequest>("bad"));
        EXPECT_EQ(bad.error().code, Errc::Internal);
        EXPECT_EQ(bad.error().message, "test/Work: the handler failed: lost my keys");
        EXPECT_EQ((co_await pair.client->call(kWork, PingRequest()))->payload(), "fine");
      });
}

TYPED_TEST_P(RpcSuite, WhatNobodyServesIsRefusedWithTheReason) {
  this->serve(
      [](rpc::Server& server) {
        RpcSuite<TypeParam>::diagnostics(server);
        const auto work = [](Call&, const PingRequest&) -> Task<Result<PingReply>> {
          co_return PingReply();
        };
        server.handle(kWork, work);
        server.handle(kBulky, work);
      },
      [](auto& pair) -> Task<> {
        static constexpr rpc::Unary<PingRequest, PingReply> kUnknown{"test/Wrok"};
        const auto unknown = co_await pair.client->call(kUnknown, PingRequest());
        EXPECT_EQ(unknown.error().code, Errc::Unsupported);
        EXPECT_EQ(unknown.error().message, "this node has no method test/Wrok");
        EXPECT_THAT(unknown.error().hints, ::testing::ElementsAre("did you mean test/Work?"));

        static constexpr rpc::ClientStream<PingRequest, PingReply> kOtherKind{"test/Work"};
        auto kind = co_await pair.client->open(kOtherKind);
        const auto refused = co_await kind->finish();
        EXPECT_EQ(refused.error().code, Errc::InvalidArgument);
        EXPECT_THAT(refused.error().message, ::testing::HasSubstr("one request and one reply"));

        const auto lane = co_await pair.client->call(kBulky, PingRequest());
        EXPECT_EQ(lane.error().code, Errc::InvalidArgument);
        EXPECT_THAT(lane.error().message, ::testing::HasSubstr("bulk"));
        EXPECT_TRUE(co_await pair.bulk_client->call(kBulky, PingRequest()));
      });
}

TYPED_TEST_P(RpcSuite, MessagesBeyondTheirLimitAreRefusedOnBothSides) {
  this->serve(
      [](rpc::Server& server) {
        server.handle(kSmall, [](Call&, const PingRequest&) -> Task<Result<PingReply>> {
          co_return with<PingReply>(std::string(200, 'r'));
        });
        server.handle(kWork, [](Call&, const PingRequest&) -> Task<Result<PingReply>> {
          co_return with<PingReply>(std::string(200, 'r'));
        });
      },
      [](auto& pair) -> Task<> {
        const auto own =
            co_await pair.client->call(kSmall, with<PingRequest>(std::string(99, 'q')));
        EXPECT_EQ(own.error().code, Errc::ResourceExhausted);
        EXPECT_EQ(own.error().message, "test/Small: a message of 101 bytes; at most 100 travel");
        // A client that does not keep to it.
        static constexpr rpc::Unary<PingRequest, PingReply> kLoose{"test/Small"};
        const auto theirs =
            co_await pair.client->call(kLoose, with<PingRequest>(std::string(99, 'q')));
        EXPECT_EQ(theirs.error().message, "a message of 101 bytes; at most 100 are taken");
        // A handler that does not.
        const auto reply = co_await pair.client->call(kSmall, PingRequest());
        EXPECT_EQ(reply.error().code, Errc::ResourceExhausted);
        // A server that does not.
        static constexpr rpc::Unary<PingRequest, PingReply> kTight{"test/Work",
                                                                   {.reply_bytes_max = 100}};
        const auto large = co_await pair.client->call(kTight, PingRequest());
        EXPECT_EQ(large.error().code, Errc::ResourceExhausted);
      });
}

TYPED_TEST_P(RpcSuite, BeyondTheCallsInFlightAServerRefuses) {
  std::unique_ptr<base::Event> open, entered;
  int inside = 0;
  bool let_go = false;
  this->serve(
      [&](rpc::Server& server) {
        server.handle(kWork, [&](Call&, const PingRequest&) -> Task<Result<PingReply>> {
          ++inside;
          entered->notify();
          while (!let_go) co_await open->wait();
          co_return PingReply();
        });
      },
      [&](auto& pair) -> Task<> {
        open = std::make_unique<base::Event>(pair.executor);
        entered = std::make_unique<base::Event>(pair.executor);
        base::TaskScope scope(pair.executor);
        int answered = 0;
        for (int i = 0; i < 2; ++i) {
          scope.spawn([](rpc::Client& client, int& count) -> Task<> {
            if (co_await client.call(kWork, PingRequest())) ++count;
          }(*pair.client, answered));
        }
        while (inside < 2) co_await entered->wait();
        const auto third = co_await pair.client->call(kWork, PingRequest());
        EXPECT_EQ(third.error().code, Errc::ResourceExhausted);
        EXPECT_THAT(third.error().message, ::testing::HasSubstr("limit of 2 calls in flight"));
        let_go = true;
        open->notify();
        co_await scope.join();
        EXPECT_EQ(answered, 2);
      },
      {.calls_per_connection_max = 2});
}

// Raw bytes in the place of a call: each gets an answer that names what is wrong.
TYPED_TEST_P(RpcSuite, BrokenFramesAreAnsweredWithTheReason) {
  this->serve(this->diagnostics, [](auto& pair) -> Task<> {
    base::Bytes head;
    rpc::append_head(head, {rpc::Kind::Unary, kPing.name, std::nullopt, {}});
    base::Bytes cut = head, oversized = head, second_head = head;
    cut.insert(cut.end(), {2, 10, 'x'});
    oversized.insert(oversized.end(), {2, 0xbf, 0xff, 0xff, 0xff});
    second_head.insert(second_head.end(), head.begin(), head.end());
    const std::vector<std::pair<base::Bytes, std::string>> cases = {
        {{9, 0}, "no frame of type 9"},
        {{1, 0x7f, 0xff}, "a head of 16383 bytes; at most 1024"},
        {{2, 0}, "a message of 0 bytes"},
        {{1, 1, 0}, "offset"},
        {head, "ended without a request"},
        {base::Bytes(head.begin(), head.end() - 3), "middle of a frame"},
        {cut, "middle of a frame"},
        {oversized, "a message of 1073741823 bytes; at most 65536"},
        {second_head, "something else than messages"},
    };
    for (const auto& [bytes, reason] : cases) {
      auto stream = co_await pair.control->open_stream();
      EXPECT_TRUE(co_await (*stream)->write(bytes));
      (*stream)->close_write();
      rpc::ReplyReader replies(1000);
      const auto answer = co_await replies.next(**stream);
      EXPECT_FALSE(answer) << reason;
      if (answer) continue;
      EXPECT_TRUE(replies.done()) << reason << ": " << answer.error().describe();
      if (reason != "a message of 0 bytes" && reason != "offset") {
        EXPECT_THAT(answer.error().message, ::testing::HasSubstr(reason));
      }
    }
    // The connection is well.
    EXPECT_TRUE(co_await pair.client->call(kPing, with<PingRequest>("x")));
  });
}

TYPED_TEST_P(RpcSuite, APeerThatNeverReadsIsGivenUp) {
  int farewells = 0;
  std::unique_ptr<base::Event> gone;
  this->serve(
      [&](rpc::Server& server) {
        server.handle(
            kCount,
            [&](Call&, const PingRequest&, rpc::Writer<PingReply>& replies) -> Task<Result<>> {
              const Farewell farewell(*gone, farewells);
              for (;;)
                CO_TRY_DO(co_await replies.write(with<PingReply>(std::string(100'000, 'x'))));
            });
      },
      [&](auto& pair) -> Task<> {
        gone = std::make_unique<base::Event>(pair.executor);
        auto counted = co_await pair.client->open(kCount, PingRequest());
        EXPECT_TRUE(counted);
        while (farewells == 0) co_await gone->wait();
        Result<std::optional<PingReply>> reply;
        do {
          reply = co_await counted->read();
        } while (reply && *reply);
        EXPECT_FALSE(reply);
      },
      {.stall_time_max = 50ms});
}

TYPED_TEST_P(RpcSuite, ACallerThatNeverSaysWhatItWantsIsGivenUp) {
  this->serve(this->diagnostics,
              [](auto& pair) -> Task<> {
                auto stream = co_await pair.control->open_stream();
                EXPECT_TRUE(co_await (*stream)->write(base::Bytes{1, 50}));
                rpc::ReplyReader replies(1000);
                const auto answer = co_await replies.next(**stream);
                EXPECT_EQ(answer.error().code, Errc::TimedOut);
                EXPECT_THAT(answer.error().message, ::testing::HasSubstr("no whole request"));
              },
              {.request_time_max = 30ms});
}

TYPED_TEST_P(RpcSuite, StoppingLetsCallsEndAndRefusesNewOnes) {
  std::unique_ptr<base::Event> entered, open;
  bool inside = false, let_go = false;
  this->serve(
      [&](rpc::Server& server) {
        server.handle(kWork, [&](Call&, const PingRequest&) -> Task<Result<PingReply>> {
          inside = true;
          entered->notify();
          while (!let_go) co_await open->wait();
          co_return with<PingReply>("done");
        });
      },
      [&](auto& pair) -> Task<> {
        entered = std::make_unique<base::Event>(pair.executor);
        open = std::make_unique<base::Event>(pair.executor);
        base::TaskScope scope(pair.executor);
        std::string answer;
        scope.spawn([](rpc::Client& client, std::string& text) -> Task<> {
          const auto reply = co_await client.call(kWork, PingRequest());
          if (reply) text = reply->payload();
        }(*pair.client, answer));
        while (!inside) co_await entered->wait();
        bool stopped = false;
        scope.spawn([](rpc::Server& server, bool& done) -> Task<> {
          co_await server.stop(10s);
          done = true;
        }(*pair.server, stopped));
        co_await base::sleep_for(1ms);
        const auto refused = co_await pair.client->call(kWork, PingRequest());
        EXPECT_EQ(refused.error().code, Errc::Unavailable);
        EXPECT_EQ(refused.error().message, "the node is stopping");
        EXPECT_FALSE(stopped);
        let_go = true;
        open->notify();
        co_await scope.join();
        EXPECT_EQ(answer, "done");
        EXPECT_TRUE(stopped);
        EXPECT_EQ(co_await pair.control->closed(), "the node is stopping");
      });
}

TYPED_TEST_P(RpcSuite, CallsAreCounted) {
  const auto metrics = base::make_prometheus_metrics();
  this->serve(
      this->diagnostics,
      [&](auto& pair) -> Task<> {
        (void)co_await pair.client->call(kPing, PingRequest());
        (void)co_await pair.client->call(kPing, PingRequest());
        static constexpr rpc::Unary<PingRequest, PingReply> kUnknown{"test/None"};
        (void)co_await pair.client->call(kUnknown, PingRequest());
        const std::string text = metrics->expose();
        for (const std::string side : {"client", "server"}) {
          EXPECT_THAT(text, ::testing::HasSubstr(
                                R"(stoq_rpc_calls_total{method="stoq.v1.Diagnostics/Ping",side=")" +
                                side + R"(",status="OK"} 2)"));
        }
        EXPECT_THAT(text, ::testing::HasSubstr(R"(status="Unsupported"} 1)"));
      },
      {}, metrics.get());
}

TYPED_TEST_P(RpcSuite, ATransferMovesWhatWasAskedFor) {
  this->serve(this->diagnostics, [](auto& pair) -> Task<> {
    auto transfer = co_await pair.bulk_client->open(kTransfer);
    v1::TransferRequest request;
    request.set_want_bytes(3'000'001);
    EXPECT_TRUE(co_await transfer->write(request));
    request.clear_want_bytes();
    request.set_data(std::string(50'000, 'd'));
    for (int i = 0; i < 20; ++i) {
      EXPECT_TRUE(co_await transfer->write(request));
    }
    EXPECT_TRUE(co_await transfer->end());
    std::uint64_t got = 0, told = 0;
    for (;;) {
      const auto reply = co_await transfer->read();
      EXPECT_TRUE(reply);
      if (!reply || !*reply) break;
      got += (*reply)->data().size();
      told = (*reply)->received_bytes();
    }
    EXPECT_EQ(got, 3'000'001u);
    EXPECT_EQ(told, 1'000'000u);
    auto greedy = co_await pair.bulk_client->open(kTransfer);
    request.set_want_bytes(std::uint64_t{1} << 60);
    EXPECT_TRUE(co_await greedy->write(request));
    EXPECT_EQ((co_await greedy->read()).error().code, Errc::InvalidArgument);
  });
}

REGISTER_TYPED_TEST_SUITE_P(
    RpcSuite, AReplyBringsThePayloadBack, AHandlersErrorArrivesWithItsHints,
    ManyCallsAtOnceDoNotMixUp, StreamsGoEachWay, ADeadlineTravelsAndCancelsTheHandler,
    AHandlerThatCallsOnHandsOnTraceAndTheRestOfTheTime, ACallerThatGivesUpCancelsTheHandler,
    WhatAHandlerThrowsIsToldAndEndsNothingElse, WhatNobodyServesIsRefusedWithTheReason,
    MessagesBeyondTheirLimitAreRefusedOnBothSides, BeyondTheCallsInFlightAServerRefuses,
    BrokenFramesAreAnsweredWithTheReason, APeerThatNeverReadsIsGivenUp,
    ACallerThatNeverSaysWhatItWantsIsGivenUp, StoppingLetsCallsEndAndRefusesNewOnes,
    CallsAreCounted, ATransferMovesWhatWasAskedFor);

}  // namespace stoq::testing
