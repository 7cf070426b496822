// Commands as clients send them, and what is stored of the cluster.

#include "consensus/execution/command.hpp"

namespace hypermesh::consensus {

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const base::BytesView bytes(data, size);
  const auto command = decode_command(bytes);
  if (command) {
    std::visit(
        [](const auto& c) {
          if constexpr (requires { c.change; }) {
            if (!decode_command(encode(c))) __builtin_trap();
          }
        },
        *command);
  }
  const auto configuration = decode_configuration(bytes);
  if (configuration && decode_configuration(encode(*configuration)) != configuration)
    __builtin_trap();
  (void)decode_genesis(bytes);
  return 0;
}

}  // namespace hypermesh::consensus
