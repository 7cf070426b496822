// Operations come from clients: what is accepted has one encoding, and stays within the limits.
#include "state/event_log.hpp"
#include "state/event_proof.hpp"
#include "state/local_meta.hpp"
#include "state/operation.hpp"
#include "state/records.hpp"

using namespace hypermesh::state;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const base::BytesView bytes(data, size);
  const base::Bytes wanted(bytes.begin(), bytes.end());
  if (const auto operation = decode_operation(bytes))
    BASE_ASSERT(encode(*operation) == wanted, "an accepted operation has one encoding");
  if (const auto outcome = decode_outcome(bytes))
    BASE_ASSERT(encode(*outcome) == wanted, "an accepted outcome has one encoding");
  const auto text = base::as_text(bytes);
  if (const auto revisions = decode_events(2, text)) {
    EventBlock block;
    for (const auto& [revision, events] : *revisions) block.add(revision, events);
    Storage::Batch batch;
    block.store(batch);
    BASE_ASSERT(batch.writes.front().second == text, "logged revisions have one encoding");
  }
  if (const auto changes = decode_changes(text)) {
    std::string list;
    for (const auto& each : *changes)
      append_change(list, each.kind, each.key, each.created, each.value);
    BASE_ASSERT(changes->empty() || list == text, "a list of changed records has one encoding");
  }
  if (const auto page = decode_page(text))
    BASE_ASSERT(encode_page(*page) == text, "a page of the tree has one encoding");
  if (const auto head = decode_head(text))
    BASE_ASSERT(encode_head(*head) == text, "a head has one encoding");
  if (const auto meta = decode_meta(text))
    BASE_ASSERT(encode_meta(*meta) == text, "what a replica knows of itself has one encoding");
  const Head from{.revision = 3}, to{.revision = 5};
  BASE_ASSERT(!verify_events("a", from, to, bytes), "nobody finds a chain of SHA-256");
  return 0;
}
