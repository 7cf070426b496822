#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>

#include "transport/quic/ending.hpp"
#include "transport/quic/native.hpp"
#include "transport/quic/reset_token.hpp"

// How a session ends, and who is told why.

namespace stoq::quic {

using base::Errc;
using base::MonotonicTime;

namespace {

constexpr std::size_t kReasonBytesMax = 512;
constexpr std::size_t kResetBytesMin = 5 + kResetTokenBytes;

std::int64_t millis(base::Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

const std::uint8_t* bytes_of(const std::string& text) {
  return reinterpret_cast<const std::uint8_t*>(text.data());
}

}  // namespace

// Why to end without a word: the peer has ended itself, is not there, or was never one.
std::optional<base::Error> Session::silent_end(int library_error) const {
  switch (library_error) {
    case NGTCP2_ERR_DRAINING: {
      if (reset_received_)
        return base::make_error(Errc::Unavailable, "the peer no longer knows the connection");
      ngtcp2_connection_close_error why;
      ngtcp2_conn_get_connection_close_error(conn_, &why);
      return ended_by_peer(why);
    }
    case NGTCP2_ERR_IDLE_CLOSE:
      return base::make_error(
          Errc::Unavailable,
          fmt::format("nothing was heard from the peer for {} ms", millis(options_.idle_timeout)));
    case NGTCP2_ERR_HANDSHAKE_TIMEOUT:
      return base::make_error(Errc::TimedOut, fmt::format("no handshake within {} ms",
                                                          millis(options_.handshake_timeout)));
    case NGTCP2_ERR_RECV_VERSION_NEGOTIATION:
      return base::make_error(Errc::Unsupported, "the peer speaks no QUIC version 1");
    case NGTCP2_ERR_DROP_CONN:
    case NGTCP2_ERR_RETRY:
      return base::make_error(Errc::Unavailable, "the connection was given up");
    default:
      return std::nullopt;
  }
}

bool Session::is_reset(base::BytesView datagram) const {
  if (ended_ || datagram.size() < kResetBytesMin) return false;
  std::vector<ngtcp2_cid_token> ids(ngtcp2_conn_get_num_active_dcid(conn_));
  ids.resize(ngtcp2_conn_get_active_dcid(conn_, ids.data()));
  const auto given = datagram.last(kResetTokenBytes);
  return std::ranges::any_of(ids, [&](const ngtcp2_cid_token& id) {
    return id.token_present != 0 && sodium_memcmp(id.token, given.data(), given.size()) == 0;
  });
}

void Session::reset_by_peer(MonotonicTime now) {
  reset_received_ = true;
  fail(NGTCP2_ERR_DRAINING, now);
}

void Session::fail(int library_error, MonotonicTime now) {
  if (!ended_ && library_error == NGTCP2_ERR_DRAINING && !reset_received_) {
    ngtcp2_connection_close_error why;
    ngtcp2_conn_get_connection_close_error(conn_, &why);
    if (why.type == NGTCP2_CONNECTION_CLOSE_ERROR_CODE_TYPE_APPLICATION)
      close_code_ = why.error_code;
  }
  if (auto reason = silent_end(library_error)) {
    draining_ = true;
    end(*std::move(reason), {}, now);
    // Only a peer that ended itself may still have packets on their way.
    over_ = library_error != NGTCP2_ERR_DRAINING;
    return;
  }
  ngtcp2_connection_close_error why;
  ngtcp2_connection_close_error_default(&why);
  base::Error reason;
  if (library_error == NGTCP2_ERR_CRYPTO || library_error == NGTCP2_ERR_CALLBACK_FAILURE) {
    const std::uint8_t alert = ngtcp2_conn_get_tls_alert(conn_);
    const std::string& refusal = tls_->refusal();
    ngtcp2_connection_close_error_set_transport_error_tls_alert(
        &why, alert != 0 ? alert : GNUTLS_A_BAD_CERTIFICATE, bytes_of(refusal),
        std::min(refusal.size(), kReasonBytesMax));
    reason = refused_by_us(alert, refusal);
  } else {
    ngtcp2_connection_close_error_set_transport_error_liberr(&why, library_error, nullptr, 0);
    reason = base::make_error(Errc::Unavailable, fmt::format("the peer broke the protocol: {}",
                                                             ngtcp2_strerror(library_error)));
  }
  end(std::move(reason), closing_packet(why, now), now);
}

base::Bytes Session::closing_packet(const ngtcp2_connection_close_error& why, MonotonicTime now) {
  base::Bytes packet(1200);
  Path path = path_;
  ngtcp2_path way = native(path);
  ngtcp2_pkt_info info{};
  const auto written = ngtcp2_conn_write_connection_close(conn_, &way, &info, packet.data(),
                                                          packet.size(), &why, stamp(now));
  packet.resize(written > 0 ? static_cast<std::size_t>(written) : 0);
  return packet;
}

// Lets go of all but what answers whoever still writes (RFC 9000, section 10.2).
void Session::end(base::Error reason, base::Bytes packet, MonotonicTime now) {
  if (ended_) return;
  ended_ = std::move(reason);
  closing_until_ = now + 3 * base::Duration(static_cast<std::int64_t>(ngtcp2_conn_get_pto(conn_)));
  closing_packet_ = std::move(packet);
  closing_packet_due_ = !closing_packet_.empty();
  ngtcp2_conn_del(conn_);
  conn_ = nullptr;
  const auto error = base::make_error(ended_->code, "the connection ended: " + ended_->message);
  const auto streams = std::move(streams_);
  streams_.clear();
  unread_bytes_ = 0;  // What is left belongs to whoever holds the streams.
  for (const auto& [id, stream] : streams) {
    stream->session = nullptr;
    stream->next_ready = nullptr;
    stream->ready = false;
    if (!stream->end_received && !stream->read_error) stream->read_error = error;
    if (!stream->write_error) stream->write_error = error;
    stream->out.clear();
    if (stream->on_readable) stream->on_readable();
    if (stream->on_writable) stream->on_writable();
  }
  std::fill(std::begin(ready_head_), std::end(ready_head_), nullptr);
  std::fill(std::begin(ready_tail_), std::end(ready_tail_), nullptr);
  datagrams_.clear();
  carried_.clear();
  want_write();
}

void Session::close(std::uint64_t code, std::string reason, MonotonicTime now) {
  if (ended_) return;
  if (reason.size() > kReasonBytesMax) reason.resize(kReasonBytesMax);
  ngtcp2_connection_close_error why;
  ngtcp2_connection_close_error_default(&why);
  ngtcp2_connection_close_error_set_application_error(&why, code, bytes_of(reason), reason.size());
  auto packet = closing_packet(why, now);
  close_code_ = code;
  end(base::make_error(Errc::Unavailable, std::move(reason)), std::move(packet), now);
}

}  // namespace stoq::quic
