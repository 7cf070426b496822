#include <cstdlib>

#include "objects/envelope.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = base::as_text({data, size});
  if (const auto envelope = nexus::decode_envelope(text)) {
    if (nexus::encode_envelope(*envelope) != text) std::abort();
  }
  if (const auto ref = nexus::ref_of_key(text)) {
    if (nexus::object_key(*ref) != text) std::abort();
  }
  return 0;
}
