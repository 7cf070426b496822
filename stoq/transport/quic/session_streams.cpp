#include <fmt/format.h>

#include <algorithm>

#include "transport/quic/native.hpp"

// A session's streams and datagrams: what their holders call.

namespace stoq::quic {

using base::Errc;
using base::Result;

namespace {

constexpr std::size_t kToldAtOnceBytes = 16 * 1024;  // That were read: a part of any window.

}  // namespace

StreamState& Session::adopt(std::int64_t id) {
  if (const auto known = streams_.find(id); known != streams_.end()) return *known->second;
  auto state = std::make_shared<StreamState>();
  state->id = id;
  state->session = this;
  if (ngtcp2_is_bidi_stream(id) == 0) {
    state->write_error =
        base::make_error(Errc::FailedPrecondition, "the peer's stream goes one way only");
    state->end_sent = true;
  }
  ngtcp2_conn_set_stream_user_data(conn_, id, state.get());
  streams_.emplace(id, state);
  StreamState& made = *state;
  if (!host_.stream_opened(*this, std::move(state))) {
    made.refused = made.released = made.reading_stopped = true;
    if (!made.write_error) {
      made.write_error = base::make_error(Errc::ResourceExhausted, "the stream was refused");
    }
    (void)ngtcp2_conn_shutdown_stream(conn_, id, kStreamRefused);
  }
  return made;
}

Result<std::shared_ptr<StreamState>> Session::open_stream(bool bidirectional, std::uint8_t priority,
                                                          bool replay_safe) {
  if (ended_) {
    return base::fail(ended_->code, "the connection ended: " + ended_->message);
  }
  if (!established_ && !(early_ && replay_safe)) return std::shared_ptr<StreamState>();
  auto state = std::make_shared<StreamState>();
  const int result = ngtcp2_conn_open_bidi_stream(conn_, &state->id, state.get());
  if (result == NGTCP2_ERR_STREAM_ID_BLOCKED) return std::shared_ptr<StreamState>();
  if (result != 0) return base::fail(Errc::Internal, ngtcp2_strerror(result));
  state->session = this;
  state->priority = std::min<std::uint8_t>(priority, kPriorities - 1);
  if (!bidirectional) {
    state->one_way = state->end_received = state->reading_stopped = true;
    (void)ngtcp2_conn_shutdown_stream_read(conn_, state->id, kStreamOneWay);
    state->read_error = base::make_error(Errc::FailedPrecondition, "our stream goes one way only");
  }
  streams_.emplace(state->id, state);
  if (++open_of_ours_ == 1) set_keep_alive();
  return state;
}

// Early streams were forgotten by the peer and by ngtcp2: they are opened again in their order,
// which gives them their old ids, and sent from the start.
void Session::restart_early_streams() {
  std::vector<StreamState*> streams;
  for (const auto& [id, stream] : streams_) streams.push_back(stream.get());
  std::ranges::sort(streams, {}, &StreamState::id);
  for (StreamState* stream : streams) {
    std::int64_t id = -1;
    const int opened = ngtcp2_conn_open_bidi_stream(conn_, &id, stream);
    if (opened != 0 || id != stream->id) {
      stream->over = true;
      --open_of_ours_;
      stream->read_error = stream->write_error =
          base::make_error(Errc::Unavailable, "the peer allows fewer streams than before");
      if (stream->on_readable) stream->on_readable();
      if (stream->on_writable) stream->on_writable();
      continue;
    }
    if (stream->one_way) (void)ngtcp2_conn_shutdown_stream_read(conn_, id, kStreamOneWay);
    stream->out.rewind();
    stream->end_sent = false;
    stream->blocked = false;
    make_ready(*stream);
  }
}

void Session::make_ready(StreamState& stream) {
  if (stream.ready || stream.blocked || stream.over || conn_ == nullptr) return;
  if (stream.out.unsent() == 0 && (!stream.end_wanted || stream.end_sent)) return;
  append_ready(stream);
  want_write();
}

void Session::append_ready(StreamState& stream) {
  stream.ready = true;
  stream.next_ready = nullptr;
  StreamState*& tail = ready_tail_[stream.priority];
  if (tail != nullptr) {
    tail->next_ready = &stream;
  } else {
    ready_head_[stream.priority] = &stream;
  }
  tail = &stream;
}

void Session::drop_ready(StreamState& stream) {
  if (!stream.ready) return;
  stream.ready = false;
  StreamState* before = nullptr;
  for (StreamState* at = ready_head_[stream.priority]; at != nullptr;
       before = at, at = at->next_ready) {
    if (at != &stream) continue;
    (before != nullptr ? before->next_ready : ready_head_[stream.priority]) = stream.next_ready;
    if (ready_tail_[stream.priority] == &stream) ready_tail_[stream.priority] = before;
    break;
  }
  stream.next_ready = nullptr;
}

StreamState* Session::first_ready() const {
  for (StreamState* head : ready_head_) {
    if (head != nullptr) return head;
  }
  return nullptr;
}

void Session::send(StreamState& stream, base::Bytes bytes) {
  stream.out.append(std::move(bytes));
  make_ready(stream);
}

void Session::send(StreamState& stream, std::shared_ptr<const base::Bytes> bytes) {
  stream.out.append(std::move(bytes));
  make_ready(stream);
}

void Session::send(StreamState& stream, base::BytesView bytes) {
  stream.out.append(bytes);
  make_ready(stream);
}

void Session::send_end(StreamState& stream) {
  stream.end_wanted = true;
  make_ready(stream);
}

base::Bytes Session::read(StreamState& stream) {
  base::Bytes bytes = stream.in.take();
  if (bytes.empty() || conn_ == nullptr) return bytes;
  unread_bytes_ -= bytes.size();
  ngtcp2_conn_extend_max_offset(conn_, bytes.size());
  if (!stream.over) {
    // Fails only for a stream that ngtcp2 has let go.
    (void)ngtcp2_conn_extend_max_stream_offset(conn_, stream.id, bytes.size());
  }
  // What the peer may send more it learns with the next packet, unless it is a good deal.
  untold_bytes_ += bytes.size();
  if (untold_bytes_ >= kToldAtOnceBytes) want_write();
  return bytes;
}

// What nobody will read makes room for the connection's other streams.
void Session::drop_unread(StreamState& stream) {
  ngtcp2_conn_extend_max_offset(conn_, stream.in.size());
  unread_bytes_ -= stream.in.size();
  stream.in.clear();
}

void Session::stop_reading(StreamState& stream, std::uint64_t code) {
  if (stream.reading_stopped) return;
  stream.reading_stopped = true;
  if (conn_ == nullptr) return;
  drop_unread(stream);
  if (!stream.over && !stream.end_received)
    (void)ngtcp2_conn_shutdown_stream_read(conn_, stream.id, code);
  want_write();
}

void Session::reset(StreamState& stream, std::uint64_t code) {
  const auto error =
      base::make_error(Errc::Cancelled, fmt::format("the stream was reset with code {}", code));
  if (!stream.read_error) stream.read_error = error;
  if (!stream.write_error) stream.write_error = error;
  drop_ready(stream);
  stream.out.clear();
  if (conn_ != nullptr && !stream.over) {
    drop_unread(stream);
    stream.reading_stopped = true;
    (void)ngtcp2_conn_shutdown_stream(conn_, stream.id, code);
    want_write();
  }
  if (stream.on_readable) stream.on_readable();
  if (stream.on_writable) stream.on_writable();
}

void Session::release(StreamState& stream) {
  stream.on_readable = stream.on_writable = nullptr;
  stream.released = true;
  stop_reading(stream, 0);
  if (!stream.write_error) send_end(stream);
  if (stream.over) forget(stream);
}

void Session::forget(StreamState& stream) {
  const std::int64_t id = stream.id;
  if (conn_ != nullptr && ngtcp2_conn_is_local_stream(conn_, id) == 0 && !stream.refused)
    host_.stream_closed(*this);
  if (conn_ != nullptr && ngtcp2_conn_is_local_stream(conn_, id) == 0) {
    if (ngtcp2_is_bidi_stream(id) != 0) {
      ngtcp2_conn_extend_max_streams_bidi(conn_, 1);
    } else {
      ngtcp2_conn_extend_max_streams_uni(conn_, 1);
    }
    want_write();
  }
  streams_.erase(id);
}

bool Session::send_datagram(base::BytesView bytes) {
  if (conn_ == nullptr || datagrams_.size() >= options_.datagrams_waiting_max) return false;
  datagrams_.emplace_back(bytes.begin(), bytes.end());
  want_write();
  return true;
}

std::size_t Session::datagram_bytes_max() const {
  if (conn_ == nullptr) return 0;
  const auto* params = ngtcp2_conn_get_remote_transport_params(conn_);
  if (params == nullptr || params->max_datagram_frame_size == 0) return 0;
  // A short header with the longest id and packet number, the frame's type and length, the tag.
  constexpr std::size_t kAround = 1 + 20 + 4 + 1 + 2 + kTagBytes;
  const std::size_t packet =
      std::min(ngtcp2_conn_get_path_max_tx_udp_payload_size(conn_), packet_size_.bytes_max());
  return std::min<std::size_t>(packet - kAround, params->max_datagram_frame_size - 3);
}

}  // namespace stoq::quic
