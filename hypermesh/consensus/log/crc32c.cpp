#include "consensus/log/crc32c.hpp"

#include <array>
#include <cstring>

namespace hypermesh::consensus {
namespace {

constexpr std::uint32_t kPolynomial = 0x82f63b78;  // Reflected.

constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t rest = i;
    for (int bit = 0; bit < 8; ++bit) rest = (rest >> 1) ^ ((rest & 1) != 0 ? kPolynomial : 0);
    table[i] = rest;
  }
  return table;
}
constexpr auto kTable = make_table();

#if defined(__x86_64__)
[[gnu::target("sse4.2")]] std::uint32_t crc32c_sse(base::BytesView bytes, std::uint32_t before) {
  std::uint64_t rest = ~before;
  while (bytes.size() >= sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), sizeof word);
    rest = __builtin_ia32_crc32di(rest, word);
    bytes = bytes.subspan(sizeof word);
  }
  auto short_rest = static_cast<std::uint32_t>(rest);
  for (const std::uint8_t byte : bytes) short_rest = __builtin_ia32_crc32qi(short_rest, byte);
  return ~short_rest;
}
#endif

}  // namespace

std::uint32_t crc32c_portable(base::BytesView bytes, std::uint32_t before) {
  std::uint32_t rest = ~before;
  for (const std::uint8_t byte : bytes) rest = (rest >> 8) ^ kTable[(rest ^ byte) & 0xff];
  return ~rest;
}

std::uint32_t crc32c(base::BytesView bytes, std::uint32_t before) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) return crc32c_sse(bytes, before);
#endif
  return crc32c_portable(bytes, before);
}

}  // namespace hypermesh::consensus
