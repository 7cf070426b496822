// Whatever comes, in whatever pieces: the decoder ends in a message or a fault, and keeps its
// limits.

#include <cstdlib>

#include "decoder.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  using base::http::Decoder;
  const auto kind = (data[0] & 1) != 0 ? Decoder::Kind::Request : Decoder::Kind::Response;
  const std::size_t piece = 1 + data[1];
  std::string_view bytes(reinterpret_cast<const char*>(data + 2), size - 2);
  Decoder decoder(kind,
                  {.target_bytes_max = 256, .header_bytes_max = 1024, .chunk_line_bytes_max = 128});
  bool body = false;
  std::size_t decoded = 0;
  while (!bytes.empty()) {
    auto fed = decoder.feed(bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
    if (fed && decoder.head_done() && !body) {
      body = true;
      fed = decoder.go_on_to_body();
    }
    decoded += decoder.take_body().size();
    if (!fed) return 0;
    if (decoder.done()) break;
  }
  if (decoded > size) std::abort();
  if (!decoder.done() && decoder.started()) (void)decoder.end();
  return 0;
}
