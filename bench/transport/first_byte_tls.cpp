// first_byte_tls COUNT: the same as first_byte_stoq over TCP and TLS 1.3 with certificates of both
// sides. Prints the median for a full handshake, in milliseconds.

#include <unistd.h>

#include <algorithm>
#include <base/bytes.hpp>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "link.hpp"
#include "tls_peer.hpp"

int main(int argc, char** argv) {
  using namespace bench;
  if (argc != 2) die("usage: first_byte_tls COUNT");
  constexpr std::size_t kRequestBytes = 100;
  const TlsNodes nodes;
  const TcpListener listener = tcp_listen();
  const Child child([&](Pipe&) {
    for (;;) {
      TlsConnection connection(nodes.server(), tcp_accept(listener.fd), true);
      std::uint8_t request[kRequestBytes];
      connection.read_all(request);
      connection.write(base::as_bytes("the answer"));
      (void)connection.read(request);
    }
  });
  const TcpLink link(listener.port, {});
  std::vector<double> times;
  for (int i = 0; i < std::atoi(argv[1]); ++i) {
    const double start = wall_seconds();
    TlsConnection connection(nodes.client(), tcp_connect(link.port()), false);
    connection.write(std::vector<std::uint8_t>(kRequestBytes, 'x'));
    std::uint8_t answer;
    connection.read_all({&answer, 1});
    times.push_back((wall_seconds() - start) * 1000);
  }
  std::ranges::nth_element(times, times.begin() + static_cast<long>(times.size() / 2));
  std::printf("%.3f\n", times[times.size() / 2]);
  return 0;
}
