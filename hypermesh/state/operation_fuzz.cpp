// Operations come from clients: what is accepted has one encoding, and stays within the limits.
#include "state/event_log.hpp"
#include "state/event_proof.hpp"
#include "state/local_meta.hpp"
#include "state/operation.hpp"

using namespace hypermesh::state;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const base::BytesView bytes(data, size);
  const base::Bytes wanted(bytes.begin(), bytes.end());
  if (const auto operation = decode_operation(bytes))
    BASE_ASSERT(encode(*operation) == wanted, "an accepted operation has one encoding");
  if (const auto outcome = decode_outcome(bytes))
    BASE_ASSERT(encode(*outcome) == wanted, "an accepted outcome has one encoding");
  const auto text = base::as_text(bytes);
  if (const auto events = decode_events(text))
    BASE_ASSERT(encode_events(*events) == text, "a logged revision has one encoding");
  if (const auto head = decode_head(text))
    BASE_ASSERT(encode_head(*head) == text, "a head has one encoding");
  if (const auto meta = decode_meta(text))
    BASE_ASSERT(encode_meta(*meta) == text, "what a replica knows of itself has one encoding");
  const Head from{.revision = 3}, to{.revision = 5};
  BASE_ASSERT(!verify_events("a", from, to, bytes), "nobody finds a chain of SHA-256");
  return 0;
}
