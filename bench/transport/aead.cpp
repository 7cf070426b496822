// aead PACKETS: what AES-128-GCM costs alone, by the engine that the transport uses, for packets
// with 1424 bytes of payload. Prints "SEAL OPEN" in Gbit for each CPU second.

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "process.hpp"
#include "transport/quic/cipher.hpp"

int main(int argc, char** argv) {
  using namespace bench;
  using namespace stoq::quic;
  if (argc != 2) die("usage: aead PACKETS");
  const long packets = std::strtol(argv[1], nullptr, 10);
  pin(0);
  constexpr std::size_t kPayloadBytes = 1424, kHeaderBytes = 20;
  const std::uint8_t key_bytes_[16]{1, 2, 3}, header[kHeaderBytes]{};
  const auto key = fastest_engine().packet_key(Cipher::Aes128Gcm, key_bytes_);
  std::vector<std::uint8_t> plain(kPayloadBytes, 'x'), sealed(kPayloadBytes + kTagBytes);
  std::uint8_t nonce[kNonceBytes]{};
  const auto gbit = static_cast<double>(packets) * kPayloadBytes * 8e-9;
  double start = cpu_seconds();
  for (long i = 0; i < packets; ++i) {
    nonce[11] = static_cast<std::uint8_t>(i);
    key->seal(sealed.data(), plain, nonce, header);
  }
  const double seal = gbit / (cpu_seconds() - start);
  start = cpu_seconds();
  for (long i = 0; i < packets; ++i)
    if (!key->open(plain.data(), sealed, nonce, header)) die("a packet does not open");
  const double open = gbit / (cpu_seconds() - start);
  std::printf("%.3f %.3f\n", seal, open);
  return 0;
}
