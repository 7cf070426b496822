// bulk_tls MIB: the same as bulk_stoq over TCP and TLS 1.3, TLS_AES_128_GCM_SHA256, records of
// 16 KiB.

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "tls_peer.hpp"

namespace {

using namespace bench;

constexpr std::size_t kBlockBytes = 256 * 1024;
constexpr std::uint64_t kWarmUpBytes = 64 << 20;

void receive(TlsConnection& connection, Pipe& pipe, std::uint64_t bytes) {
  std::vector<std::uint8_t> block(kBlockBytes);
  const double before = cpu_seconds();
  for (std::uint64_t got = 0; got < bytes;) {
    const auto more = connection.read(block);
    if (more == 0) die("the sender has closed");
    got += more;
  }
  pipe.put(cpu_seconds() - before);
  const std::uint8_t answer = 'x';
  connection.write({&answer, 1});
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) die("usage: bulk_tls MIB");
  const auto bytes = std::strtoull(argv[1], nullptr, 10) << 20;
  const TlsNodes nodes;
  const TcpListener listener = tcp_listen();
  Child child([&](Pipe& pipe) {
    pin(1);
    TlsConnection connection(nodes.server(), tcp_accept(listener.fd), true);
    receive(connection, pipe, kWarmUpBytes);
    receive(connection, pipe, bytes);
    pipe.get();
  });
  pin(0);
  TlsConnection connection(nodes.client(), tcp_connect(listener.port), false);
  const std::vector<std::uint8_t> block(kBlockBytes, 'x');
  const auto send = [&](std::uint64_t total) {
    for (std::uint64_t sent = 0; sent < total; sent += block.size()) connection.write(block);
    std::uint8_t answer;
    connection.read_all({&answer, 1});
  };
  send(kWarmUpBytes);
  child.pipe().get();
  const double cpu = cpu_seconds(), wall = wall_seconds();
  send(bytes);
  std::printf("%.6f %.6f %.6f %.6f\n", static_cast<double>(bytes) * 8e-9, cpu_seconds() - cpu,
              child.pipe().get(), wall_seconds() - wall);
  return 0;
}
