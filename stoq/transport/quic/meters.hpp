#pragma once

#include <string_view>

#include "transport/quic/latency_window.hpp"
#include "transport/quic/session_counts.hpp"

namespace stoq::quic {

/// How a handshake ended. Retried: the client was told to prove its address, and comes again.
enum class Handshake : std::uint8_t {
  Full,
  Resumed,
  Retried,
  Refused,
  NotVerified,
  TimedOut,
  Failed
};
inline constexpr std::size_t kHandshakeResults = 7;
std::string_view name_of(Handshake result);

/// What one endpoint has done. Written on its core, read on any.
struct Meters {
  std::atomic<std::uint64_t> bytes_sent = 0, bytes_received = 0, bytes_resent = 0;
  std::atomic<std::uint64_t> congestion_events = 0;
  std::atomic<std::uint64_t> connections = 0;  ///< Open now.
  std::array<std::atomic<std::uint64_t>, kHandshakeResults> handshakes{};
  LatencyWindow round_trips;

  void count(Handshake result) { add(handshakes[static_cast<std::size_t>(result)], 1); }
  /// Adds what happened on a connection since `before`.
  void add(const SessionCounts& now, const SessionCounts& before);

 private:
  // Only one core writes: no need for a locked instruction.
  static void add(std::atomic<std::uint64_t>& to, std::uint64_t amount) {
    to.store(to.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
};

}  // namespace stoq::quic
