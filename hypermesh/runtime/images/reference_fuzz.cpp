#include <cstdlib>

#include "runtime/images/reference.hpp"

// What is a name keeps its meaning when it is written out and read again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto reference = hypermesh::parse_reference(text);
  (void)hypermesh::is_loopback_host(text);
  if (!reference) return 0;
  const auto again = hypermesh::parse_reference(reference->text());
  if (!again || *again != *reference || !hypermesh::registry_address(reference->registry)) abort();
  return 0;
}
