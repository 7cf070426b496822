#pragma once

// What a server and a client make of peers, methods and handlers that do what they must not.

#include "rpc/head.hpp"
#include "rpc/reply_reader.hpp"
#include "rpc/testing/rpc_fixture.hpp"

namespace stoq::testing {

template <class Fixture>
class RpcLimitsSuite : public RpcFixture<Fixture> {};
TYPED_TEST_SUITE_P(RpcLimitsSuite);

TYPED_TEST_P(RpcLimitsSuite, WhatAHandlerThrowsIsToldAndEndsNothingElse) {
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

TYPED_TEST_P(RpcLimitsSuite, WhatNobodyServesIsRefusedWithTheReason) {
  this->serve(
      [](rpc::Server& server) {
        RpcLimitsSuite<TypeParam>::diagnostics(server);
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

TYPED_TEST_P(RpcLimitsSuite, MessagesBeyondTheirLimitAreRefusedOnBothSides) {
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

TYPED_TEST_P(RpcLimitsSuite, BeyondTheCallsInFlightAServerRefuses) {
  Tally entered(this->executor()), let_go(this->executor());
  this->serve(
      [&](rpc::Server& server) {
        server.handle(kWork, [&](Call&, const PingRequest&) -> Task<Result<PingReply>> {
          entered.add();
          co_await let_go.reaches(1);
          co_return PingReply();
        });
      },
      [&](auto& pair) -> Task<> {
        base::TaskScope scope(pair.executor);
        int answered = 0;
        for (int i = 0; i < 2; ++i) {
          scope.spawn([](rpc::Client& client, int& count) -> Task<> {
            if (co_await client.call(kWork, PingRequest())) ++count;
          }(*pair.client, answered));
        }
        co_await entered.reaches(2);
        const auto third = co_await pair.client->call(kWork, PingRequest());
        EXPECT_EQ(third.error().code, Errc::ResourceExhausted);
        EXPECT_THAT(third.error().message, ::testing::HasSubstr("limit of 2 calls in flight"));
        let_go.add();
        co_await scope.join();
        EXPECT_EQ(answered, 2);
      },
      {.calls_per_connection_max = 2});
}

TYPED_TEST_P(RpcLimitsSuite, BrokenFramesAreAnsweredWithTheReason) {
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

TYPED_TEST_P(RpcLimitsSuite, APeerThatNeverReadsIsGivenUp) {
  Tally farewells(this->executor());
  this->serve(
      [&](rpc::Server& server) {
        server.handle(
            kCount,
            [&](Call&, const PingRequest&, rpc::Writer<PingReply>& replies) -> Task<Result<>> {
              const Farewell farewell(farewells);
              for (;;)
                CO_TRY_DO(co_await replies.write(with<PingReply>(std::string(100'000, 'x'))));
            });
      },
      [&](auto& pair) -> Task<> {
        auto counted = co_await pair.client->open(kCount, PingRequest());
        EXPECT_TRUE(counted);
        co_await farewells.reaches(1);
        Result<std::optional<PingReply>> reply;
        do {
          reply = co_await counted->read();
        } while (reply && *reply);
        EXPECT_FALSE(reply);
      },
      {.stall_time_max = 50ms});
}

TYPED_TEST_P(RpcLimitsSuite, ACallerThatNeverSaysWhatItWantsIsGivenUp) {
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

TYPED_TEST_P(RpcLimitsSuite, CallsOfAConnectionHoldABoundedAmountOfMemory) {
  this->serve(
      [](rpc::Server& server) {
        server.handle(kWork, [](Call&, const PingRequest& request) -> Task<Result<PingReply>> {
          co_return with<PingReply>(std::string(request.payload() == "more" ? 100'000 : 10, 'r'));
        });
      },
      [](auto& pair) -> Task<> {
        // Requests that never become whole.
        base::Bytes part;
        rpc::append_head(part, {rpc::Kind::Unary, kWork.name, std::nullopt, {}});
        part.insert(part.end(), {2, 0x80, 0x01, 0x00, 0x00});  // 64 KiB are announced.
        part.resize(part.size() + 15'000);
        std::vector<std::unique_ptr<Stream>> streams;
        // One that comes while a call is served may be refused in its place: then another follows.
        const auto request = with<PingRequest>(std::string(10'000, 'q'));
        Result<PingReply> full;
        while (full) {
          streams.push_back(*co_await pair.control->open_stream());
          EXPECT_TRUE(co_await streams.back()->write(part));
          full = co_await pair.client->call(kWork, request);
        }
        EXPECT_EQ(full.error().code, Errc::ResourceExhausted);
        EXPECT_THAT(full.error().message, ::testing::HasSubstr("hold 50000 bytes"));
        streams.clear();
        // And replies.
        const auto large = co_await pair.client->call(kWork, with<PingRequest>("more"));
        EXPECT_EQ(large.error().code, Errc::ResourceExhausted);
        EXPECT_TRUE(co_await pair.client->call(kWork, PingRequest()));
      },
      // What never becomes whole is not dropped meanwhile, however slow the machine.
      {.call_bytes_per_connection_max = 50'000, .request_time_max = 1h});
}

REGISTER_TYPED_TEST_SUITE_P(RpcLimitsSuite, CallsOfAConnectionHoldABoundedAmountOfMemory,
                            WhatAHandlerThrowsIsToldAndEndsNothingElse,
                            WhatNobodyServesIsRefusedWithTheReason,
                            MessagesBeyondTheirLimitAreRefusedOnBothSides,
                            BeyondTheCallsInFlightAServerRefuses,
                            BrokenFramesAreAnsweredWithTheReason, APeerThatNeverReadsIsGivenUp,
                            ACallerThatNeverSaysWhatItWantsIsGivenUp);

}  // namespace stoq::testing
