// A segment as it may lie on disk. Whatever the bytes: the scan ends, accounts for what it saw in
// order, keeps inside the file, and concludes the same when what it cut off is gone.
#include <algorithm>

#include "at_rest/record_cipher.hpp"
#include "consensus/log/segment_scan.hpp"

using namespace hypermesh;
using namespace hypermesh::consensus;

namespace {

/// Opens anything, so that the fuzzer meets intact records.
class OpenCipher final : public at_rest::RecordCipher {
 public:
  base::Bytes seal(base::BytesView plain, base::BytesView) override {
    return {plain.begin(), plain.end()};
  }
  base::Result<base::Bytes> open(base::BytesView sealed, base::BytesView) const override {
    return base::Bytes(sealed.begin(), sealed.end());
  }
};

SegmentScan scan(base::BytesView bytes, std::optional<Lsn> next,
                 std::span<const ByteRange> unreadable) {
  const OpenCipher cipher;
  Lsn before = 0;
  auto result =
      scan_segment({.bytes = bytes, .place = {}, .next_first = next, .unreadable = unreadable},
                   LogId{}, cipher, [&](Lsn lsn, base::BytesView typed) {
                     BASE_ASSERT(lsn > before && !typed.empty(), "records come in order");
                     BASE_ASSERT(!next || lsn < *next, "what another segment has is not here");
                     before = lsn;
                   });
  BASE_ASSERT(result.has_value(), "damage is no error");
  Lsn last = 0;
  for (const Damage& damage : result->damaged) {
    BASE_ASSERT(damage.first > last && damage.last >= damage.first && damage.last < result->next,
                "gaps come in order");
    last = damage.last;
  }
  BASE_ASSERT(before < result->next, "the next record has a number of its own");
  return *result;
}

}  // namespace

// The first bytes steer: how many intact records are there, what is unreadable, what comes next;
// the others are what follows.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4) return 0;
  OpenCipher cipher;
  base::Bytes bytes = encode_segment_header(LogId{}, {}, false, cipher);
  const LogId log{};
  RecordWriter writer(log, 1, cipher);
  Lsn lsn = 0;
  base::BytesView rest(data + 4, size - 4);
  // Pieces of the input are a record each, or bytes as they are.
  while (!rest.empty()) {
    const std::size_t piece = std::min<std::size_t>(rest.size(), 1 + rest[0] % 64);
    if (rest[0] < data[0]) {
      bytes.insert(bytes.end(), rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(piece));
      bytes.resize((bytes.size() + kRecordAlignment - 1) / kRecordAlignment * kRecordAlignment);
    } else {
      lsn += rest[0] % 16 == 0 ? 2 : 1;
      writer.add(bytes, lsn, lsn - 1, rest.first(piece));
    }
    rest = rest.subspan(piece);
  }
  for (std::size_t at = kSegmentHeaderBytes + data[1]; data[1] != 0 && at < bytes.size();
       at += 16 * data[1])
    bytes[at] ^= data[2];
  std::vector<ByteRange> unreadable;
  if (data[3] % 4 == 1) unreadable.push_back({.offset = 16ull * data[3], .bytes = 100});
  const std::optional<Lsn> next = data[3] % 4 == 2 ? std::optional<Lsn>(data[2] + 1) : std::nullopt;

  (void)check_segment_header(bytes, log, {}, cipher);
  const SegmentScan first = scan(bytes, next, unreadable);
  if (next) return 0;
  bytes.resize(std::min<std::size_t>(bytes.size(), first.used_bytes));
  const SegmentScan again = scan(bytes, next, unreadable);
  BASE_ASSERT(again.next == first.next && again.damaged == first.damaged && !again.torn,
              "a cut changes nothing before it");
  return 0;
}
