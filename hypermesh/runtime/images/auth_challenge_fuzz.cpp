#include "runtime/images/auth_challenge.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  (void)hypermesh::parse_www_authenticate({reinterpret_cast<const char*>(data), size});
  return 0;
}
