#include "transport/quic/steering.hpp"

#include <linux/filter.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace stoq::quic {

base::Result<> steer_by_connection_id(int fd, unsigned cores) {
  // Where the destination's connection id begins (RFC 9000, section 17): after the first byte of a
  // short header; after first byte, version and length of a long one.
  constexpr std::uint32_t kShortId = 1, kLongId = 6, kLongHeader = 0x80;
  // The program sees a datagram from its first byte of payload on; what it returns beyond the
  // number of sockets, and a datagram that is too short, goes to the first socket.
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, kLongHeader, 2, 0),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kShortId),
      BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kLongId),
      BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, cores),
      BPF_STMT(BPF_RET | BPF_A, 0),
  };
  const sock_fprog attached{std::size(program), program};
  if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &attached, sizeof attached) != 0) {
    return base::fail(base::Errc::Unsupported,
                      std::string("the kernel steers no datagrams: ") + std::strerror(errno));
  }
  return {};
}

}  // namespace stoq::quic
