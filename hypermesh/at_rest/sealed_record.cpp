#include "at_rest/sealed_record.hpp"

namespace hypermesh::at_rest {
namespace {

constexpr std::size_t kEpochBytes = sizeof(KeyEpoch);

base::Bytes with_epoch(KeyEpoch epoch, base::BytesView bytes) {
  base::ByteWriter writer;
  writer.u32(epoch);
  writer.raw(bytes);
  return std::move(writer).take();
}

}  // namespace

base::Bytes seal_record(KeyEpoch epoch, base::BytesView key, base::BytesView plain,
                        base::BytesView context, base::Rng& rng) {
  return with_epoch(epoch, base::seal(key, plain, with_epoch(epoch, context), rng));
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
