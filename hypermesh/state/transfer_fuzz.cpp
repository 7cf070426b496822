// Requests and answers come from other replicas, honest or not.
#include "state/memory_storage.hpp"
#include "state/transfer_fetcher.hpp"

using namespace hypermesh::state;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const base::BytesView bytes(data, size);
  const base::Bytes wanted(bytes.begin(), bytes.end());
  if (const auto request = decode_transfer_request(bytes))
    BASE_ASSERT(encode(*request) == wanted, "an accepted request has one encoding");
  if (const auto answer = decode_transfer_answer(bytes))
    BASE_ASSERT(encode(*answer) == wanted, "an accepted answer has one encoding");
  if (const auto leaf = decode_transfer_leaf(base::as_text(bytes)))
    BASE_ASSERT(base::as_bytes(encode_transfer_leaf(*leaf)).size() == size, "a leaf likewise");
  MemoryStorage storage;
  const auto fetcher = Fetcher::start(storage, {.slot = 7, .root = base::sha256("x")}, {});
  const auto requests = (*fetcher)->next_requests();
  BASE_ASSERT(requests && requests->size() == 1, "it begins with the root");
  BASE_ASSERT(!(*fetcher)->on_answer(requests->front().id, bytes), "nobody finds this root");
  BASE_ASSERT(!(*fetcher)->complete(), "what was refused is asked for again");
  return 0;
}
