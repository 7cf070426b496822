#include "rpc/byte_stream_calls.hpp"

#include <base/http/socket.hpp>

#include "rpc/testing/rpc_pair.hpp"

namespace stoq::testing {
namespace {

using base::Result;
using base::Task;
using v1::PingReply;
using v1::PingRequest;

Task<Result<PingReply>> answer(rpc::Call& call, const PingRequest& request) {
  EXPECT_FALSE(call.peer());
  if (request.payload() == "bad") co_return base::fail(base::Errc::Conflict, "no");
  PingReply reply;
  reply.set_payload(request.payload());
  co_return reply;
}

TEST(ByteStreamCalls, FollowEachOtherOverOneStream) {
  boost::asio::io_context context;
  run_to_end(context, [](base::Executor executor) -> Task<> {
    rpc::MethodTable methods;
    methods.add(
        kPing,
        std::make_unique<
            rpc::HandlerOf<PingRequest, PingReply, rpc::Kind::Unary, decltype(&answer)>>(&answer));
    const base::SystemClock clock;
    const auto listener = *base::http::listen_tcp(executor, "::1", 0, nullptr);
    base::TaskScope scope(executor);
    scope.spawn([](base::http::Listener& listener, const rpc::MethodTable& methods,
                   const base::Clock& clock) -> Task<> {
      const auto accepted = co_await listener.accept();
      co_await rpc::serve_byte_stream(*accepted->stream, methods, clock, rpc::Lane::Control);
    }(*listener, methods, clock));
    {
      const auto stream = *co_await base::http::connect_tcp("::1", listener->port());
      rpc::ByteStreamCaller caller(*stream);
      for (const std::string text : {"one", "bad", "two"}) {
        PingRequest request;
        request.set_payload(text);
        const auto reply = co_await caller.call(kPing, request);
        if (text == "bad") {
          EXPECT_EQ(reply.error().code, base::Errc::Conflict);
        } else {
          EXPECT_EQ(reply->payload(), text);
        }
      }
      auto streams = co_await caller.open(kTransfer);
      EXPECT_EQ(streams.error().code, base::Errc::InvalidArgument);
    }
    co_await scope.join();
  });
}

}  // namespace
}  // namespace stoq::testing
