#include "transport/quic/endpoint.hpp"

#include <ngtcp2/ngtcp2_crypto.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cstring>

namespace stoq::quic {

namespace asio = boost::asio;
using base::Errc;
using base::MonotonicTime;
using base::Result;

namespace {

constexpr int kReadsPerTurn = 16;
constexpr int kBurstsPerTurn = 4;  // Of one connection, before the next has its turn.
constexpr std::size_t kOwnIdBytes = 18;
constexpr auto kRoundTripSampleEvery = std::chrono::milliseconds(100);
constexpr std::size_t kStatelessPerSecond = 1000;
constexpr auto kRetryTokenLife = std::chrono::seconds(10);
constexpr auto kAddressTokenLife = std::chrono::hours(24);
constexpr std::size_t kInitialBytesMin = 1200;
// A packet that may be a probe of an attacker gets no reset that could loop (RFC 9000, 10.3.3).
constexpr std::size_t kResetBytesMin = 43;

ngtcp2_tstamp wall_stamp(base::WallTime time) {
  return static_cast<ngtcp2_tstamp>(time.time_since_epoch().count());
}
ngtcp2_duration span(base::Duration duration) {
  return static_cast<ngtcp2_duration>(duration.count());
}
const sockaddr* generic(const sockaddr_in6& address) {
  return reinterpret_cast<const sockaddr*>(&address);
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

base::MonotonicTime ConnectionState::now() const {
  const auto alive = endpoint.lock();
  return alive ? alive->now() : base::MonotonicTime::max();
}

// A socket, who listens on it, and what it could not send yet.
struct QuicEndpoint::Port {
  Port(const base::Executor& executor, std::shared_ptr<UdpSocket> socket,
       std::shared_ptr<Acceptor> acceptor)
      : socket(std::move(socket)),
        acceptor(std::move(acceptor)),
        descriptor(executor, dup(this->socket->fd())) {}
  std::shared_ptr<UdpSocket> socket;
  std::shared_ptr<Acceptor> acceptor;
  asio::posix::stream_descriptor descriptor;
  bool blocked = false;
  base::Bytes waiting;  // A burst that the socket did not take.
  Burst waiting_burst;
};

// One connection, and its place among the timers.
struct QuicEndpoint::Live : TimerWheel::Node {
  std::unique_ptr<Session> session;
  std::shared_ptr<ConnectionState> state;
  std::shared_ptr<Port> port;
  std::vector<ConnectionId> ids;
  SourceLimits::Account* account = nullptr;
  ConnectionStats measured;
  MonotonicTime round_trip_due{};
  bool dirty = false, offered = false, told = false, counted_established = false;
};

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
      ids_(16, IdHash{rng_.u64()}),
      burst_(Burst::kBytesMax + 1500) {}

QuicEndpoint::~QuicEndpoint() {
  shut_down();
}

void QuicEndpoint::shut_down() {
  for (auto& [session, live] : lives_) session->close(0, "the node is shutting down", now());
  for (auto& [session, live] : lives_) {
    write(*live);
    settle(*live);
  }
  while (!lives_.empty()) forget(*lives_.begin()->second);
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
  Port* port = port_of(socket);
  if (port == nullptr) return;
  port->acceptor.reset();
  const bool used = std::ranges::any_of(
      lives_, [&](const auto& entry) { return entry.second->port.get() == port; });
  if (used) return;
  port->descriptor.cancel();
  std::erase_if(ports_, [&](const auto& p) { return p.get() == port; });
}

QuicEndpoint::Port* QuicEndpoint::port_of(const UdpSocket& socket) {
  const auto found =
      std::ranges::find_if(ports_, [&](const auto& port) { return port->socket.get() == &socket; });
  return found == ports_.end() ? nullptr : found->get();
}

// --- receiving ---

void QuicEndpoint::wait_readable(std::shared_ptr<Port> port) {
  auto& descriptor = port->descriptor;
  descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                        [weak = weak_from_this(), port](const boost::system::error_code& error) {
                          const auto self = weak.lock();
                          if (error || !self || !port->descriptor.is_open()) return;
                          self->read(*port);
                          self->wait_readable(port);
                        });
}

void QuicEndpoint::read(Port& port) {
  port.socket->receive([&](const Path& path, std::uint8_t ecn,
                           base::BytesView datagram) { dispatch(port, path, ecn, datagram); },
                       kReadsPerTurn);
  flush();
}

void QuicEndpoint::dispatch(Port& port, const Path& path, std::uint8_t ecn,
                            base::BytesView datagram) {
  ngtcp2_version_cid ids;
  const int decoded =
      ngtcp2_pkt_decode_version_cid(&ids, datagram.data(), datagram.size(), kOwnIdBytes);
  if (decoded != 0 && decoded != NGTCP2_ERR_VERSION_NEGOTIATION) return;
  if (ids.dcidlen > NGTCP2_MAX_CIDLEN || ids.scidlen > NGTCP2_MAX_CIDLEN) return;
  ConnectionId to;
  ngtcp2_cid_init(&to, ids.dcid, ids.dcidlen);
  const auto found = ids_.find(to);
  if (found == ids_.end()) {
    // Its first byte says whose it is: another core's, if the kernel does not steer.
    const unsigned owner = to.datalen > 0 ? to.data[0] % shared_.cores() : core_;
    if (owner != core_) {
      ++misdirected_;
      if (const auto other = shared_.endpoints[owner].lock()) {
        other->take_over(port.socket->local().sin6_port, path, ecn,
                         base::Bytes(datagram.begin(), datagram.end()));
      }
      return;
    }
    unknown(port, path, ecn, datagram, ids);
    return;
  }
  Live& live = *found->second;
  if (live.account != nullptr && shared_.limits.limits().bytes_per_source_per_second > 0) {
    const std::lock_guard lock(shared_.mutex);
    if (!shared_.limits.may_receive(*live.account, datagram.size(), now())) return;
  }
  live.session->receive(path, ecn, datagram, now());
}

void QuicEndpoint::take_over(std::uint16_t port, const Path& path, std::uint8_t ecn,
                             base::Bytes datagram) {
  asio::post(executor_, [weak = weak_from_this(), port, path, ecn, bytes = std::move(datagram)] {
    const auto self = weak.lock();
    if (!self) return;
    const auto found = std::ranges::find_if(
        self->ports_, [&](const auto& p) { return p->socket->local().sin6_port == port; });
    if (found == self->ports_.end()) return;
    self->dispatch(**found, path, ecn, bytes);
    self->flush();
  });
}

void QuicEndpoint::answer(Port& port, const Path& path, base::BytesView datagram) {
  const auto at = now();
  const double seconds = std::chrono::duration<double>(at - stateless_refilled_).count();
  stateless_left_ =
      std::min<double>(kStatelessPerSecond, stateless_left_ + seconds * kStatelessPerSecond);
  stateless_refilled_ = at;
  if (stateless_left_ < 1) return;
  stateless_left_ -= 1;
  base::Bytes copy(datagram.begin(), datagram.end());
  Burst burst;
  burst.path = path;
  burst.data = copy.data();
  burst.bytes = burst.segment_bytes = copy.size();
  (void)port.socket->send(burst);
}

// What belongs to no connection: a new one, another version, or one that was forgotten.
void QuicEndpoint::unknown(Port& port, const Path& path, std::uint8_t ecn, base::BytesView datagram,
                           const ngtcp2_version_cid& ids) {
  std::uint8_t out[NGTCP2_MAX_UDP_PAYLOAD_SIZE];
  if (ids.version == 0) {
    // A client of ours whose connection is young finds the reset of its peer by its socket.
    if (datagram.size() < kResetBytesMin) return;
    ConnectionId id;
    ngtcp2_cid_init(&id, ids.dcid, ids.dcidlen);
    std::uint8_t token[NGTCP2_STATELESS_RESET_TOKENLEN];
    if (ngtcp2_crypto_generate_stateless_reset_token(token, shared_.reset_secret.data(),
                                                     shared_.reset_secret.size(), &id) != 0)
      return;
    // Shorter than what caused it, so that two ends that forgot each other fall silent.
    std::uint8_t unpredictable[64];
    const std::size_t random_bytes = std::min<std::size_t>(
        sizeof unpredictable, datagram.size() - NGTCP2_STATELESS_RESET_TOKENLEN - 2);
    rng_.fill({unpredictable, random_bytes});
    const auto written =
        ngtcp2_pkt_write_stateless_reset(out, sizeof out, token, unpredictable, random_bytes);
    if (written > 0) answer(port, path, {out, static_cast<std::size_t>(written)});
    return;
  }
  if (!port.acceptor) return;
  if (ids.version != NGTCP2_PROTO_VER_V1) {
    if (datagram.size() < kInitialBytesMin) return;
    const std::uint32_t versions[] = {NGTCP2_PROTO_VER_V1};
    const auto written = ngtcp2_pkt_write_version_negotiation(
        out, sizeof out, static_cast<std::uint8_t>(rng_.u64()), ids.scid, ids.scidlen, ids.dcid,
        ids.dcidlen, versions, 1);
    if (written > 0) answer(port, path, {out, static_cast<std::size_t>(written)});
    return;
  }
  ngtcp2_pkt_hd header;
  if (ngtcp2_accept(&header, datagram.data(), datagram.size()) != 0) return;
  begin(port, path, ecn, datagram, header);
}

void QuicEndpoint::begin(Port& port, const Path& path, std::uint8_t ecn, base::BytesView datagram,
                         const ngtcp2_pkt_hd& header) {
  std::uint8_t out[NGTCP2_MAX_UDP_PAYLOAD_SIZE];
  const auto refuse = [&](std::uint64_t code, std::string_view reason) {
    const auto written = ngtcp2_crypto_write_connection_close(
        out, sizeof out, header.version, &header.scid, &header.dcid, code,
        reinterpret_cast<const std::uint8_t*>(reason.data()), reason.size());
    if (written > 0) answer(port, path, {out, static_cast<std::size_t>(written)});
  };

  Session::Server server{header.scid, header.dcid, std::nullopt, {}};
  bool validated = false;
  const base::BytesView token{header.token.base, header.token.len};
  const auto wall = wall_stamp(shared_.clock.wall());
  if (!token.empty() && token[0] == NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY) {
    ConnectionId original;
    if (ngtcp2_crypto_verify_retry_token(&original, token.data(), token.size(),
                                         shared_.token_secret.data(), shared_.token_secret.size(),
                                         header.version, generic(path.remote), sizeof path.remote,
                                         &header.dcid, span(kRetryTokenLife), wall) != 0) {
      refuse(NGTCP2_INVALID_TOKEN, "the address could not be verified: try again");
      return;
    }
    server.original_id = original;
    server.retry_id = header.dcid;
    server.token = token;
    validated = true;
  } else if (!token.empty() && token[0] == NGTCP2_CRYPTO_TOKEN_MAGIC_REGULAR) {
    validated =
        ngtcp2_crypto_verify_regular_token(token.data(), token.size(), shared_.token_secret.data(),
                                           shared_.token_secret.size(), generic(path.remote),
                                           sizeof path.remote, span(kAddressTokenLife), wall) == 0;
    if (validated) server.token = token;
  }

  SourceLimits::Verdict verdict;
  {
    const std::lock_guard lock(shared_.mutex);
    verdict = shared_.limits.admit(path.remote, validated, now());
  }
  if (verdict == SourceLimits::Verdict::Refuse) {
    meters_.count(Handshake::Refused);
    refuse(NGTCP2_CONNECTION_REFUSED, "the limit of connections is reached");
    return;
  }
  if (verdict == SourceLimits::Verdict::Retry) {
    meters_.count(Handshake::Retried);
    ConnectionId ours{};
    ours.datalen = kOwnIdBytes;
    rng_.fill({ours.data, kOwnIdBytes});
    // Back to this core.
    ours.data[0] = header.dcid.data[0];
    std::uint8_t retry_token[NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN];
    const auto token_bytes = ngtcp2_crypto_generate_retry_token(
        retry_token, shared_.token_secret.data(), shared_.token_secret.size(), header.version,
        generic(path.remote), sizeof path.remote, &ours, &header.dcid, wall);
    if (token_bytes < 0) return;
    const auto written =
        ngtcp2_crypto_write_retry(out, sizeof out, header.version, &header.scid, &ours,
                                  &header.dcid, retry_token, static_cast<std::size_t>(token_bytes));
    if (written > 0) answer(port, path, {out, static_cast<std::size_t>(written)});
    return;
  }

  SessionOptions options = shared_.session;
  options.alpn = port.acceptor->options.alpn;
  options.anonymous_peers = port.acceptor->options.anonymous_peers;
  options.certificates = port.acceptor->options.certificates;
  auto live = std::make_unique<Live>();
  live->port = *std::ranges::find(ports_, &port, &std::shared_ptr<Port>::get);
  live->state = std::make_shared<ConnectionState>(executor_);
  live->state->endpoint = weak_from_this();
  making_ = live.get();
  auto session = Session::accept(*this, shared_.tls, rng_, options, path, server, now());
  making_ = nullptr;
  if (!session) {
    for (const auto& id : live->ids) ids_.erase(id);
    refuse(NGTCP2_CONNECTION_REFUSED, "no certificate to show now");
    return;
  }
  live->session = *std::move(session);
  live->state->session = live->session.get();
  {
    const std::lock_guard lock(shared_.mutex);
    live->account = &shared_.limits.opened(path.remote, now());
  }
  // Until the client has heard our id, it writes to the one it chose.
  live->ids.push_back(header.dcid);
  ids_.emplace(header.dcid, live.get());
  Live& made = *live;
  lives_.emplace(made.session.get(), std::move(live));
  meters_.connections.store(lives_.size(), std::memory_order_relaxed);
  made.session->receive(path, ecn, datagram, now());
}

// --- connecting ---

Result<std::shared_ptr<ConnectionState>> QuicEndpoint::connect(std::shared_ptr<UdpSocket> socket,
                                                               const sockaddr_in6& to,
                                                               const std::optional<NodeId>& peer,
                                                               const SessionOptions& options,
                                                               const Resumption* resumption) {
  TRY(const sockaddr_in6 from, socket->local_towards(to));
  Port* port = port_of(*socket);
  BASE_ASSERT(port != nullptr, "a connection leaves by a socket of its endpoint");
  auto live = std::make_unique<Live>();
  live->port = *std::ranges::find(ports_, port, &std::shared_ptr<Port>::get);
  live->state = std::make_shared<ConnectionState>(executor_);
  live->state->endpoint = weak_from_this();
  live->state->alpn = options.alpn.front();
  making_ = live.get();
  auto session =
      Session::connect(*this, shared_.tls, rng_, options, {from, to}, peer, resumption, now());
  making_ = nullptr;
  if (!session) {
    for (const auto& id : live->ids) ids_.erase(id);
    return std::unexpected(session.error());
  }
  live->session = *std::move(session);
  live->state->session = live->session.get();
  const auto state = live->state;
  Session& made = *live->session;
  lives_.emplace(&made, std::move(live));
  meters_.connections.store(lives_.size(), std::memory_order_relaxed);
  wants_write(made);
  return state;
}

Result<> QuicEndpoint::migrate(Session& session, std::shared_ptr<UdpSocket> to) {
  TRY(const sockaddr_in6 from, to->local_towards(session.path().remote));
  TRY_DO(session.migrate({from, session.path().remote}, now()));
  add_socket(to, nullptr);
  lives_.at(&session)->port = ports_.back();
  return {};
}

void QuicEndpoint::close(Session& session, std::string reason) {
  session.close(0, std::move(reason), now());
}

// --- the session's calls ---

void QuicEndpoint::issue(Session& session, ConnectionId& id, std::uint8_t* reset_token,
                         std::size_t id_bytes) {
  id.datalen = id_bytes;
  rng_.fill({id.data, id_bytes});
  // The first byte leads datagrams to the core that owns the connection.
  id.data[0] =
      static_cast<std::uint8_t>(id.data[0] % (256 / shared_.cores()) * shared_.cores() + core_);
  const int made = ngtcp2_crypto_generate_stateless_reset_token(
      reset_token, shared_.reset_secret.data(), shared_.reset_secret.size(), &id);
  BASE_ASSERT(made == 0, "HKDF with SHA-256 cannot fail");
  Live* live = making_ != nullptr ? making_ : lives_.at(&session).get();
  live->ids.push_back(id);
  ids_.emplace(id, live);
}

void QuicEndpoint::retire(Session& session, const ConnectionId& id) {
  const auto found = lives_.find(&session);
  if (found == lives_.end()) return;
  std::erase_if(found->second->ids, [&](const auto& own) { return ngtcp2_cid_eq(&own, &id); });
  ids_.erase(id);
}

void QuicEndpoint::wants_write(Session& session) {
  const auto found = lives_.find(&session);
  if (found == lives_.end() || found->second->dirty) return;
  found->second->dirty = true;
  dirty_.push_back(found->second.get());
  schedule_flush();
}

void QuicEndpoint::established(Session& session) {
  Live& live = *lives_.at(&session);
  live.state->established = true;
  meters_.count(session.resumed() ? Handshake::Resumed : Handshake::Full);
  live.state->peer = session.peer();
  if (live.account != nullptr) {
    const std::lock_guard lock(shared_.mutex);
    shared_.limits.established();
    live.counted_established = true;
  }
  offer(live);
  live.state->changed.notify();
  live.state->streams_available.notify();
}

// Gives a new connection to whoever listens: once it is established, or once an early request of a
// peer that is known has come.
void QuicEndpoint::offer(Live& live) {
  if (live.offered || !live.session->is_server()) return;
  live.offered = true;
  live.state->peer = live.session->peer();
  live.state->alpn = live.session->alpn();
  const auto acceptor = live.port->acceptor;
  if (!acceptor) {
    // Later: this is called from inside the session.
    asio::post(executor_, [weak = weak_from_this(), state = live.state] {
      const auto self = weak.lock();
      if (self && state->session != nullptr)
        self->close(*state->session, "the listener was closed");
    });
    return;
  }
  acceptor->accepted(live.state);
}

void QuicEndpoint::stream_opened(Session& session, std::shared_ptr<StreamState> stream) {
  Live& live = *lives_.at(&session);
  offer(live);
  (void)live.state->streams.try_send(std::move(stream));
}

void QuicEndpoint::streams_available(Session& session) {
  lives_.at(&session)->state->streams_available.notify();
}

void QuicEndpoint::datagram_received(Session& session, base::BytesView bytes) {
  (void)lives_.at(&session)->state->datagrams.try_send(base::Bytes(bytes.begin(), bytes.end()));
}

void QuicEndpoint::resumption_ready(Session& session) {
  if (session.peer()) shared_.remember(*session.peer(), session.alpn(), session.resumption());
}

base::Bytes QuicEndpoint::address_token(const Path& path) {
  base::Bytes token(NGTCP2_CRYPTO_MAX_REGULAR_TOKENLEN);
  const auto written = ngtcp2_crypto_generate_regular_token(
      token.data(), shared_.token_secret.data(), shared_.token_secret.size(), generic(path.remote),
      sizeof path.remote, wall_stamp(shared_.clock.wall()));
  token.resize(written > 0 ? static_cast<std::size_t>(written) : 0);
  return token;
}

void QuicEndpoint::path_changed(Session&, const Path&) {}

// --- sending ---

void QuicEndpoint::schedule_flush() {
  if (flush_scheduled_) return;
  flush_scheduled_ = true;
  asio::post(executor_, [weak = weak_from_this()] {
    if (const auto self = weak.lock(); self && self->flush_scheduled_) self->flush();
  });
}

void QuicEndpoint::flush() {
  flush_scheduled_ = false;
  std::vector<Live*> turn;
  turn.swap(dirty_);
  for (Live* live : turn) {
    live->dirty = false;
    write(*live);
  }
  for (Live* live : turn) settle(*live);
  if (!dirty_.empty()) schedule_flush();
  arm();
}

void QuicEndpoint::write(Live& live) {
  Port& port = *live.port;
  if (port.blocked) {
    if (!live.dirty) wants_write(*live.session);
    return;
  }
  const auto at = now();
  Burst burst;
  for (int bursts = 0; bursts < kBurstsPerTurn; ++bursts) {
    burst.data = burst_.data();
    if (!live.session->write(burst, at)) return;
    if (port.socket->send(burst) == UdpSocket::Sent::Blocked) {
      port.waiting.assign(burst.data, burst.data + burst.bytes);
      port.waiting_burst = burst;
      port.blocked = true;
      wait_writable(live.port);
      wants_write(*live.session);
      return;
    }
  }
  wants_write(*live.session);
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
                          self->flush();
                        });
}

// After a session was driven: tells its holders of its end, and sets its timer.
void QuicEndpoint::settle(Live& live) {
  Session& session = *live.session;
  measure(live);
  if (session.ended() && !live.told) tell_of_end(live);
  if (session.over()) {
    forget(live);
    return;
  }
  wheel_.arm(live, session.next_timeout());
}

void QuicEndpoint::tell_of_end(Live& live) {
  live.told = true;
  ConnectionState& state = *live.state;
  state.ended = live.session->ended();
  state.session = nullptr;
  state.streams.close();
  state.datagrams.close();
  state.changed.notify();
  state.streams_available.notify();
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

void QuicEndpoint::measure(Live& live) {
  const ConnectionStats stats = live.session->stats();
  meters_.add(stats, live.measured);
  live.measured = stats;
  const auto at = now();
  if (at < live.round_trip_due || stats.rtt_min == base::Duration::zero()) return;
  meters_.round_trips.observe(stats.rtt, at);
  live.round_trip_due = at + kRoundTripSampleEvery;
}

void QuicEndpoint::forget(Live& live) {
  wheel_.disarm(live);
  for (const auto& id : live.ids) ids_.erase(id);
  std::erase(dirty_, &live);
  if (live.account != nullptr) {
    const std::lock_guard lock(shared_.mutex);
    shared_.limits.closed(*live.account, live.counted_established);
  }
  live.state->session = nullptr;
  lives_.erase(live.session.get());
  meters_.connections.store(lives_.size(), std::memory_order_relaxed);
}

void QuicEndpoint::arm() {
  const auto at = wheel_.next();
  if (at == timer_at_) return;
  timer_at_ = at;
  if (at == MonotonicTime::max()) {
    timer_.cancel();
    return;
  }
  timer_.expires_at(std::chrono::time_point_cast<asio::steady_timer::duration>(at));
  timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (error || !self) return;
    self->timer_at_ = MonotonicTime::max();
    const auto at = self->now();
    while (TimerWheel::Node* node = self->wheel_.expire(at)) {
      Live& live = *static_cast<Live*>(node);
      live.session->handle_timeout(at);
      self->wants_write(*live.session);
    }
    self->flush();
  });
}

}  // namespace stoq::quic
