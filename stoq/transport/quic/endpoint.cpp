#include <ngtcp2/ngtcp2_crypto.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cstring>

#include "transport/quic/endpoint_parts.hpp"
#include "transport/quic/native.hpp"

namespace stoq::quic {

namespace asio = boost::asio;
using base::Errc;
using base::MonotonicTime;
using base::Result;

namespace {

constexpr auto kRoundTripSampleEvery = std::chrono::milliseconds(100);
// For another way to a peer, while there is none from the address that the connection has.
constexpr auto kSeekWayEvery = std::chrono::milliseconds(200);
constexpr int kBurstsPerTurn = 4;  // Of one connection, before the next has its turn.

ngtcp2_mem native(BlockPool& pool) {
  return {&pool,
          [](std::size_t bytes, void* of) { return static_cast<BlockPool*>(of)->allocate(bytes); },
          [](void* block, void* of) { static_cast<BlockPool*>(of)->free(block); },
          [](std::size_t count, std::size_t bytes, void* of) {
            void* block = static_cast<BlockPool*>(of)->allocate(count * bytes);
            return block != nullptr ? std::memset(block, 0, count * bytes) : nullptr;
          },
          [](void* block, std::size_t bytes, void* of) -> void* {
            if (block != nullptr && BlockPool::bytes_of(block) >= bytes) return block;
            void* made = static_cast<BlockPool*>(of)->allocate(bytes);
            if (made == nullptr || block == nullptr) return made;
            std::memcpy(made, block, BlockPool::bytes_of(block));
            static_cast<BlockPool*>(of)->free(block);
            return made;
          }};
}

}  // namespace

Shared::Shared(TlsContext& tls, const base::Clock& clock, base::BytesView secret,
               const SessionOptions& session, const Limits& limits)
    : tls(tls), clock(clock), session(session), limits(limits) {
  const auto derive = [&](std::string_view purpose) {
    base::Sha256 hash;
    hash.update(base::as_bytes(purpose));
    hash.update(secret);
    return hash.finish();
  };
  token_secret = derive("stoq address token");
  reset_secret = derive("stoq stateless reset");
}

std::optional<Resumption> Shared::take_resumption(const NodeId& peer, const std::string& alpn) {
  const std::lock_guard lock(mutex);
  const auto found = resumptions.find({peer, alpn});
  if (found == resumptions.end()) return std::nullopt;
  Resumption taken = std::move(found->second);
  resumptions.erase(found);
  return taken;
}

void Shared::remember(const NodeId& peer, const std::string& alpn, Resumption resumption) {
  const std::lock_guard lock(mutex);
  if (resumptions.size() >= kResumptionsMax) resumptions.erase(resumptions.begin());
  resumptions.insert_or_assign({peer, alpn}, std::move(resumption));
}

base::Error ConnectionState::gone() const {
  return base::make_error(ended->code, "the connection ended: " + ended->message);
}

std::size_t QuicEndpoint::IdHash::operator()(const ConnectionId& id) const {
  // Ids of strangers are chosen by them: the seed keeps them from choosing collisions.
  std::uint64_t a = 0, b = 0;
  std::memcpy(&a, id.data, std::min<std::size_t>(id.datalen, 8));
  if (id.datalen > 8) std::memcpy(&b, id.data + 8, std::min<std::size_t>(id.datalen - 8, 8));
  const auto product = static_cast<unsigned __int128>(a ^ seed) * (b ^ 0x9e3779b97f4a7c15 ^ seed);
  return static_cast<std::size_t>(product) ^ static_cast<std::size_t>(product >> 64);
}

QuicEndpoint::QuicEndpoint(base::Executor executor, Shared& shared, unsigned core)
    : executor_(std::move(executor)),
      shared_(shared),
      core_(core),
      wheel_(shared.clock.now()),
      timer_(executor_),
      memory_(native(pool_)),
      ids_(16, IdHash{rng_.u64()}),
      burst_(Burst::kBytesMax + 1500) {}

QuicEndpoint::~QuicEndpoint() {
  shut_down();
}

void QuicEndpoint::shut_down() {
  // Whoever still holds the endpoint when the transport has gone calls this with no connection
  // left.
  if (!lives_.empty()) {
    const auto at = now();
    for (Live& live : lives_) live.session->close(0, "the node is shutting down", at);
    for (Live& live : lives_) {
      write(live, at);
      tell_of_end(live);
    }
  }
  while (!lives_.empty()) forget(lives_.front());
  dirty_.clear();
  for (const auto& port : ports_) port->descriptor.cancel();
  ports_.clear();
  timer_.cancel();
}

void QuicEndpoint::add_socket(std::shared_ptr<UdpSocket> socket,
                              std::shared_ptr<Acceptor> acceptor) {
  auto port = std::make_shared<Port>(executor_, std::move(socket), std::move(acceptor));
  ports_.push_back(port);
  wait_readable(std::move(port));
}

void QuicEndpoint::remove_socket(const UdpSocket& socket) {
  const auto port = port_of(socket);
  if (!port) return;
  port->acceptor.reset();
  if (std::ranges::any_of(lives_, [&](const Live& live) { return live.port == port; })) return;
  port->descriptor.cancel();
  std::erase(ports_, port);
}

std::shared_ptr<QuicEndpoint::Port> QuicEndpoint::port_of(const UdpSocket& socket) const {
  const auto found =
      std::ranges::find_if(ports_, [&](const auto& port) { return port->socket.get() == &socket; });
  return found == ports_.end() ? nullptr : *found;
}

base::MonotonicTime ConnectionState::now() const {
  const auto alive = endpoint.lock();
  return alive ? alive->now() : base::MonotonicTime::max();
}

QuicEndpoint::Live::Live(QuicEndpoint& endpoint, std::shared_ptr<Port> port)
    : endpoint(endpoint),
      state(std::make_shared<ConnectionState>(endpoint.executor_)),
      port(std::move(port)) {
  state->endpoint = endpoint.weak_from_this();
}

QuicEndpoint::Live& QuicEndpoint::add(std::shared_ptr<Port> port) {
  Live& live = lives_.emplace_back(*this, std::move(port));
  live.place = std::prev(lives_.end());
  meters_.connections.store(lives_.size(), std::memory_order_relaxed);
  return live;
}

// --- connecting ---

Result<std::shared_ptr<ConnectionState>> QuicEndpoint::connect(std::shared_ptr<UdpSocket> socket,
                                                               const sockaddr_in6& to,
                                                               const std::optional<NodeId>& peer,
                                                               const SessionOptions& options,
                                                               const Resumption* resumption) {
  TRY(const sockaddr_in6 from, socket->local_towards(to));
  auto port = port_of(*socket);
  BASE_ASSERT(port != nullptr, "a connection leaves by a socket of its endpoint");
  Live& live = add(std::move(port));
  live.state->alpn = options.alpn.front();
  auto session =
      Session::connect(live, shared_.tls, rng_, options, {from, to}, peer, resumption, now());
  if (!session) {
    forget(live);
    return std::unexpected(session.error());
  }
  live.session = *std::move(session);
  live.state->session = live.session.get();
  live.dialled = dialled_.emplace(key_of(to), &live);
  live.wants_write();
  return live.state;
}

Result<> QuicEndpoint::migrate(Session& session, std::shared_ptr<UdpSocket> to) {
  TRY(const sockaddr_in6 from, to->local_towards(session.path().remote));
  TRY_DO(session.migrate({from, session.path().remote}, now()));
  add_socket(to, nullptr);
  static_cast<Live&>(session.host()).port = ports_.back();
  return {};
}

// A client whose machine was given another address goes on from it, when its routes say so.
void QuicEndpoint::seek_way(Live& live, MonotonicTime at) {
  Session& session = *live.session;
  if (session.is_server() || session.ended()) {
    live.no_way = false;
    return;
  }
  if (at < live.way_sought + kSeekWayEvery) return;
  live.way_sought = at;
  const auto from = live.port->socket->local_towards(session.path().remote);
  live.no_way = !from;
  if (!from) return;
  const Path path{*from, session.path().remote};
  // Refused while the peer has not confirmed the handshake, or has given no id for another path.
  if (!(path == session.path()) && !session.migrate(path, at)) live.no_way = true;
}

void QuicEndpoint::close(Session& session, std::string reason, std::uint64_t code) {
  session.close(code, std::move(reason), now());
}

// --- the session's calls ---

void QuicEndpoint::Live::issue(Session&, ConnectionId& id, std::uint8_t* reset_token,
                               std::size_t id_bytes) {
  id.datalen = id_bytes;
  endpoint.rng_.fill({id.data, id_bytes});
  // The first byte leads datagrams to the core that owns the connection.
  const unsigned cores = endpoint.shared_.cores();
  id.data[0] = static_cast<std::uint8_t>(id.data[0] % (256 / cores) * cores + endpoint.core_);
  quic::reset_token(reset_token, endpoint.shared_.reset_secret, {id.data, id.datalen});
  ids.push_back(id);
  endpoint.ids_.emplace(id, this);
}

void QuicEndpoint::Live::retire(Session&, const ConnectionId& id) {
  std::erase_if(ids, [&](const auto& own) { return ngtcp2_cid_eq(&own, &id); });
  endpoint.ids_.erase(id);
  if (endpoint.last_ == this) endpoint.last_ = nullptr;
}

void QuicEndpoint::Live::wants_write() {
  if (dirty) return;
  dirty = true;
  endpoint.dirty_.push_back(this);
  endpoint.schedule_flush();
}

void QuicEndpoint::Live::established(Session&) {
  state->established = true;
  quiet_since = endpoint.now();
  endpoint.meters_.count(session->resumed() ? Handshake::Resumed : Handshake::Full);
  state->peer = session->peer();
  if (account != nullptr) {
    const std::lock_guard lock(endpoint.shared_.mutex);
    endpoint.shared_.limits.established();
    counted_established = true;
  }
  offer();
  // Whoever closes at once must not leave the peer without the end of the handshake.
  endpoint.answer_first_ = true;
  state->changed.notify();
  state->streams_available.notify();
}

void QuicEndpoint::Live::offer() {
  if (offered || !session->is_server()) return;
  offered = true;
  state->peer = session->peer();
  state->alpn = session->alpn();
  if (port->acceptor) {
    port->acceptor->accepted(state);
    return;
  }
  // Later: this is called from inside the session.
  asio::post(endpoint.executor_, [weak = endpoint.weak_from_this(), state = state] {
    const auto self = weak.lock();
    if (self && state->session != nullptr)
      self->close(*state->session, "the listener was closed", 0);
  });
}

bool QuicEndpoint::Live::stream_opened(Session&, std::shared_ptr<StreamState> stream) {
  if (!endpoint.count_stream(*this)) return false;
  offer();
  (void)state->streams.try_send(std::move(stream));
  return true;
}

void QuicEndpoint::Live::streams_available(Session&) {
  state->streams_available.notify();
}

void QuicEndpoint::Live::datagram_received(Session&, base::BytesView bytes) {
  (void)state->datagrams.try_send(base::Bytes(bytes.begin(), bytes.end()));
}

void QuicEndpoint::Live::resumption_ready(Session&) {
  if (session->peer())
    endpoint.shared_.remember(*session->peer(), session->alpn(), session->resumption());
}

base::Bytes QuicEndpoint::Live::address_token(const Path& path) {
  const auto& secret = endpoint.shared_.token_secret;
  base::Bytes token(NGTCP2_CRYPTO_MAX_REGULAR_TOKENLEN);
  const auto written = ngtcp2_crypto_generate_regular_token(
      token.data(), secret.data(), secret.size(), native(path.remote), sizeof path.remote,
      stamp(endpoint.shared_.clock.wall()));
  token.resize(written > 0 ? static_cast<std::size_t>(written) : 0);
  return token;
}

// --- sending ---

void QuicEndpoint::schedule_flush() {
  if (flush_scheduled_) return;
  flush_scheduled_ = true;
  asio::post(executor_, [weak = weak_from_this()] {
    if (const auto self = weak.lock(); self && self->flush_scheduled_) self->flush();
  });
}

void QuicEndpoint::flush() {
  flush_scheduled_ = answer_first_ = false;
  // One that was posted before the transport went comes to nothing.
  if (dirty_.empty()) return arm();
  const auto at = now();
  turn_.swap(dirty_);
  for (Live* live : turn_) {
    live->dirty = false;
    write(*live, at);
  }
  for (Live* live : turn_) settle(*live, at);
  turn_.clear();
  if (!dirty_.empty()) schedule_flush();
  arm();
}

void QuicEndpoint::write(Live& live, MonotonicTime at) {
  Port& port = *live.port;
  if (port.blocked) {
    live.dirty = true;
    port.held.push_back(&live);
    return;
  }
  Burst burst;
  for (int bursts = 0; bursts < kBurstsPerTurn; ++bursts) {
    burst.data = burst_.data();
    if (!live.session->write(burst, at)) return;
    const auto sent = port.socket->send(burst);
    if (sent == UdpSocket::Sent::NoWay) live.no_way = true;
    if (sent == UdpSocket::Sent::Blocked) {
      port.waiting.assign(burst.data, burst.data + burst.bytes);
      port.waiting_burst = burst;
      port.blocked = true;
      wait_writable(live.port);
      live.dirty = true;
      port.held.push_back(&live);
      return;
    }
  }
  live.wants_write();
}

void QuicEndpoint::wait_writable(std::shared_ptr<Port> port) {
  auto& descriptor = port->descriptor;
  descriptor.async_wait(asio::posix::stream_descriptor::wait_write,
                        [weak = weak_from_this(), port](const boost::system::error_code& error) {
                          const auto self = weak.lock();
                          if (error || !self) return;
                          port->waiting_burst.data = port->waiting.data();
                          if (port->socket->send(port->waiting_burst) == UdpSocket::Sent::Blocked) {
                            self->wait_writable(port);
                            return;
                          }
                          port->blocked = false;
                          self->dirty_.insert(self->dirty_.end(), port->held.begin(),
                                              port->held.end());
                          port->held.clear();
                          self->flush();
                        });
}

// After a session was driven: tells its holders of its end, and sets its timer.
void QuicEndpoint::settle(Live& live, MonotonicTime at) {
  count_unread(live, at);
  measure(live, at);
  tell_of_end(live);
  if (live.session->over()) {
    forget(live);
  } else {
    if (live.no_way) seek_way(live, at);
    const auto due = live.session->next_timeout();
    wheel_.arm(live, live.no_way ? std::min(due, at + kSeekWayEvery) : due);
  }
}

void QuicEndpoint::tell_of_end(Live& live) {
  if (!live.session->ended() || live.told) return;
  live.told = true;
  ConnectionState& state = *live.state;
  state.ended = live.session->ended();
  state.close_code = live.session->close_code();
  state.session = nullptr;
  state.streams.close();
  state.datagrams.close();
  state.changed.notify();
  state.streams_available.notify();
  release_account(live);
  if (state.established) return;
  switch (state.ended->code) {
    case Errc::NotVerified:
      return meters_.count(Handshake::NotVerified);
    case Errc::TimedOut:
      return meters_.count(Handshake::TimedOut);
    default:
      return meters_.count(Handshake::Failed);
  }
}

void QuicEndpoint::measure(Live& live, MonotonicTime at) {
  meters_.add(live.session->counted(), live.measured);
  live.measured = live.session->counted();
  if (at < live.round_trip_due) return;
  const ConnectionStats stats = live.session->stats();
  if (stats.rtt_min == base::Duration::zero()) return;
  meters_.round_trips.observe(stats.rtt, at);
  live.round_trip_due = at + kRoundTripSampleEvery;
}

// What is over, and only answers latecomers, takes nobody's place.
void QuicEndpoint::release_account(Live& live) {
  if (live.account == nullptr) return;
  const std::lock_guard lock(shared_.mutex);
  shared_.limits.streams_closed(*live.account, live.streams);
  shared_.limits.closed(*live.account, live.counted_established);
  live.account = nullptr;
}

void QuicEndpoint::forget(Live& live) {
  wheel_.disarm(live);
  if (live.dialled) dialled_.erase(*live.dialled);
  for (const auto& id : live.ids) ids_.erase(id);
  if (last_ == &live) last_ = nullptr;
  std::erase(dirty_, &live);
  std::erase(live.port->held, &live);
  unread_bytes_ -= live.unread;
  release_account(live);
  live.state->session = nullptr;
  lives_.erase(live.place);
  meters_.connections.store(lives_.size(), std::memory_order_relaxed);
}

void QuicEndpoint::arm() {
  const auto at = wheel_.next();
  if (at == MonotonicTime::max()) {
    if (timer_at_ != at) timer_.cancel();
    timer_at_ = at;
    return;
  }
  // A timer that comes early looks again: most deadlines are moved on before they come.
  if (at >= timer_at_) return;
  timer_at_ = at;
  timer_.expires_at(std::chrono::time_point_cast<asio::steady_timer::duration>(at));
  timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (error || !self) return;
    self->timer_at_ = MonotonicTime::max();
    const auto at = self->now();
    while (TimerWheel::Node* node = self->wheel_.expire(at)) {
      Live& live = *static_cast<Live*>(node);
      live.session->handle_timeout(at);
      if (live.session->in_doubt()) self->seek_way(live, at);
      live.wants_write();
    }
    self->flush();
  });
}

}  // namespace stoq::quic
