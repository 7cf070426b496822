#include "transport/quic/quic_connection.hpp"

#include <fmt/format.h>

#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>

namespace stoq::quic {

using base::Errc;
using base::Result;

namespace {

// Unsent bytes: a writer waits from the first on, and goes on below the second.
constexpr std::uint64_t kUnsentHigh = 512 * 1024, kUnsentLow = 256 * 1024;

class QuicStream final : public Stream {
 public:
  QuicStream(std::shared_ptr<ConnectionState> connection, std::shared_ptr<StreamState> state)
      : connection_(std::move(connection)),
        state_(std::move(state)),
        readable_(connection_->executor),
        writable_(connection_->executor) {
    state_->on_readable = [this] {
      readable_.notify();
      tell_if_abandoned();
    };
    state_->on_writable = [this] {
      writable_.notify();
      tell_if_abandoned();
    };
  }

  ~QuicStream() override {
    state_->on_readable = state_->on_writable = nullptr;
    if (state_->session != nullptr) state_->session->release(*state_);
  }

  base::Task<Result<base::Bytes>> read() override {
    const auto state = state_;
    for (;;) {
      if (state->in.size() > 0) {
        co_return state->session != nullptr ? state->session->read(*state) : state->in.take();
      }
      if (state->end_received && !state->read_error) co_return base::Bytes();
      if (state->read_error) co_return std::unexpected(*state->read_error);
      co_await readable_.wait();
    }
  }

  base::Task<Result<>> write(base::BytesView bytes) override {
    const auto state = state_;
    while (!bytes.empty()) {
      if (state->out.unsent() >= kUnsentHigh) co_await room();
      CO_TRY_DO(may_write());
      const auto part =
          bytes.first(std::min<std::size_t>(bytes.size(), kUnsentHigh - state->out.unsent()));
      state->session->send(*state, part);
      bytes = bytes.subspan(part.size());
    }
    co_return Result<>();
  }

  base::Task<Result<>> write_shared(std::shared_ptr<const base::Bytes> block) override {
    const auto state = state_;
    if (state->out.unsent() >= kUnsentHigh) co_await room();
    CO_TRY_DO(may_write());
    state->session->send(*state, std::move(block));
    co_return Result<>();
  }

  void close_write() override {
    if (state_->session != nullptr && !state_->write_error) state_->session->send_end(*state_);
  }

  void close() override {
    close_write();
    if (state_->session != nullptr) state_->session->stop_reading(*state_, 0);
    if (!state_->read_error)
      state_->read_error = base::make_error(Errc::Cancelled, "the stream was closed");
    readable_.notify();
  }

  void reset(std::uint64_t code) override {
    if (state_->session != nullptr) state_->session->reset(*state_, code);
  }

  void when_abandoned(std::function<void()> call) override {
    abandoned_ = std::make_shared<std::function<void()>>(std::move(call));
    tell_if_abandoned();
  }

 private:
  // Who writes waits when much is unsent, until less is.
  base::Task<> room() {
    const auto state = state_;
    state->writer_waits_below = kUnsentLow;
    while (!state->write_error && state->out.unsent() >= kUnsentLow) co_await writable_.wait();
    state->writer_waits_below = 0;
  }

  Result<> may_write() const {
    if (state_->write_error) return std::unexpected(*state_->write_error);
    if (state_->end_wanted)
      return base::fail(Errc::FailedPrecondition, "the stream's sending side is closed");
    return {};
  }

  // A stream's own end of sending is no error, and neither is one that goes one way.
  void tell_if_abandoned() {
    if (!abandoned_ || (!state_->read_error && !state_->write_error)) return;
    boost::asio::post(connection_->executor, [weak = std::weak_ptr(kept_ = std::move(abandoned_))] {
      if (const auto call = weak.lock()) (*call)();
    });
  }

  std::shared_ptr<ConnectionState> connection_;
  std::shared_ptr<StreamState> state_;
  std::shared_ptr<std::function<void()>> abandoned_, kept_;  // The latter: being called.
  base::Event readable_, writable_;
};

}  // namespace

QuicConnection::~QuicConnection() {
  QuicConnection::close("the connection was dropped", 0);
}

base::Task<Result<std::unique_ptr<Stream>>> QuicConnection::open_stream(StreamOptions options) {
  const auto state = state_;
  base::MonotonicTime until{};
  for (;;) {
    if (state->session == nullptr) co_return std::unexpected(state->gone());
    CO_TRY(auto stream,
           state->session->open_stream(
               !options.one_way, static_cast<std::uint8_t>(options.priority), options.replay_safe));
    if (stream) co_return std::make_unique<QuicStream>(state, std::move(stream));
    if (options.wait_max == base::Duration::max()) {
      co_await state->streams_available.wait();
      continue;
    }
    if (until == base::MonotonicTime()) until = state->now() + options.wait_max;
    const auto left = until - state->now();
    if (left <= base::Duration::zero() || !co_await state->streams_available.wait_for(left)) {
      co_return base::fail(Errc::TimedOut, state->established
                                               ? "the peer allows no more streams now"
                                               : "the handshake is not over");
    }
  }
}

base::Task<Result<std::unique_ptr<Stream>>> QuicConnection::accept_stream() {
  const auto state = state_;
  auto stream = co_await state->streams.receive();
  if (!stream) co_return std::unexpected(state->gone());
  co_return std::make_unique<QuicStream>(state, *std::move(stream));
}

Result<> QuicConnection::send_datagram(base::BytesView bytes) {
  if (state_->session == nullptr) return std::unexpected(state_->gone());
  if (bytes.size() > datagram_bytes_max()) {
    return base::fail(Errc::InvalidArgument, fmt::format("a datagram has {} bytes; at most {} fit",
                                                         bytes.size(), datagram_bytes_max()));
  }
  // What is too much is dropped: datagrams are unreliable.
  (void)state_->session->send_datagram(bytes);
  return {};
}

base::Task<Result<base::Bytes>> QuicConnection::receive_datagram() {
  const auto state = state_;
  auto bytes = co_await state->datagrams.receive();
  if (!bytes) co_return std::unexpected(state->gone());
  co_return *std::move(bytes);
}

std::size_t QuicConnection::datagram_bytes_max() const {
  return state_->session != nullptr ? state_->session->datagram_bytes_max() : 0;
}

ConnectionStats QuicConnection::stats() const {
  return state_->session != nullptr ? state_->session->stats() : ConnectionStats();
}

void QuicConnection::close(std::string reason, std::uint64_t code) {
  // The last holder may be on another thread.
  boost::asio::dispatch(state_->executor,
                        [state = state_, reason = std::move(reason), code]() mutable {
                          if (state->session == nullptr) return;
                          if (const auto endpoint = state->endpoint.lock())
                            endpoint->close(*state->session, std::move(reason), code);
                        });
}

base::Task<std::string> QuicConnection::closed() {
  const auto state = state_;
  while (!state->ended) co_await state->changed.wait();
  co_return state->ended->message;
}

}  // namespace stoq::quic
