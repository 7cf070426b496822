#include "transport/memory_transport.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <base/async/channel.hpp>
#include <base/async/timeout.hpp>
#include <boost/asio/post.hpp>

namespace stoq {
namespace memory {

// One direction of a stream: bytes in flight, and how it ended.
struct Pipe {
  explicit Pipe(const base::Executor& executor)
      : readable(executor), writable(executor), executor(executor) {}
  base::Bytes bytes;
  bool finished = false;
  std::optional<base::Error> broken;
  base::Event readable, writable;
  const base::Executor executor;
  std::weak_ptr<std::function<void()>> reader_abandoned, writer_abandoned;

  void fail(base::Error error) {
    if (!broken) broken = std::move(error);
    readable.notify();
    writable.notify();
    for (auto* who : {&reader_abandoned, &writer_abandoned}) {
      boost::asio::post(executor, [weak = *who] {
        const auto call = weak.lock();
        if (call && *call) std::exchange(*call, nullptr)();
      });
    }
  }
};

class PipeStream final : public Stream {
 public:
  PipeStream(std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out)
      : in_(std::move(in)), out_(std::move(out)) {}
  ~PipeStream() override { close(); }

  base::Task<base::Result<base::Bytes>> read() override {
    const auto in = in_;
    while (in->bytes.empty() && !in->finished && !in->broken) co_await in->readable.wait();
    if (in->broken) co_return std::unexpected(*in->broken);
    base::Bytes bytes = std::move(in->bytes);
    in->bytes.clear();
    in->writable.notify();
    co_return bytes;
  }

  base::Task<base::Result<>> write(base::BytesView bytes) override {
    const auto out = out_;
    while (!bytes.empty()) {
      while (out->bytes.size() >= MemoryTransport::kStreamWindowBytes && !out->broken)
        co_await out->writable.wait();
      if (out->broken) co_return std::unexpected(*out->broken);
      if (out->finished)
        co_return base::fail(base::Errc::FailedPrecondition, "the stream's sending side is closed");
      const std::size_t room = MemoryTransport::kStreamWindowBytes - out->bytes.size();
      const auto part = bytes.first(std::min(room, bytes.size()));
      out->bytes.insert(out->bytes.end(), part.begin(), part.end());
      bytes = bytes.subspan(part.size());
      out->readable.notify();
    }
    co_return base::Result<>();
  }

  void close_write() override {
    out_->finished = true;
    out_->readable.notify();
  }

  void close() override {
    close_write();
    in_->fail(base::make_error(base::Errc::Cancelled, "the peer stopped reading"));
  }

  void reset(std::uint64_t code) override {
    const auto error = base::make_error(base::Errc::Cancelled,
                                        fmt::format("the stream was reset with code {}", code));
    out_->fail(error);
    in_->fail(error);
  }

  void when_abandoned(std::function<void()> call) override {
    abandoned_ = std::make_shared<std::function<void()>>(std::move(call));
    in_->reader_abandoned = abandoned_;
    out_->writer_abandoned = abandoned_;
    for (const auto& pipe : {in_, out_}) {
      if (pipe->broken) pipe->fail(*pipe->broken);
    }
  }

 private:
  std::shared_ptr<Pipe> in_, out_;
  std::shared_ptr<std::function<void()>> abandoned_;
};

// What both ends of a connection share.
struct Wire {
  Wire(const base::Executor& executor, std::string protocol)
      : executor(executor),
        alpn(std::move(protocol)),
        streams{{executor, MemoryTransport::kPendingMax}, {executor, MemoryTransport::kPendingMax}},
        datagrams{{executor, MemoryTransport::kDatagramsMax},
                  {executor, MemoryTransport::kDatagramsMax}},
        ended(executor) {}

  void end(std::string why, std::uint64_t with_code) {
    if (reason) return;
    reason = std::move(why);
    code = with_code;
    for (int side : {0, 1}) {
      streams[side].close();
      datagrams[side].close();
    }
    for (const auto& weak : pipes) {
      if (const auto pipe = weak.lock()) pipe->fail(gone());
    }
    ended.notify();
  }
  base::Error gone() const {
    return base::make_error(base::Errc::Unavailable, "the connection ended: " + *reason);
  }

  base::Executor executor;
  std::string alpn;
  std::optional<std::string> reason;
  std::uint64_t code = 0;
  // Index: the side that receives.
  base::Channel<std::unique_ptr<Stream>> streams[2];
  base::Channel<base::Bytes> datagrams[2];
  std::vector<std::weak_ptr<Pipe>> pipes;
  base::Event ended;
};

class WireConnection final : public Connection {
 public:
  WireConnection(std::shared_ptr<Wire> wire, int side, std::optional<NodeId> peer)
      : wire_(std::move(wire)), side_(side), peer_(peer) {}
  ~WireConnection() override { wire_->end("the connection was dropped", 0); }

  std::optional<NodeId> peer() const override { return peer_; }
  const std::string& alpn() const override { return wire_->alpn; }

  base::Executor executor() const override { return wire_->executor; }

  base::Task<base::Result<std::unique_ptr<Stream>>> open_stream(StreamOptions options) override {
    const auto wire = wire_;
    if (wire->reason) co_return std::unexpected(wire->gone());
    std::erase_if(wire->pipes, [](const auto& weak) { return weak.expired(); });
    auto there = std::make_shared<Pipe>(wire->executor),
         back = std::make_shared<Pipe>(wire->executor);
    if (options.one_way) {
      back->finished = true;
      back->broken =
          base::make_error(base::Errc::FailedPrecondition, "the stream goes one way only");
    }
    wire->pipes.push_back(there);
    wire->pipes.push_back(back);
    auto& waiting = wire->streams[1 - side_];
    auto far = std::make_unique<PipeStream>(there, back);
    if (waiting.size() >= MemoryTransport::kPendingMax &&
        options.wait_max != base::Duration::max()) {
      CO_TRY_DO(co_await base::with_timeout(offer(waiting, std::move(far)), options.wait_max,
                                            "the peer accepts no stream"));
    } else if (!co_await waiting.send(std::move(far))) {
      co_return std::unexpected(wire->gone());
    }
    co_return std::make_unique<PipeStream>(back, there);
  }

  base::Task<base::Result<std::unique_ptr<Stream>>> accept_stream() override {
    const auto wire = wire_;
    auto stream = co_await wire->streams[side_].receive();
    if (!stream) co_return std::unexpected(wire->gone());
    co_return std::move(*stream);
  }

  base::Result<> send_datagram(base::BytesView bytes) override {
    if (bytes.size() > datagram_bytes_max()) {
      return base::fail(base::Errc::InvalidArgument,
                        fmt::format("a datagram has {} bytes; at most {} fit", bytes.size(),
                                    datagram_bytes_max()));
    }
    if (wire_->reason) return std::unexpected(wire_->gone());
    // A full queue drops: datagrams are unreliable.
    wire_->datagrams[1 - side_].try_send(base::Bytes(bytes.begin(), bytes.end()));
    return {};
  }

  base::Task<base::Result<base::Bytes>> receive_datagram() override {
    const auto wire = wire_;
    auto bytes = co_await wire->datagrams[side_].receive();
    if (!bytes) co_return std::unexpected(wire->gone());
    co_return std::move(*bytes);
  }

  std::size_t datagram_bytes_max() const override { return MemoryTransport::kDatagramBytesMax; }
  ConnectionStats stats() const override {
    ConnectionStats made;
    if (wire_->reason) return made;
    const auto held = [](const auto& pipe) { return !pipe.expired(); };
    // A stream has two.
    made.streams = static_cast<std::size_t>(std::ranges::count_if(wire_->pipes, held)) / 2;
    return made;
  }
  void close(std::string reason, std::uint64_t code) override {
    wire_->end(std::move(reason), code);
  }
  std::uint64_t close_code() const override { return wire_->code; }

  base::Task<std::string> closed() override {
    const auto wire = wire_;
    while (!wire->reason) co_await wire->ended.wait();
    wire->ended.notify();  // Others may wait as well.
    co_return *wire->reason;
  }

 private:
  // A closed channel is seen by whoever uses the stream.
  static base::Task<base::Result<bool>> offer(base::Channel<std::unique_ptr<Stream>>& to,
                                              std::unique_ptr<Stream> stream) {
    co_return co_await to.send(std::move(stream));
  }

  std::shared_ptr<Wire> wire_;
  int side_;
  std::optional<NodeId> peer_;
};

class Listening final : public Listener {
 public:
  Listening(const base::Executor& executor, MemoryNetwork& network, Endpoint endpoint, NodeId self,
            ListenOptions options)
      : network_(network),
        endpoint_(endpoint),
        self(self),
        options(std::move(options)),
        incoming(executor, MemoryTransport::kPendingMax) {
    network_.listening_.emplace(endpoint_, this);
  }
  ~Listening() override {
    network_.listening_.erase(endpoint_);
    incoming.close();
  }

  base::Task<base::Result<std::shared_ptr<Connection>>> accept() override {
    auto connection = co_await incoming.receive();
    if (!connection) co_return base::fail(base::Errc::Unavailable, "the listener was closed");
    co_return std::move(*connection);
  }
  Endpoint endpoint() const override { return endpoint_; }

 private:
  MemoryNetwork& network_;
  Endpoint endpoint_;

 public:
  const NodeId self;
  const ListenOptions options;
  base::Channel<std::shared_ptr<Connection>> incoming;
};

}  // namespace memory

MemoryTransport::MemoryTransport(base::Executor executor, MemoryNetwork& network, NodeId self)
    : executor_(std::move(executor)), network_(network), self_(self) {}

base::Task<base::Result<std::shared_ptr<Connection>>> MemoryTransport::connect(
    Endpoint endpoint, NodeId peer, ConnectOptions options) {
  const auto found = network_.listening_.find(endpoint);
  if (found == network_.listening_.end()) {
    co_return base::fail(base::Errc::Unavailable,
                         fmt::format("nobody listens on port {}", endpoint.port));
  }
  memory::Listening& listening = *found->second;
  if (std::ranges::find(listening.options.alpn, options.alpn) == listening.options.alpn.end()) {
    co_return base::fail(base::Errc::InvalidArgument,
                         fmt::format("the listener speaks \"{}\", not \"{}\"",
                                     fmt::join(listening.options.alpn, "\", \""), options.alpn));
  }
  if (options.any_peer) peer = listening.self;
  if (listening.self != peer) {
    co_return base::fail(base::Errc::NotVerified, fmt::format("the node there is {}, not {}",
                                                              listening.self.text(), peer.text()));
  }
  auto wire = std::make_shared<memory::Wire>(executor_, std::move(options.alpn));
  if (!listening.incoming.try_send(std::make_shared<memory::WireConnection>(wire, 1, self_))) {
    co_return base::fail(base::Errc::Unavailable, "the listener has too many connections waiting");
  }
  co_return std::make_shared<memory::WireConnection>(wire, 0, peer);
}

base::Result<std::unique_ptr<Listener>> MemoryTransport::listen(Endpoint endpoint,
                                                                ListenOptions options) {
  if (network_.listening_.contains(endpoint)) {
    return base::fail(base::Errc::FailedPrecondition,
                      fmt::format("port {} is in use", endpoint.port));
  }
  return std::make_unique<memory::Listening>(executor_, network_, endpoint, self_,
                                             std::move(options));
}

}  // namespace stoq
