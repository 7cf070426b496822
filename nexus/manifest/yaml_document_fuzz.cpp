// Any bytes: a value or a problem, never a crash; what was read can be written and read again.
#include <cstdint>
#include <cstdlib>

#include "manifest/yaml_document.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nexus::manifest;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const ReadLimits limits{.text_bytes_max = 64 << 10,
                          .depth_max = 50,
                          .nodes_max = 5000,
                          .expanded_bytes_max = 256 << 10};
  const Documents documents = read_documents(text, "fuzz.yaml", limits);
  (void)describe(documents.problems);
  for (const Document& document : documents.documents) {
    const std::string json = document.value.dump();
    const auto again = read_json(json);
    if (!again || *again != document.value) std::abort();
  }
  (void)read_json(text, limits);
  return 0;
}
