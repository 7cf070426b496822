// Requests of clients and replies of nodes.

#include "consensus/node/requests.hpp"

namespace hypermesh::consensus {

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const base::BytesView bytes(data, size);
  if (const auto request = decode_request(bytes)) {
    base::ByteWriter out;
    write(out, *request);
    if (!decode_request(out.view())) __builtin_trap();
  }
  if (const auto reply = decode_reply(bytes)) {
    base::ByteWriter out;
    write(out, *reply);
    if (!decode_reply(out.view())) __builtin_trap();
  }
  return 0;
}

}  // namespace hypermesh::consensus
