#include <cstdlib>

#include "runtime/images/unpack_report.hpp"
#include "runtime/images/unpack_request.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hypermesh;
  const base::BytesView bytes(data, size);
  if (const auto report = decode_unpack_report(bytes);
      report && decode_unpack_report(encode_unpack_report(*report)) != *report)
    abort();
  if (const auto record = decode_layer_record(bytes);
      record && decode_layer_record(encode_layer_record(*record)) != *record)
    abort();
  (void)decode_unpack_outcome(bytes);
  (void)decode_unpacker_request(bytes);
  return 0;
}
