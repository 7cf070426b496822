#pragma once

// Calls of methods on other nodes: docs/wire/rpc.md.
//
//   auto pong = co_await caller.call(kPing, request, {.timeout = 1s});
//
//   CO_TRY(auto events, co_await caller.open(kWatch, request));
//   for (;;) {
//     CO_TRY(const auto event, co_await events.read());
//     if (!event) break;
//     ...
//   }

#include <base/metrics.hpp>
#include <memory>
#include <stoq/rpc_method.hpp>
#include <stoq/transport.hpp>

namespace stoq::rpc {

struct CallOptions {
  /// For the whole call, from now. Zero: the method's own.
  base::Duration timeout{};
  /// Of the call that this one serves: its deadline holds here too.
  Context context;
};

/// A call in flight at its caller, as frames. Letting it go before its end resets the stream, which
/// cancels the handler at the other end.
class OpenCall {
 public:
  virtual ~OpenCall() = default;
  /// Frames to begin with: the head. The caller appends.
  virtual base::Bytes begin() = 0;
  /// Waits while the peer is slower. `last`: no more will follow.
  virtual base::Task<base::Result<>> send(base::Bytes frames, bool last) = 0;
  /// The next reply, valid until the next call; empty: the call ended well.
  virtual base::Task<base::Result<std::optional<base::BytesView>>> receive() = 0;
  /// Sends all there is to send; the one reply. `frames` outlives the task.
  virtual base::Task<base::Result<base::BytesView>> exchange(base::BytesView frames) = 0;
  /// Whether the peer's status was read: an error is its word then.
  virtual bool answered() const = 0;
  /// Whether exchange() failed because the connection ended, and the peer promises that it has not
  /// begun the call: it may be made again.
  virtual bool unbegun() const = 0;
};

/// A call with several messages in one direction or both. Its calls are made on one executor; one
/// reader and one writer at a time.
template <Message Request, Message Reply>
class CallStream {
 public:
  CallStream(std::unique_ptr<OpenCall> call, const Method& method)
      : call_(std::move(call)), method_(method) {}

  base::Task<base::Result<>> write(const Request& request) {
    base::Bytes frames;
    CO_TRY_DO(encode(frames, method_, request, method_.options.request_bytes_max));
    co_return co_await call_->send(std::move(frames), false);
  }
  /// No more requests.
  base::Task<base::Result<>> end() { co_return co_await call_->send({}, true); }
  /// Empty: the call ended well.
  base::Task<base::Result<std::optional<Reply>>> read() {
    CO_TRY(const auto bytes, co_await call_->receive());
    if (!bytes) co_return std::nullopt;
    CO_TRY(auto reply, decode<Reply>(method_, *bytes));
    co_return std::move(reply);
  }
  /// Of a method with one reply: no more requests, and the reply.
  base::Task<base::Result<Reply>> finish() {
    CO_TRY(const auto bytes, co_await call_->exchange({}));
    co_return decode<Reply>(method_, bytes);
  }

 private:
  std::unique_ptr<OpenCall> call_;
  Method method_;
};

/// Makes calls to one peer. Implementations: Client, PeerCaller.
///
/// Errors of every call: those of the handler; TimedOut (the deadline passed: the outcome is
/// unknown), Unavailable (no connection, or it ended: the outcome is unknown if something was
/// sent), ResourceExhausted (a message or the calls in flight beyond a limit), Unsupported (the
/// peer has no such method), DataLoss (the peer breaks the protocol). Cancelling the task cancels
/// the handler.
class Caller {
 public:
  virtual ~Caller() = default;

  template <Message Request, Message Reply>
  base::Task<base::Result<Reply>> call(const Unary<Request, Reply>& method, const Request& request,
                                       CallOptions options = {}) {
    CO_TRY(const auto call, co_await open_call(method, options));
    base::Bytes frames = call->begin();
    CO_TRY_DO(encode(frames, method, request, method.options.request_bytes_max));
    CO_TRY(const auto bytes, co_await call->exchange(frames));
    co_return decode<Reply>(method, bytes);
  }

  template <Message Request, Message Reply>
  base::Task<base::Result<CallStream<Request, Reply>>> open(
      const ServerStream<Request, Reply>& method, const Request& request,
      CallOptions options = {}) {
    CO_TRY(auto call, co_await open_call(method, options));
    base::Bytes frames = call->begin();
    CO_TRY_DO(encode(frames, method, request, method.options.request_bytes_max));
    CO_TRY_DO(co_await call->send(std::move(frames), true));
    co_return CallStream<Request, Reply>(std::move(call), method);
  }
  template <Message Request, Message Reply, Kind kKind>
    requires(many_requests(kKind))
  base::Task<base::Result<CallStream<Request, Reply>>> open(
      const MethodOf<Request, Reply, kKind>& method, CallOptions options = {}) {
    CO_TRY(auto call, co_await open_call(method, options));
    CO_TRY_DO(co_await call->send(call->begin(), false));
    co_return CallStream<Request, Reply>(std::move(call), method);
  }

  /// What the above are made of.
  virtual base::Task<base::Result<std::unique_ptr<OpenCall>>> open_call(
      const Method& method, const CallOptions& options) = 0;
};

/// Calls over one connection, on its executor. The clock and the metrics (null: none) outlive it
/// and its calls.
class Client final : public Caller {
 public:
  Client(std::shared_ptr<Connection> connection, const base::Clock& clock,
         base::Metrics* metrics = nullptr);
  ~Client() override;

  base::Task<base::Result<std::unique_ptr<OpenCall>>> open_call(
      const Method& method, const CallOptions& options) override;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace stoq::rpc
