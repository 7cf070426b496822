#include <utility>

#include "transport/quic/endpoint_parts.hpp"

// What an endpoint's peers may cost it, and who has to go when that is too much.

namespace stoq::quic {

using base::MonotonicTime;

namespace {

// A table is searched at most this often for whom to let go.
constexpr auto kMakeRoomEvery = std::chrono::milliseconds(1);

}  // namespace

QuicEndpoint::Usage QuicEndpoint::usage() const {
  Usage made{.connections = lives_.size(), .ids = ids_.size(), .sockets = ports_.size()};
  for (const Live& live : lives_) {
    made.streams += live.session->streams();
    made.unread_bytes += live.session->unread_bytes();
  }
  return made;
}

bool QuicEndpoint::count_stream(Live& live) {
  live.quiet_since = now();
  if (live.account == nullptr) return true;
  const std::lock_guard lock(shared_.mutex);
  if (!shared_.limits.may_open_stream(*live.account)) return false;
  ++live.streams;
  return true;
}

void QuicEndpoint::Live::stream_closed(Session&) {
  quiet_since = endpoint.now();
  if (account == nullptr) return;
  const std::lock_guard lock(endpoint.shared_.mutex);
  endpoint.shared_.limits.streams_closed(*account, 1);
  --streams;
}

void QuicEndpoint::count_unread(Live& live, MonotonicTime at) {
  const std::size_t unread = live.session->unread_bytes();
  const bool grew = unread > live.unread;
  unread_bytes_ += unread - live.unread;
  live.unread = unread;
  if (grew && unread_bytes_ > shared_.limits.limits().unread_bytes_max) shed_unread(at);
}

// Of the source with most that nobody has read, the connection with most of it goes. Whom we
// connected to is a source of its own.
void QuicEndpoint::shed_unread(MonotonicTime at) {
  const auto source = [](const Live& live) -> const void* {
    return live.account != nullptr ? static_cast<const void*>(live.account) : &live;
  };
  std::unordered_map<const void*, std::size_t> of_source;
  for (const Live& live : lives_) of_source[source(live)] += live.unread;
  Live* victim = nullptr;
  const auto worth = [&](const Live& of) { return std::pair(of_source[source(of)], of.unread); };
  for (Live& live : lives_) {
    if (victim == nullptr || worth(live) > worth(*victim)) victim = &live;
  }
  victim->session->close(0, "too much of what was sent is unread here", at);
  unread_bytes_ -= std::exchange(victim->unread, 0);
}

// The connection that has been without streams for longest goes, of the source that has most.
void QuicEndpoint::make_room(MonotonicTime at) {
  if (at < room_made_ + kMakeRoomEvery) return;
  room_made_ = at;
  const base::Duration idle = shared_.limits.limits().idle_before_eviction;
  const auto worth = [](const Live& of) {
    return std::pair(of.account->connections, -of.quiet_since.time_since_epoch());
  };
  Live* victim = nullptr;
  {
    const std::lock_guard lock(shared_.mutex);
    for (Live& live : lives_) {
      if (live.account == nullptr || !live.counted_established || live.session->ended() ||
          live.session->streams() > 0 || at - live.quiet_since < idle) {
        continue;
      }
      if (victim == nullptr || worth(live) > worth(*victim)) victim = &live;
    }
  }
  if (victim != nullptr) victim->session->close(0, "an idle connection made room", at);
}

}  // namespace stoq::quic
