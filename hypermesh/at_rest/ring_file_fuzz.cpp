// A key ring as it lies on disk: what is accepted is written the same way again, and nothing that
// was not sealed by the master key gives a key.
#include <algorithm>

#include "at_rest/ring_file.hpp"
#include "at_rest/sealed_record.hpp"

using namespace hypermesh::at_rest;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const base::BytesView bytes(data, size);
  const base::Bytes key(kDataKeyBytes, 7);
  BASE_ASSERT(!open_record(key, bytes, {}), "what was not sealed does not open");
  // The checksum of what the fuzzer made is put behind it, else nothing passes.
  base::Bytes whole(bytes.begin(), bytes.end());
  const base::Digest digest = base::sha256(bytes);
  whole.insert(whole.end(), digest.begin(), digest.end());
  const auto file = decode_ring(whole);
  if (!file) return 0;
  BASE_ASSERT(encode(*file) == whole, "an accepted ring has one encoding");
  BASE_ASSERT(!open_keys(*file, key), "what was not sealed does not open");
  return 0;
}
