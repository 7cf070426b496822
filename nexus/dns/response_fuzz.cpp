// Answers from servers that we forward to.
#include "dns/message.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  (void)nexus::dns::parse_response({data, size});
  return 0;
}
