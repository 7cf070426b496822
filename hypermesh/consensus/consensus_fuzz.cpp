// What a peer or a disk says: whatever is read is written as the same bytes.

#include <algorithm>

#include "consensus/records.hpp"

using namespace hypermesh::consensus;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const base::BytesView bytes(data, size);
  const ClusterId cluster{};
  if (const auto message = decode(cluster, bytes)) {
    const auto again = encode(*message);
    BASE_ASSERT(std::ranges::equal(again, bytes), "one value, one encoding");
  }
  if (const auto record = decode_record(cluster, bytes)) {
    const auto again = encode(*record);
    BASE_ASSERT(std::ranges::equal(again, bytes), "one value, one encoding");
  }
  if (const auto voters = decode_voters(bytes)) {
    const auto again = encode(*voters);
    BASE_ASSERT(std::ranges::equal(again, bytes), "one value, one encoding");
    for (View view = 0; view < 3; ++view) (void)voters->primary(view);
  }
  return 0;
}
