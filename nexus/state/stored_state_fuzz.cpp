#include <base/bytes.hpp>
#include <cstdlib>

#include "state/stored_state.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = base::as_text({data, size});
  if (const auto commit = nexus::decode_commit(text)) {
    if (nexus::encode_commit(*commit) != text) std::abort();
  }
  if (const auto entry = nexus::decode_entry(text)) {
    if (nexus::encode_entry(*entry) != text) std::abort();
  }
  (void)nexus::decode_number(text);
  return 0;
}
