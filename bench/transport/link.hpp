#pragma once

// A path in user space: what goes in at one port comes out at another, later, or not at all.

#include <cstdint>

#include "process.hpp"

namespace bench {

struct LinkOptions {
  double delay_seconds = 0.010;  ///< Each way.
  double loss = 0;               ///< Of datagrams, 0 to 1, each way.
  /// Of a TCP connection's first bytes: the handshake of TCP, which ends at the link, would have
  /// taken a round trip.
  double first_bytes_held_seconds = 0.020;
};

/// A link to UDP port `to` of loopback, in a process of its own. `port()` is where it begins.
class UdpLink {
 public:
  UdpLink(std::uint16_t to, const LinkOptions& options);
  std::uint16_t port() const { return port_; }

 private:
  std::uint16_t port_ = 0;
  std::unique_ptr<Child> child_;
};

/// The same for TCP. One connection at a time.
class TcpLink {
 public:
  TcpLink(std::uint16_t to, const LinkOptions& options);
  std::uint16_t port() const { return port_; }

 private:
  std::uint16_t port_ = 0;
  std::unique_ptr<Child> child_;
};

}  // namespace bench
