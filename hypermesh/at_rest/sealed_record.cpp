#include "at_rest/sealed_record.hpp"

namespace hypermesh::at_rest {
namespace {

constexpr std::size_t kEpochBytes = sizeof(KeyEpoch);

void add_epoch(base::Bytes& out, KeyEpoch epoch) {
  for (int shift = 24; shift >= 0; shift -= 8)
    out.push_back(static_cast<std::uint8_t>(epoch >> shift));
}

base::Bytes with_epoch(KeyEpoch epoch, base::BytesView context) {
  base::Bytes bytes;
  bytes.reserve(kEpochBytes + context.size());
  add_epoch(bytes, epoch);
  bytes.insert(bytes.end(), context.begin(), context.end());
  return bytes;
}

}  // namespace

base::Bytes seal_record(KeyEpoch epoch, base::BytesView key, base::BytesView nonce,
                        base::BytesView plain, base::BytesView context) {
  base::Bytes sealed;
  sealed.reserve(kSealBytes + plain.size());
  add_epoch(sealed, epoch);
  base::seal_behind(sealed, key, nonce, plain, with_epoch(epoch, context));
  return sealed;
}

base::Result<KeyEpoch> epoch_of(base::BytesView sealed) {
  if (sealed.size() < kSealBytes)
    return base::fail(base::Errc::NotVerified, "sealed bytes are too short to hold a record");
  return base::ByteReader(sealed).u32();
}

base::Result<base::Bytes> open_record(base::BytesView key, base::BytesView sealed,
                                      base::BytesView context) {
  TRY(const KeyEpoch epoch, epoch_of(sealed));
  return base::open_sealed(key, sealed.subspan(kEpochBytes), with_epoch(epoch, context));
}

}  // namespace hypermesh::at_rest
