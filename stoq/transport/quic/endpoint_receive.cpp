#include <ngtcp2/ngtcp2_crypto.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cstring>

#include "transport/quic/endpoint_parts.hpp"
#include "transport/quic/native.hpp"

// What an endpoint does with datagrams: gives them to their connections, begins new ones, answers
// those of nobody.

namespace stoq::quic {

namespace asio = boost::asio;
using base::MonotonicTime;

namespace {

constexpr int kReadsPerTurn = 16;
// Then whoever reads has its turn, while what was received is still in the cache.
constexpr std::size_t kBytesPerTurn = 64 * 1024;
constexpr std::size_t kHandedOverMax = 4096;  // Datagrams that other cores received.
// By the clock that never jumps: who is set back or forth in the middle of a handshake goes on.
constexpr auto kRetryTokenLife = std::chrono::seconds(10);
constexpr auto kAddressTokenLife = std::chrono::hours(24);
constexpr std::size_t kInitialBytesMin = 1200;
// A reset is two bytes shorter than what it answers, and has 21 at least (RFC 9000, 10.3): the
// small packets of a client that waits are answered too.
constexpr std::size_t kAnsweredByResetMin =
    NGTCP2_MIN_STATELESS_RESET_RANDLEN + kResetTokenBytes + 2;

}  // namespace

void QuicEndpoint::wait_readable(std::shared_ptr<Port> port) {
  auto& descriptor = port->descriptor;
  descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                        [weak = weak_from_this(), port](const boost::system::error_code& error) {
                          const auto self = weak.lock();
                          if (!error && self) self->read_on(port);
                        });
}

void QuicEndpoint::read_on(const std::shared_ptr<Port>& port) {
  if (!port->descriptor.is_open()) return;
  if (!read(port)) {
    wait_readable(port);
    return;
  }
  // Behind the tasks that this woke; to ask the kernel whether there is more would cost more.
  asio::post(executor_, [weak = weak_from_this(), port] {
    if (const auto self = weak.lock()) self->read_on(port);
  });
}

bool QuicEndpoint::read(const std::shared_ptr<Port>& port) {
  const auto at = now();
  const bool more = port->socket->receive(
      [&](const Path& path, std::uint8_t ecn, base::BytesView bytes, std::size_t segment_bytes) {
        for (; !bytes.empty(); bytes = bytes.subspan(std::min(segment_bytes, bytes.size())))
          dispatch(port, path, ecn, bytes.first(std::min(segment_bytes, bytes.size())), at);
      },
      kReadsPerTurn, kBytesPerTurn);
  if (answer_first_) {
    flush();
  } else {
    // Behind the tasks that this woke: their answers travel with the acknowledgement.
    schedule_flush();
  }
  return more;
}

QuicEndpoint::Live* QuicEndpoint::owner_of(base::BytesView datagram) {
  // Datagrams of one connection come in rows. Theirs have a short header (RFC 9000, section 17.3).
  if (last_ == nullptr || datagram.size() <= kOwnIdBytes || (datagram[0] & 0x80) != 0)
    return nullptr;
  return std::memcmp(datagram.data() + 1, last_id_.data(), kOwnIdBytes) == 0 ? last_ : nullptr;
}

void QuicEndpoint::dispatch(const std::shared_ptr<Port>& port, const Path& path, std::uint8_t ecn,
                            base::BytesView datagram, MonotonicTime at) {
  if (datagram.empty()) return;  // ngtcp2 takes none of those.
  Live* live = owner_of(datagram);
  if (live == nullptr) {
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
      if (owner == core_) {
        unknown(port, path, ecn, datagram, ids, at);
        return;
      }
      ++misdirected_;
      if (const auto other = shared_.endpoints[owner].lock()) {
        other->take_over(port->socket->local().sin6_port, path, ecn,
                         base::Bytes(datagram.begin(), datagram.end()));
      }
      return;
    }
    live = found->second;
    if (to.datalen == kOwnIdBytes) {
      last_ = live;
      std::memcpy(last_id_.data(), to.data, kOwnIdBytes);
    }
  }
  if (live->account != nullptr && shared_.limits.limits().bytes_per_source_per_second > 0) {
    const std::lock_guard lock(shared_.mutex);
    if (!shared_.limits.may_receive(*live->account, datagram.size(), at)) return;
  }
  live->session->receive(path, ecn, datagram, at);
  count_unread(*live, at);
}

void QuicEndpoint::take_over(std::uint16_t port, const Path& path, std::uint8_t ecn,
                             base::Bytes datagram) {
  // A core that does not keep up loses datagrams, as a socket does whose buffer is full.
  if (handed_over_.fetch_add(1) >= kHandedOverMax) {
    --handed_over_;
    return;
  }
  asio::post(executor_, [weak = weak_from_this(), port, path, ecn, bytes = std::move(datagram)] {
    const auto self = weak.lock();
    if (!self) return;
    --self->handed_over_;
    const auto found = std::ranges::find_if(
        self->ports_, [&](const auto& p) { return p->socket->local().sin6_port == port; });
    if (found == self->ports_.end()) return;
    self->dispatch(*found, path, ecn, bytes, self->now());
    self->schedule_flush();
  });
}

void QuicEndpoint::answer(const Port& port, const Path& path, base::BytesView datagram,
                          MonotonicTime at) {
  {
    const std::lock_guard lock(shared_.mutex);
    if (!shared_.limits.may_answer(path.remote, at)) return;
  }
  base::Bytes copy(datagram.begin(), datagram.end());
  Burst burst;
  burst.path = path;
  burst.data = copy.data();
  burst.bytes = burst.segment_bytes = copy.size();
  (void)port.socket->send(burst);
}

// A peer that was started again does not know to which connection a packet belonged: its answer
// names none, and is recognized by the token alone.
QuicEndpoint::Live* QuicEndpoint::reset_by(const Path& path, base::BytesView datagram) {
  auto [first, last] = dialled_.equal_range(key_of(path.remote));
  for (; first != last; ++first) {
    if (first->second->session->is_reset(datagram)) return first->second;
  }
  return nullptr;
}

// What belongs to no connection: a new one, another version, or one that was forgotten.
void QuicEndpoint::unknown(const std::shared_ptr<Port>& port, const Path& path, std::uint8_t ecn,
                           base::BytesView datagram, const ngtcp2_version_cid& ids,
                           MonotonicTime at) {
  std::uint8_t out[NGTCP2_MAX_UDP_PAYLOAD_SIZE];
  if (ids.version == 0) {
    if (Live* const live = reset_by(path, datagram)) return live->session->reset_by_peer(at);
    if (datagram.size() < kAnsweredByResetMin) return;
    std::uint8_t token[kResetTokenBytes];
    reset_token(token, shared_.reset_secret, {ids.dcid, ids.dcidlen});
    // Shorter than what caused it, so that two ends that forgot each other fall silent.
    std::uint8_t unpredictable[64];
    const std::size_t random_bytes =
        std::min<std::size_t>(sizeof unpredictable, datagram.size() - kResetTokenBytes - 2);
    rng_.fill({unpredictable, random_bytes});
    const auto written =
        ngtcp2_pkt_write_stateless_reset(out, sizeof out, token, unpredictable, random_bytes);
    if (written > 0) answer(*port, path, {out, static_cast<std::size_t>(written)}, at);
    return;
  }
  if (!port->acceptor) return;
  if (ids.version != NGTCP2_PROTO_VER_V1) {
    if (datagram.size() < kInitialBytesMin) return;
    const std::uint32_t versions[] = {NGTCP2_PROTO_VER_V1};
    const auto written = ngtcp2_pkt_write_version_negotiation(
        out, sizeof out, static_cast<std::uint8_t>(rng_.u64()), ids.scid, ids.scidlen, ids.dcid,
        ids.dcidlen, versions, 1);
    if (written > 0) answer(*port, path, {out, static_cast<std::size_t>(written)}, at);
    return;
  }
  ngtcp2_pkt_hd header;
  if (ngtcp2_accept(&header, datagram.data(), datagram.size()) != 0) return;
  begin(port, path, ecn, datagram, header, at);
}

void QuicEndpoint::begin(const std::shared_ptr<Port>& port, const Path& path, std::uint8_t ecn,
                         base::BytesView datagram, const ngtcp2_pkt_hd& header, MonotonicTime at) {
  std::uint8_t out[NGTCP2_MAX_UDP_PAYLOAD_SIZE];
  const auto refuse = [&](std::uint64_t code, std::string_view reason) {
    const auto written = ngtcp2_crypto_write_connection_close(
        out, sizeof out, header.version, &header.scid, &header.dcid, code,
        reinterpret_cast<const std::uint8_t*>(reason.data()), reason.size());
    if (written > 0) answer(*port, path, {out, static_cast<std::size_t>(written)}, at);
  };

  Session::Server server{header.scid, header.dcid, std::nullopt, {}};
  bool validated = false;
  const base::BytesView token{header.token.base, header.token.len};
  const auto wall = stamp(shared_.clock.wall());
  if (!token.empty() && token[0] == NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY) {
    ConnectionId original;
    if (ngtcp2_crypto_verify_retry_token(&original, token.data(), token.size(),
                                         shared_.token_secret.data(), shared_.token_secret.size(),
                                         header.version, native(path.remote), sizeof path.remote,
                                         &header.dcid, native(kRetryTokenLife), stamp(at)) != 0) {
      refuse(NGTCP2_INVALID_TOKEN, "the address could not be verified: try again");
      return;
    }
    server.original_id = original;
    server.retry_id = header.dcid;
    server.token = token;
    validated = true;
  } else if (!token.empty() && token[0] == NGTCP2_CRYPTO_TOKEN_MAGIC_REGULAR) {
    validated =
        ngtcp2_crypto_verify_regular_token(
            token.data(), token.size(), shared_.token_secret.data(), shared_.token_secret.size(),
            native(path.remote), sizeof path.remote, native(kAddressTokenLife), wall) == 0;
    if (validated) server.token = token;
  }

  SourceLimits::Verdict verdict;
  bool crowded = false;
  {
    const std::lock_guard lock(shared_.mutex);
    verdict = shared_.limits.admit(path.remote, validated, at);
    crowded = shared_.limits.crowded();
  }
  if (crowded) make_room(at);
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
        native(path.remote), sizeof path.remote, &ours, &header.dcid, stamp(at));
    if (token_bytes < 0) return;
    const auto written =
        ngtcp2_crypto_write_retry(out, sizeof out, header.version, &header.scid, &ours,
                                  &header.dcid, retry_token, static_cast<std::size_t>(token_bytes));
    if (written > 0) answer(*port, path, {out, static_cast<std::size_t>(written)}, at);
    return;
  }

  SessionOptions options = shared_.session;
  options.alpn = port->acceptor->options.alpn;
  options.anonymous_peers = port->acceptor->options.anonymous_peers;
  options.certificates = port->acceptor->options.certificates;
  Live& live = add(port);
  auto session = Session::accept(live, shared_.tls, rng_, options, path, server, at);
  if (!session) {
    forget(live);
    refuse(NGTCP2_CONNECTION_REFUSED, "no certificate to show now");
    return;
  }
  live.session = *std::move(session);
  live.state->session = live.session.get();
  {
    const std::lock_guard lock(shared_.mutex);
    live.account = &shared_.limits.opened(path.remote, at);
  }
  // Until the client has heard our id, it writes to the one it chose.
  live.ids.push_back(header.dcid);
  ids_.emplace(header.dcid, &live);
  live.session->receive(path, ecn, datagram, at);
  count_unread(live, at);
}

}  // namespace stoq::quic
