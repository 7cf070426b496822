#include "rpc/calls.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "rpc/codes.hpp"
#include "rpc/head.hpp"
#include "rpc/reply_reader.hpp"

namespace stoq::rpc {

using base::Errc;
using base::MonotonicTime;
using base::Result;

namespace {

std::int64_t millis(base::Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

base::Error late(const Method& method, base::Duration limit) {
  return base::make_error(Errc::TimedOut,
                          fmt::format("{}: no answer within {} ms", method.name, millis(limit)));
}

std::uint64_t seed() {
  base::SystemRng rng;
  return rng.u64();
}

/// A call over one stream of a connection.
class StreamCall final : public OpenCall, private Deadlines::Entry {
 public:
  struct Parts {
    std::shared_ptr<Calls> calls;
    std::shared_ptr<Connection> connection;
    std::unique_ptr<Stream> stream;
    std::shared_ptr<void> lease;
    Trace trace;
    MonotonicTime begun, deadline;
  };
  StreamCall(Parts parts, const Method& method)
      : parts_(std::move(parts)),
        method_(method),
        replies_(method.options.reply_bytes_max),
        metrics_(parts_.calls->metrics().of(method.name)) {
    parts_.calls->deadlines()->arm(*this, parts_.deadline);
  }

  ~StreamCall() override {
    if (over_) return;
    if (!timed_out_) parts_.stream->reset(static_cast<std::uint64_t>(ResetCode::Cancelled));
    const auto error = base::make_error(Errc::Cancelled, "the caller gave up");
    metrics_.count(&error, parts_.calls->now() - parts_.begun);
  }

  base::Bytes begin() override {
    base::Bytes frames;
    Head head{method_.kind, method_.name, std::nullopt, parts_.trace};
    if (parts_.deadline != MonotonicTime::max())
      head.time_left = parts_.deadline - parts_.calls->now();
    append_head(frames, head);
    return frames;
  }

  base::Task<Result<>> send(base::Bytes frames, bool last) override {
    auto sent = co_await parts_.stream->write(frames);
    if (sent) {
      if (last) parts_.stream->close_write();
      co_return sent;
    }
    // The server may have answered before it heard everything: its status says more. Where there
    // are many replies, somebody is reading already.
    if (!many_replies(method_.kind)) {
      const auto reply = co_await replies_.only(*parts_.stream);
      if (replies_.done() && !reply) co_return end(std::unexpected(reply.error()));
    }
    co_return std::unexpected(explain(sent.error()));
  }

  base::Task<Result<std::optional<base::BytesView>>> receive() override {
    auto reply = co_await replies_.next(*parts_.stream);
    if (!reply) co_return std::unexpected(end(std::unexpected(explain(reply.error()))).error());
    if (!*reply) (void)end({});
    co_return reply;
  }

  base::Task<Result<base::BytesView>> exchange(base::BytesView frames) override {
    const auto sent = co_await parts_.stream->write(frames);
    if (sent) parts_.stream->close_write();
    // Even when sending failed: the server may have refused before it heard everything.
    auto reply = co_await replies_.only(*parts_.stream);
    if (!reply) {
      base::Error error = replies_.done() || sent ? reply.error() : sent.error();
      unbegun_ = !replies_.done() && error.code == Errc::Unavailable &&
                 parts_.connection->close_code() == kCloseUnused;
      co_return std::unexpected(end(std::unexpected(explain(std::move(error)))).error());
    }
    (void)end({});
    co_return *reply;
  }

  bool answered() const override { return replies_.done(); }
  bool unbegun() const override { return unbegun_; }

 private:
  void expired() override {
    timed_out_ = true;
    parts_.stream->reset(static_cast<std::uint64_t>(ResetCode::TimedOut));
  }

  base::Error explain(base::Error error) const {
    if (replies_.done()) return error;
    if (timed_out_) return late(method_, parts_.deadline - parts_.begun);
    if (error.code == Errc::Cancelled) {
      error.code = Errc::Unavailable;
      error.message = fmt::format("{}: the peer gave the call up: {}", method_.name, error.message);
    }
    return error;
  }

  Result<> end(Result<> result) {
    if (over_) return result;
    over_ = true;
    Deadlines::disarm(*this);
    if (!result && !replies_.done() && !timed_out_)
      parts_.stream->reset(static_cast<std::uint64_t>(ResetCode::Protocol));
    metrics_.count(result ? nullptr : &result.error(), parts_.calls->now() - parts_.begun);
    return result;
  }

  Parts parts_;
  Method method_;
  ReplyReader replies_;
  CallMetrics::Of& metrics_;
  bool over_ = false, timed_out_ = false, unbegun_ = false;
};

}  // namespace

Calls::Calls(const base::Executor& executor, const base::Clock& clock, base::Metrics* metrics)
    : deadlines_(std::make_shared<Deadlines>(executor, clock)),
      metrics_(metrics, "client"),
      rng_(seed()) {}

MonotonicTime Calls::deadline(const Method& method, const CallOptions& options) const {
  const auto timeout =
      options.timeout > base::Duration::zero() ? options.timeout : method.options.timeout;
  if (timeout <= base::Duration::zero()) return options.context.deadline;
  const auto at = now();
  if (timeout >= MonotonicTime::max() - at) return options.context.deadline;
  return std::min(at + timeout, options.context.deadline);
}

Trace Calls::trace(const Context& context) {
  Trace trace = context.trace;
  if (trace.id == decltype(trace.id){}) rng_.fill(trace.id);
  return trace;
}

base::Task<Result<std::unique_ptr<OpenCall>>> Calls::open(std::shared_ptr<Connection> connection,
                                                          const Method& method,
                                                          const CallOptions& options,
                                                          MonotonicTime deadline,
                                                          std::shared_ptr<void> lease) {
  const auto begun = now();
  if (deadline <= begun) {
    co_return base::fail(Errc::TimedOut,
                         fmt::format("{}: the time was over before it was called", method.name));
  }
  const auto self = shared_from_this();
  CO_TRY(auto stream, co_await connection->open_stream({.priority = method.options.priority,
                                                        .replay_safe = method.options.replay_safe,
                                                        .wait_max = deadline == MonotonicTime::max()
                                                                        ? base::Duration::max()
                                                                        : deadline - begun}));
  co_return std::make_unique<StreamCall>(
      StreamCall::Parts{self, std::move(connection), std::move(stream), std::move(lease),
                        trace(options.context), begun, deadline},
      method);
}

struct Client::State {
  std::shared_ptr<Connection> connection;
  std::shared_ptr<Calls> calls;
};

Client::Client(std::shared_ptr<Connection> connection, const base::Clock& clock,
               base::Metrics* metrics)
    : state_(std::make_shared<State>()) {
  state_->calls = std::make_shared<Calls>(connection->executor(), clock, metrics);
  state_->connection = std::move(connection);
}

Client::~Client() = default;

base::Task<Result<std::unique_ptr<OpenCall>>> Client::open_call(const Method& method,
                                                                const CallOptions& options) {
  const auto state = state_;
  return state->calls->open(state->connection, method, options,
                            state->calls->deadline(method, options), nullptr);
}

}  // namespace stoq::rpc
