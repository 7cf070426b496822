#include "rpc/byte_stream_calls.hpp"

#include <fmt/format.h>

#include "rpc/call_runner.hpp"

namespace stoq::rpc {

using base::Errc;
using base::Result;

namespace {

class ByteStreamCall final : public OpenCall {
 public:
  ByteStreamCall(base::ByteStream& stream, ReplyReader& replies, const Method& method,
                 const Trace& trace)
      : stream_(stream), replies_(replies), method_(method), trace_(trace) {
    replies_.begin(method.options.reply_bytes_max);
  }
  ~ByteStreamCall() override {
    // The rest of an answer would be taken for the next one.
    if (!replies_.done()) stream_.close();
  }

  base::Bytes begin() override {
    base::Bytes frames;
    append_head(frames, {method_.kind, method_.name, std::nullopt, trace_});
    return frames;
  }
  base::Task<Result<>> send(base::Bytes frames, bool) override {
    co_return co_await stream_.write(frames);
  }
  base::Task<Result<std::optional<base::BytesView>>> receive() override {
    return replies_.next(stream_);
  }
  base::Task<Result<base::BytesView>> exchange(base::BytesView frames) override {
    CO_TRY_DO(co_await stream_.write(frames));
    co_return co_await replies_.only(stream_);
  }
  bool answered() const override { return replies_.done(); }
  bool unbegun() const override { return false; }

 private:
  base::ByteStream& stream_;
  ReplyReader& replies_;
  Method method_;
  Trace trace_;
};

}  // namespace

base::Task<Result<std::unique_ptr<OpenCall>>> ByteStreamCaller::open_call(
    const Method& method, const CallOptions& options) {
  if (method.kind != Kind::Unary) {
    co_return base::fail(Errc::InvalidArgument,
                         fmt::format("{} has streams of messages, which need a connection with "
                                     "streams",
                                     method.name));
  }
  co_return std::make_unique<ByteStreamCall>(stream_, replies_, method, options.context.trace);
}

base::Task<> serve_byte_stream(base::ByteStream& stream, const MethodTable& methods,
                               const base::Clock& clock, Lane lane) {
  const auto executor = co_await boost::asio::this_coro::executor;
  RequestReader requests;
  for (std::uint64_t span = 1;; ++span) {
    CallRunner call({stream, requests, methods, clock, executor, std::nullopt, lane, span});
    const auto called = co_await call.read();
    if (called && !*called) co_return;
    auto frames =
        called ? co_await call.run() : Result<base::Bytes>(std::unexpected(called.error()));
    const auto written = co_await stream.write(ending(std::move(frames)));
    // After a broken request nobody knows where the next one begins.
    if (!called || !written) co_return;
  }
}

}  // namespace stoq::rpc
