#pragma once

#include <cstdint>

namespace stoq::quic {

/// What a session did since it began. Bytes are those of UDP payloads; see ConnectionStats.
struct SessionCounts {
  std::uint64_t sent = 0, received = 0, resent = 0;
  std::uint64_t congestion_events = 0, keys_renewed = 0;
  std::uint64_t given = 0;  ///< Bytes of streams and datagrams that were sent for the first time.
};

}  // namespace stoq::quic
