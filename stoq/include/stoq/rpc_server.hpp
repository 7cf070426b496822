#pragma once

// Answers calls:
//
//   server.handle(kPing, [](rpc::Call&, const PingRequest& request) -> Task<Result<PingReply>> {
//     ...
//   });
//   server.serve(std::move(listener));

#include <base/log.hpp>
#include <base/metrics.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <stoq/rpc_method.hpp>
#include <stoq/transport.hpp>

namespace stoq::rpc {

/// A call as its handler sees it; outlives the handler's task. That is cancelled when the deadline
/// passes and when the caller gives up.
class Call {
 public:
  virtual ~Call() = default;
  /// Who the connection proved the caller to be; empty: a stranger.
  virtual const std::optional<NodeId>& peer() const = 0;
  /// For the calls that are made for this one: the same trace, and what is left of the time.
  virtual const Context& context() const = 0;
  virtual const Method& method() const = 0;
  /// Where the handler runs: that of the connection.
  virtual base::Executor executor() const = 0;
};

/// The frames of a call at its server.
class ServedCall : public Call {
 public:
  /// The next request, valid until the next call; empty: the caller sends no more.
  virtual base::Task<base::Result<std::optional<base::BytesView>>> receive() = 0;
  /// Waits while the caller is slower.
  virtual base::Task<base::Result<>> send(base::Bytes frames) = 0;
};

/// Serves one method. `request`: the one request, where there is one. Gives the frames to end with.
class Handler {
 public:
  virtual ~Handler() = default;
  virtual base::Task<base::Result<base::Bytes>> serve(ServedCall& call,
                                                      base::BytesView request) = 0;
};

template <Message Request>
class Reader {
 public:
  explicit Reader(ServedCall& call) : call_(call) {}
  /// Empty: the caller sends no more.
  base::Task<base::Result<std::optional<Request>>> read() {
    CO_TRY(const auto bytes, co_await call_.receive());
    if (!bytes) co_return std::nullopt;
    CO_TRY(auto request, decode<Request>(call_.method(), *bytes));
    co_return std::move(request);
  }

 private:
  ServedCall& call_;
};

template <Message Reply>
class Writer {
 public:
  explicit Writer(ServedCall& call) : call_(call) {}
  /// Errors: Cancelled (nobody reads), ResourceExhausted (the reply is too large).
  base::Task<base::Result<>> write(const Reply& reply) {
    base::Bytes frames;
    CO_TRY_DO(encode(frames, call_.method(), reply, call_.method().options.reply_bytes_max));
    co_return co_await call_.send(std::move(frames));
  }

 private:
  ServedCall& call_;
};

template <Message Request, Message Reply, Kind kKind, class F>
class HandlerOf final : public Handler {
 public:
  explicit HandlerOf(F function) : function_(std::move(function)) {}

  base::Task<base::Result<base::Bytes>> serve(ServedCall& call, base::BytesView bytes) override {
    base::Bytes frames;
    if constexpr (kKind == Kind::Unary) {
      CO_TRY(const auto request, decode<Request>(call.method(), bytes));
      CO_TRY(const auto reply, co_await function_(call, request));
      CO_TRY_DO(encode(frames, call.method(), reply, call.method().options.reply_bytes_max));
    } else if constexpr (kKind == Kind::ServerStream) {
      CO_TRY(const auto request, decode<Request>(call.method(), bytes));
      Writer<Reply> replies(call);
      CO_TRY_DO(co_await function_(call, request, replies));
    } else if constexpr (kKind == Kind::ClientStream) {
      Reader<Request> requests(call);
      CO_TRY(const auto reply, co_await function_(call, requests));
      CO_TRY_DO(encode(frames, call.method(), reply, call.method().options.reply_bytes_max));
    } else {
      Reader<Request> requests(call);
      Writer<Reply> replies(call);
      CO_TRY_DO(co_await function_(call, requests, replies));
    }
    co_return frames;
  }

 private:
  F function_;
};

struct ServerOptions {
  std::size_t calls_max = 10'000;               ///< In flight, over all connections.
  std::size_t calls_per_connection_max = 1024;  ///< In flight.
  /// What requests that are not whole or are being served hold in memory, and replies that their
  /// callers have not taken: of all connections, and of each.
  std::size_t call_bytes_max = 1024u << 20;
  std::size_t call_bytes_per_connection_max = 64u << 20;
  /// From the opening of a stream to the whole of the (first) request.
  base::Duration request_time_max = std::chrono::seconds(10);
  /// Of calls with one request and one reply, whatever the caller allows.
  base::Duration call_time_max = std::chrono::minutes(10);
  /// A caller that takes nothing for so long while a reply waits is given up.
  base::Duration stall_time_max = std::chrono::seconds(30);
};

/// Answers the calls of many connections, each on the connection's executor: where a transport has
/// several cores, handlers run on several threads at once. Methods are added before the first
/// connection is served; their handlers, the clock and the metrics outlive stop().
class Server {
 public:
  struct Parts {
    base::Executor executor;  ///< Where listeners are awaited and stop() is called.
    const base::Clock* clock;
    base::Metrics* metrics = nullptr;  ///< Null: none.
    base::Log log;
  };
  explicit Server(Parts parts, ServerOptions options = {});
  /// Call stop() before.
  ~Server();

  /// `function` is copied and called on the connection's executor:
  ///   Unary         Task<Result<Reply>>(Call&, const Request&)
  ///   ServerStream  Task<Result<>>(Call&, const Request&, Writer<Reply>&)
  ///   ClientStream  Task<Result<Reply>>(Call&, Reader<Request>&)
  ///   TwoWay        Task<Result<>>(Call&, Reader<Request>&, Writer<Reply>&)
  template <Message Request, Message Reply, Kind kKind, class F>
  void handle(const MethodOf<Request, Reply, kKind>& method, F function) {
    add(method, std::make_unique<HandlerOf<Request, Reply, kKind, F>>(std::move(function)));
  }
  void add(const Method& method, std::unique_ptr<Handler> handler);

  /// Serves every connection that comes in, until stop(), and shows it to `accepted`, on the
  /// server's executor.
  using Accepted = std::function<void(const std::shared_ptr<Connection>&)>;
  void serve(std::unique_ptr<Listener> listener, Accepted accepted = {});
  void serve(std::shared_ptr<Connection> connection);

  /// The first half of stop(): the connections stay, for the calls that we make over them. Calls
  /// that come now are answered with Unavailable.
  base::Task<> drain(base::Duration grace);
  /// Accepts nothing more; calls in flight have `grace` to end, then they are cancelled, and
  /// callers are told that the server stops. Resumes when no task is left.
  base::Task<> stop(base::Duration grace);

  std::size_t calls_in_flight() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace stoq::rpc
