#include "rpc/served_connection.hpp"

#include <fmt/format.h>

#include <base/random.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include "rpc/call_runner.hpp"
#include "rpc/codes.hpp"

namespace stoq::rpc {

namespace asio = boost::asio;
using base::Errc;
using base::MonotonicTime;
using base::Result;

namespace {

// The last replies get so long to leave before a stopping node closes the connection.
constexpr auto kLinger = std::chrono::milliseconds(50);

enum class Stopped : std::uint8_t { No, Abandoned, TimedOut, Stalled, Stopping };

Lane lane_of(const Connection& connection) {
  return connection.alpn() == alpn_of(Lane::Bulk) ? Lane::Bulk : Lane::Control;
}

std::uint64_t random_start() {
  base::SystemRng rng;
  return rng.u64();
}

}  // namespace

/// A call that is being answered, and what can end it early.
class ServedConnection::Running final : public Deadlines::Entry {
 public:
  Running(ServedConnection& owner, std::unique_ptr<Stream> opened)
      : stream(std::move(opened)),
        requests(&owner.bytes_),
        runner({*stream, requests, owner.serving_->methods, *owner.serving_->clock,
                owner.connection_->executor(), owner.connection_->peer(),
                lane_of(*owner.connection_), ++owner.spans_, &owner.bytes_}),
        owner_(owner) {}

  /// Reads the call and runs its handler.
  base::Task<Result<base::Bytes>> work() {
    if (const auto refused = owner_.refusal()) co_return std::unexpected(*refused);
    const auto& options = owner_.serving_->options;
    begun = now();
    watch(begun + options.request_time_max);
    CO_TRY(const bool called, co_await runner.read());
    if (!called) co_return base::fail(Errc::DataLoss, "the stream ended without a call");
    if (runner.method().kind == Kind::Unary) runner.limit(begun + options.call_time_max);
    reading_ = false;
    watch(runner.context().deadline);
    co_return co_await runner.run();
  }

  void stop(Stopped why) {
    if (stopped != Stopped::No) return;
    stopped = why;
    if (replying) {
      stream->reset(static_cast<std::uint64_t>(ResetCode::Stalled));
    } else {
      cancel.emit(asio::cancellation_type::all);
    }
  }

  /// The answer is written from now on.
  void reply_until(MonotonicTime until) {
    replying = true;
    owner_.deadlines_->arm(*this, until);
  }

  MonotonicTime now() const { return owner_.serving_->clock->now(); }

  std::unique_ptr<Stream> stream;
  RequestReader requests;
  CallRunner runner;
  asio::cancellation_signal cancel;
  Stopped stopped = Stopped::No;
  bool replying = false;
  MonotonicTime begun{};

 private:
  // A caller that takes nothing is found by looking now and then, which costs nothing for each
  // message.
  void watch(MonotonicTime until) {
    until_ = until;
    const bool streams = !reading_ && many_replies(runner.method().kind);
    const auto look = streams ? now() + owner_.serving_->options.stall_time_max : until;
    owner_.deadlines_->arm(*this, std::min(until, look));
  }

  void expired() override {
    const auto at = now();
    if (replying || at >= until_) {
      stop(Stopped::TimedOut);
    } else if (runner.writing_since() < at - owner_.serving_->options.stall_time_max) {
      stop(Stopped::Stalled);
    } else {
      watch(until_);
    }
  }

  ServedConnection& owner_;
  MonotonicTime until_{};
  bool reading_ = true;
};

ServedConnection::ServedConnection(std::shared_ptr<Serving> serving,
                                   std::shared_ptr<Connection> connection)
    : serving_(std::move(serving)),
      connection_(std::move(connection)),
      deadlines_(std::make_shared<Deadlines>(connection_->executor(), *serving_->clock)),
      metrics_(serving_->metrics, "server"),
      bytes_(serving_->bytes, serving_->options.call_bytes_max,
             serving_->options.call_bytes_per_connection_max),
      changed_(connection_->executor()),
      spans_(random_start()) {}

ServedConnection::~ServedConnection() = default;

base::Task<> ServedConnection::run() {
  const auto self = shared_from_this();
  for (;;) {
    auto stream = co_await connection_->accept_stream();
    if (!stream) break;
    begin(*std::move(stream));
  }
  for (const auto& call : running_) call->stop(Stopped::Abandoned);
  co_await until_idle(MonotonicTime::max());
  ended_ = true;
  changed_.notify();
}

void ServedConnection::begin(std::unique_ptr<Stream> stream) {
  running_.push_back(std::make_unique<Running>(*this, std::move(stream)));
  const auto place = std::prev(running_.end());
  Running& call = **place;
  ++serving_->calls;
  call.stream->when_abandoned([&call] { call.stop(Stopped::Abandoned); });
  asio::co_spawn(connection_->executor(), answer(call),
                 asio::bind_cancellation_slot(
                     call.cancel.slot(), [self = shared_from_this(), place](std::exception_ptr) {
                       self->running_.erase(place);
                       --self->serving_->calls;
                       if (self->running_.empty()) self->changed_.notify();
                     }));
}

std::optional<base::Error> ServedConnection::refusal() const {
  const ServerOptions& options = serving_->options;
  const auto full = [](std::string_view where, std::size_t limit) {
    return base::make_error(
        Errc::ResourceExhausted,
        fmt::format("the limit of {} calls in flight {} is reached: try again", limit, where));
  };
  if (serving_->stopping) return base::make_error(Errc::Unavailable, "the node is stopping");
  if (running_.size() > options.calls_per_connection_max)
    return full("on a connection", options.calls_per_connection_max);
  if (serving_->calls > options.calls_max) return full("on this node", options.calls_max);
  return std::nullopt;
}

base::Task<> ServedConnection::answer(Running& call) {
  Result<base::Bytes> frames;
  std::string thrown;
  try {
    frames = co_await call.work();
  } catch (const boost::system::system_error& error) {
    // Cancellation unwinds; `stopped` says why.
    if (error.code() != asio::error::operation_aborted) thrown = error.what();
  } catch (const std::exception& error) {
    thrown = error.what();
  } catch (...) {
    thrown = "something that is no std::exception";
  }
  // What comes now is ours, and is not cancelled.
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());

  const auto* entry = call.runner.entry();
  const std::string_view name = entry != nullptr ? entry->name : std::string_view("(unknown)");
  switch (call.stopped) {
    case Stopped::No:
      if (thrown.empty()) break;
      serving_->log.error("handler_threw", {{"method", name}, {"what", thrown}});
      frames = base::fail(Errc::Internal, fmt::format("{}: the handler failed: {}", name, thrown));
      break;
    case Stopped::TimedOut:
      frames =
          base::fail(Errc::TimedOut, entry != nullptr ? fmt::format("{}: the time is over", name)
                                                      : "no whole request came in time");
      break;
    case Stopped::Stopping:
      frames = base::fail(Errc::Unavailable, "the node is stopping");
      break;
    case Stopped::Abandoned:
    case Stopped::Stalled:
      frames = base::fail(Errc::Cancelled, "nobody reads the answer");
      break;
  }
  const auto ended = call.now();
  if (entry != nullptr)
    metrics_.of(name).count(frames ? nullptr : &frames.error(), ended - call.begun);
  if (call.stopped == Stopped::Abandoned || call.stopped == Stopped::Stalled) {
    call.stream->reset(static_cast<std::uint64_t>(ResetCode::Cancelled));
    co_return;
  }
  call.stopped = Stopped::No;
  call.reply_until(ended + serving_->options.stall_time_max);
  CallBytes::Held held(&bytes_);
  if (frames) {
    if (auto room = held.resize(frames->size()); !room) frames = std::unexpected(room.error());
  }
  const auto written = co_await call.stream->write(ending(std::move(frames)));
  if (written) call.stream->close_write();
  answered_at_ = ended;
}

base::Task<> ServedConnection::until_idle(MonotonicTime until) {
  while (!running_.empty()) {
    if (until == MonotonicTime::max()) {
      co_await changed_.wait();
      continue;
    }
    const auto left = until - serving_->clock->now();
    if (left <= base::Duration::zero() || !co_await changed_.wait_for(left)) co_return;
  }
}

base::Task<> ServedConnection::drain(MonotonicTime until) {
  const auto self = shared_from_this();
  co_await until_idle(until);
  for (const auto& call : running_) call->stop(Stopped::Stopping);
  co_await until_idle(serving_->clock->now() + kLinger);
  if (!ended_ && serving_->clock->now() - answered_at_ < kLinger) co_await base::sleep_for(kLinger);
}

base::Task<> ServedConnection::stop(MonotonicTime until) {
  const auto self = shared_from_this();
  co_await drain(until);
  connection_->close("the node is stopping");
  while (!ended_) co_await changed_.wait();
}

}  // namespace stoq::rpc
