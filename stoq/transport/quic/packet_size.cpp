#include "transport/quic/packet_size.hpp"

#include <algorithm>

namespace stoq::quic {

void PacketSize::update(base::MonotonicTime now) {
  if (held_ && now >= held_until_) held_ = false;
  if (stream_ >= 0 && now >= due_) hold(now);
}

void PacketSize::watch(std::int64_t stream, std::uint64_t end, base::MonotonicTime now,
                       base::Duration timeout) {
  stream_ = stream;
  end_ = end;
  due_ = now + static_cast<std::int64_t>(kTimeoutsOfOnePacket) * timeout;
}

void PacketSize::arrived() {
  stream_ = -1;
  if (!held_) next_hold_ = kFirstHold;
}

void PacketSize::hold(base::MonotonicTime now) {
  stream_ = -1;
  held_ = true;
  held_until_ = now + next_hold_;
  next_hold_ = std::min(2 * next_hold_, kLongestHold);
}

}  // namespace stoq::quic
