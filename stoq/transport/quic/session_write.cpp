#include <algorithm>

#include "transport/quic/native.hpp"

// What a session sends, and in which order.

namespace stoq::quic {

using base::MonotonicTime;

namespace {

constexpr std::size_t kPiecesPerPacket = 8;

}  // namespace

bool Session::write(Burst& burst, MonotonicTime now) {
  burst.bytes = burst.segment_bytes = 0;
  burst.ecn = 0;
  burst.path = path_;
  if (conn_ == nullptr) {
    if (!closing_packet_due_) return false;
    closing_packet_due_ = false;
    std::ranges::copy(closing_packet_, burst.data);
    burst.bytes = burst.segment_bytes = closing_packet_.size();
    return true;
  }
  if (!carried_.empty()) {
    std::ranges::copy(carried_, burst.data);
    burst.bytes = burst.segment_bytes = carried_.size();
    burst.path = carried_path_;
    burst.ecn = carried_ecn_;
    base::Bytes().swap(carried_);
    return true;
  }
  if (!write_due_ && unanswered_ > 0 && first_ready() == nullptr && datagrams_.empty())
    return false;
  write_due_ = false;
  unanswered_ = 0;
  untold_bytes_ = 0;
  packet_size_.update(now);
  const std::size_t bytes_max =
      std::min(Burst::kBytesMax, std::max<std::size_t>(ngtcp2_conn_get_send_quantum(conn_), 1500));
  for (std::size_t packets = 0; packets < Burst::kPacketsMax; ++packets) {
    const std::size_t room = bytes_max - burst.bytes;
    if (packets > 0 && room < burst.segment_bytes) break;
    Path path;
    std::uint8_t ecn = 0;
    const std::size_t written =
        write_packet(burst.data + burst.bytes,
                     packets > 0 ? burst.segment_bytes : std::min(room, packet_size_.bytes_max()),
                     path, ecn, now);
    if (written == 0) break;
    if (packets == 0) {
      burst.path = path;
      burst.ecn = ecn;
      burst.segment_bytes = written;
    } else if (!(path == burst.path) || ecn != burst.ecn) {
      carried_.assign(burst.data + burst.bytes, burst.data + burst.bytes + written);
      carried_path_ = path;
      carried_ecn_ = ecn;
      break;
    }
    burst.bytes += written;
    if (written < burst.segment_bytes) break;
  }
  if (conn_ == nullptr) return closing_packet_due_ && write(burst, now);
  pace(burst.bytes, now);
  count_sent(burst);
  if (moved_at_ && burst.bytes > 0 && now > *moved_at_) {
    moved_at_.reset();
    set_keep_alive();
  }
  // Streams of one priority take turns, burst by burst.
  if (StreamState* head = first_ready(); head != nullptr && head->next_ready != nullptr) {
    drop_ready(*head);
    append_ready(*head);
  }
  return burst.bytes > 0;
}

// Spreads what is sent over the round trip, but not what may leave at once (RFC 9002, section 7.7):
// ten packets, or what a fast path takes in a millisecond.
void Session::pace(std::size_t bytes, MonotonicTime now) {
  if (bytes == 0) return;
  if (unpaced_bytes_ == 0) unpaced_since_ = now;
  unpaced_bytes_ += bytes;
  ngtcp2_conn_stat stat;
  ngtcp2_conn_get_conn_stat(conn_, &stat);
  const std::uint64_t round_trip = std::max<std::uint64_t>(stat.smoothed_rtt, 1);
  const std::uint64_t at_once =
      std::clamp<std::uint64_t>(stat.cwnd * NGTCP2_MILLISECONDS / round_trip,
                                10 * stat.max_tx_udp_payload_size, 16 * Burst::kBytesMax);
  if (unpaced_bytes_ >= at_once) {
    ngtcp2_conn_update_pkt_tx_time(conn_, stamp(now));
  } else if (stamp(now) - stamp(unpaced_since_) >= round_trip) {
    // So few in a whole round trip need no pause: it is over before it began.
    ngtcp2_conn_update_pkt_tx_time(conn_, stamp(unpaced_since_));
    if (const int result = ngtcp2_conn_handle_expiry(conn_, stamp(now))) fail(result, now);
  } else {
    return;
  }
  unpaced_bytes_ = 0;
}

std::size_t Session::write_packet(std::uint8_t* out, std::size_t bytes_max, Path& path,
                                  std::uint8_t& ecn, MonotonicTime now) {
  sockaddr_storage local, remote;
  ngtcp2_path way{{reinterpret_cast<sockaddr*>(&local), sizeof local},
                  {reinterpret_cast<sockaddr*>(&remote), sizeof remote},
                  nullptr};
  ngtcp2_pkt_info info{};
  std::uint64_t given = 0;
  const StreamState* last = nullptr;  // Of whom the packet has bytes.
  const auto done = [&](ngtcp2_ssize written) -> std::size_t {
    if (written < 0) {
      fail(static_cast<int>(written), now);
      return 0;
    }
    if (written > 0) {
      path = from_native(way);
      ecn = static_cast<std::uint8_t>(info.ecn);
      count_resent(static_cast<std::size_t>(written), given);
      if (last != nullptr && packet_size_.wants(static_cast<std::size_t>(written))) {
        packet_size_.watch(last->id, last->out.sent_end(), now,
                           base::Duration(static_cast<std::int64_t>(ngtcp2_conn_get_pto(conn_))));
      }
    }
    return static_cast<std::size_t>(written);
  };

  while (!datagrams_.empty()) {
    base::Bytes& first = datagrams_.front();
    // Taken when packets could be larger: another path, or a black hole.
    if (first.size() > datagram_bytes_max()) {
      datagrams_.pop_front();
      continue;
    }
    const ngtcp2_vec vector{first.data(), first.size()};
    int accepted = 0;
    const auto written =
        ngtcp2_conn_writev_datagram(conn_, &way, &info, out, bytes_max, &accepted,
                                    NGTCP2_WRITE_DATAGRAM_FLAG_MORE, 0, &vector, 1, stamp(now));
    const bool refused =
        written == NGTCP2_ERR_INVALID_STATE || written == NGTCP2_ERR_INVALID_ARGUMENT;
    if (accepted != 0) given += first.size();
    if (accepted != 0 || refused) datagrams_.pop_front();
    if (written == NGTCP2_ERR_WRITE_MORE || refused) continue;
    return done(written);
  }

  for (;;) {
    StreamState* stream = first_ready();
    if (stream == nullptr) {
      // ngtcp2 fills the answer to a path's challenge up to the room it has. Nothing would notice
      // that it vanishes in a black hole, and the peer would believe the path dead.
      if (given == 0) bytes_max = std::min(bytes_max, PacketSize::kAlwaysBytes);
      return done(ngtcp2_conn_writev_stream(conn_, &way, &info, out, bytes_max, nullptr,
                                            NGTCP2_WRITE_STREAM_FLAG_NONE, -1, nullptr, 0,
                                            stamp(now)));
    }
    base::BytesView pieces[kPiecesPerPacket];
    const std::size_t count = stream->out.gather(pieces, bytes_max);
    ngtcp2_vec vectors[kPiecesPerPacket];
    std::size_t offered = 0;
    for (std::size_t i = 0; i < count; ++i) {
      vectors[i] = {const_cast<std::uint8_t*>(pieces[i].data()), pieces[i].size()};
      offered += pieces[i].size();
    }
    const bool end = stream->end_wanted && offered == stream->out.unsent();
    const std::uint32_t flags =
        NGTCP2_WRITE_STREAM_FLAG_MORE | (end ? NGTCP2_WRITE_STREAM_FLAG_FIN : 0);
    ngtcp2_ssize taken = -1;
    const auto written = ngtcp2_conn_writev_stream(conn_, &way, &info, out, bytes_max, &taken,
                                                   flags, stream->id, vectors, count, stamp(now));
    if (written == NGTCP2_ERR_STREAM_DATA_BLOCKED) {
      stream->blocked = true;
      drop_ready(*stream);
      continue;
    }
    if (written == NGTCP2_ERR_STREAM_SHUT_WR || written == NGTCP2_ERR_STREAM_NOT_FOUND) {
      // Only the peer can have ended our direction: it stopped reading.
      drop_ready(*stream);
      stream->out.clear();
      if (!stream->write_error) {
        stream->write_error =
            base::make_error(base::Errc::Cancelled, "the peer stopped reading the stream");
      }
      if (stream->on_writable) stream->on_writable();
      continue;
    }
    if (taken >= 0) {
      stream->out.sent(static_cast<std::uint64_t>(taken));
      given += static_cast<std::uint64_t>(taken);
      last = stream;
      if (end && static_cast<std::size_t>(taken) == offered) stream->end_sent = true;
      if (stream->out.unsent() == 0 && (!stream->end_wanted || stream->end_sent))
        drop_ready(*stream);
      if (stream->out.unsent() < stream->writer_waits_below && stream->on_writable)
        stream->on_writable();
    }
    if (written == NGTCP2_ERR_WRITE_MORE) continue;
    return done(written);
  }
}

}  // namespace stoq::quic
