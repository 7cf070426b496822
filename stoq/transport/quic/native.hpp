#pragma once

// Our times and paths as ngtcp2 has them, and back.

#include <cstring>

#include "transport/quic/session.hpp"

namespace stoq::quic {

inline ngtcp2_tstamp stamp(base::MonotonicTime time) {
  return static_cast<ngtcp2_tstamp>(time.time_since_epoch().count());
}

/// Tokens outlive a process: their time is the wall's.
inline ngtcp2_tstamp stamp(base::WallTime time) {
  return static_cast<ngtcp2_tstamp>(time.time_since_epoch().count());
}

inline base::MonotonicTime from_stamp(ngtcp2_tstamp at) {
  constexpr auto kNever = base::MonotonicTime::max();
  if (at >= stamp(kNever)) return kNever;
  return base::MonotonicTime(base::Duration(static_cast<std::int64_t>(at)));
}

inline ngtcp2_duration native(base::Duration duration) {
  return static_cast<ngtcp2_duration>(duration.count());
}

inline const sockaddr* native(const sockaddr_in6& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

/// Points into `path`.
inline ngtcp2_path native(Path& path) {
  return {{reinterpret_cast<sockaddr*>(&path.local), sizeof path.local},
          {reinterpret_cast<sockaddr*>(&path.remote), sizeof path.remote},
          nullptr};
}

inline Path from_native(const ngtcp2_path& path) {
  Path made;
  if (path.local.addrlen == sizeof made.local)
    std::memcpy(&made.local, path.local.addr, sizeof made.local);
  if (path.remote.addrlen == sizeof made.remote)
    std::memcpy(&made.remote, path.remote.addr, sizeof made.remote);
  return made;
}

}  // namespace stoq::quic
