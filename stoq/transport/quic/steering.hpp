#pragma once

#include <base/error.hpp>

namespace stoq::quic {

/// Has the kernel give each datagram of a port to the core that owns its connection: the first byte
/// of its connection id, modulo the number of cores, is the place of the socket among those that
/// were bound to the port with SO_REUSEPORT, in the order of their binding. `fd` is any of them. A
/// classic BPF program; needs no privilege. Errors: Unsupported (an old kernel: datagrams then
/// arrive anywhere and are handed over between threads).
base::Result<> steer_by_connection_id(int fd, unsigned cores);

}  // namespace stoq::quic
