#pragma once

#include <functional>

#include "transport/quic/session.hpp"

namespace stoq::quic {

/// A UDP socket over IPv6 that sends a burst in one call (UDP_SEGMENT) and receives many datagrams
/// in one (UDP_GRO, or recvmmsg), as far as the kernel and the device allow: what they refuse is
/// given up at run time and done piece by piece.
class UdpSocket {
 public:
  struct Options {
    bool reuse_port = false;
    bool only_v6 = true;  ///< Else IPv4 peers arrive as v4-mapped addresses.
    bool offload = true;  ///< GSO and GRO, where there are any.
    int buffer_bytes = 32 << 20;
  };
  /// Errors: FailedPrecondition (the address is in use or not ours), and those of the system.
  static base::Result<std::unique_ptr<UdpSocket>> open(const sockaddr_in6& address,
                                                       const Options& options);
  ~UdpSocket();
  UdpSocket(const UdpSocket&) = delete;
  UdpSocket& operator=(const UdpSocket&) = delete;

  /// The address of ours from which the machine reaches `to`: `local()` where that is one, else by
  /// the routes. Errors: Unavailable (no route).
  base::Result<sockaddr_in6> local_towards(const sockaddr_in6& to) const;

  int fd() const { return fd_; }
  const sockaddr_in6& local() const { return local_; }

  enum class Sent : std::uint8_t { All, Blocked, NoWay };
  /// What the network refuses is lost, as on the wire. After Blocked the rest is left in `burst`,
  /// to be sent when the socket is writable. NoWay: lost, since this machine no longer has the
  /// local address, or no route from it.
  Sent send(Burst& burst);

  /// Datagrams that came together: each of `segment_bytes` but for the last, which may be shorter.
  using Handler = std::function<void(const Path& path, std::uint8_t ecn, base::BytesView datagrams,
                                     std::size_t segment_bytes)>;
  /// Reads until the socket is empty, `calls_max` system calls were made or `bytes_max` bytes have
  /// come. True: there may be more. A path's local address is the one that the peer wrote to.
  bool receive(const Handler& handler, int calls_max, std::size_t bytes_max);

 private:
  UdpSocket(int fd, const sockaddr_in6& local) : fd_(fd), local_(local) {}
  /// Bytes that one call brought; 0 when the socket is empty.
  std::size_t receive_burst(const Handler& handler);
  std::size_t receive_many(const Handler& handler);

  int fd_;
  sockaddr_in6 local_;
  bool gso_ = false, gro_ = false;
  base::Bytes buffer_;
};

}  // namespace stoq::quic
