#pragma once

// What calls must do over every transport, as a typed test suite.

#include "rpc/testing/rpc_fixture.hpp"

namespace stoq::testing {

template <class Fixture>
class RpcSuite : public RpcFixture<Fixture> {};
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
  Tally farewells(this->executor());
  this->serve(
      [&](rpc::Server& server) {
        server.handle(kWork, [&](Call& call, const PingRequest&) -> Task<Result<PingReply>> {
          const Farewell farewell(farewells);
          seen = call.context().deadline - base::SystemClock().now();
          co_await base::sleep_for(1h);
          co_return PingReply();
        });
      },
      [&](auto& pair) -> Task<> {
        const auto reply = co_await pair.client->call(kWork, PingRequest(), {.timeout = 50ms});
        EXPECT_EQ(reply.error().code, Errc::TimedOut);
        co_await farewells.reaches(1);
        EXPECT_LE(*seen, 50ms);
        EXPECT_GT(*seen, 0ms);
        // A context's deadline holds where it is nearer, and one that is over is not even sent.
        rpc::CallOptions late;
        late.context.deadline = pair.clock.now() - 1ms;
        EXPECT_EQ((co_await pair.client->call(kWork, PingRequest(), late)).error().code,
                  Errc::TimedOut);
        EXPECT_EQ(farewells.count(), 1);
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
  Tally begun(this->executor()), farewells(this->executor());
  this->serve(
      [&](rpc::Server& server) {
        server.handle(kWork, [&](Call&, const PingRequest&) -> Task<Result<PingReply>> {
          begun.add();
          const Farewell farewell(farewells);
          co_await base::sleep_for(1h);
          co_return PingReply();
        });
      },
      [&](auto& pair) -> Task<> {
        base::TaskScope scope(pair.executor);
        scope.spawn([](rpc::Client& client) -> Task<> {
          (void)co_await client.call(kWork, PingRequest());
          ADD_FAILURE() << "the call was cancelled";
        }(*pair.client));
        co_await begun.reaches(1);
        scope.cancel();
        co_await scope.join();
        co_await farewells.reaches(1);
        EXPECT_EQ(begun.count(), 1);
      });
}

TYPED_TEST_P(RpcSuite, StoppingLetsCallsEndAndRefusesNewOnes) {
  Tally entered(this->executor()), let_go(this->executor());
  this->serve(
      [&](rpc::Server& server) {
        server.handle(kWork, [&](Call&, const PingRequest&) -> Task<Result<PingReply>> {
          entered.add();
          co_await let_go.reaches(1);
          co_return with<PingReply>("done");
        });
      },
      [&](auto& pair) -> Task<> {
        base::TaskScope scope(pair.executor);
        std::string answer;
        scope.spawn([](rpc::Client& client, std::string& text) -> Task<> {
          const auto reply = co_await client.call(kWork, PingRequest());
          if (reply) text = reply->payload();
        }(*pair.client, answer));
        co_await entered.reaches(1);
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
        let_go.add();
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

TYPED_TEST_P(RpcSuite, AServerMayAnswerBeforeItHeardEverything) {
  this->serve(
      [](rpc::Server& server) {
        server.handle(kSum,
                      [](Call&, rpc::Reader<PingRequest>& requests) -> Task<Result<PingReply>> {
                        CO_TRY(const auto first, co_await requests.read());
                        co_return base::fail(Errc::Conflict, first->payload() + " is too much");
                      });
      },
      [](auto& pair) -> Task<> {
        auto sum = co_await pair.client->open(kSum);
        Result<> written;
        const auto request = with<PingRequest>("one");
        EXPECT_TRUE(co_await sum->write(request));
        const auto large = with<PingRequest>(std::string(100'000, 'x'));
        while (written) written = co_await sum->write(large);
        EXPECT_EQ(written.error().code, Errc::Conflict) << written.error().describe();
        EXPECT_EQ(written.error().message, "one is too much");
      });
}

TYPED_TEST_P(RpcSuite, LettingAStreamOfMessagesGoCancelsTheHandler) {
  Tally farewells(this->executor());
  this->serve(
      [&](rpc::Server& server) {
        server.handle(kEcho,
                      [&](Call&, rpc::Reader<PingRequest>& requests,
                          rpc::Writer<PingReply>& replies) -> Task<Result<>> {
                        const Farewell farewell(farewells);
                        CO_TRY_DO(co_await requests.read());
                        CO_TRY_DO(co_await replies.write(with<PingReply>("begun")));
                        co_await base::sleep_for(1h);
                        co_return Result<>();
                      });
      },
      [&](auto& pair) -> Task<> {
        {
          auto echo = co_await pair.client->open(kEcho);
          EXPECT_TRUE(co_await echo->write(with<PingRequest>("x")));
          EXPECT_EQ((*co_await echo->read())->payload(), "begun");
        }
        co_await farewells.reaches(1);
      });
}

REGISTER_TYPED_TEST_SUITE_P(RpcSuite, AServerMayAnswerBeforeItHeardEverything,
                            LettingAStreamOfMessagesGoCancelsTheHandler, AReplyBringsThePayloadBack,
                            AHandlersErrorArrivesWithItsHints, ManyCallsAtOnceDoNotMixUp,
                            StreamsGoEachWay, ADeadlineTravelsAndCancelsTheHandler,
                            AHandlerThatCallsOnHandsOnTraceAndTheRestOfTheTime,
                            ACallerThatGivesUpCancelsTheHandler,
                            StoppingLetsCallsEndAndRefusesNewOnes, CallsAreCounted,
                            ATransferMovesWhatWasAskedFor);

}  // namespace stoq::testing
