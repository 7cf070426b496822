#pragma once

#include <base/crypto.hpp>

#include "at_rest/ring_file.hpp"

namespace hypermesh::at_rest {

/// Bytes that a seal adds to a record: epoch, nonce, tag.
inline constexpr std::size_t kSealBytes = 4 + 24 + 16;

/// The epoch (u32), then the record under that epoch's key. The epoch is authenticated too.
/// `nonce` has base::kSealNonceBytes and is never used again.
base::Bytes seal_record(KeyEpoch epoch, base::BytesView key, base::BytesView nonce,
                        base::BytesView plain, base::BytesView context);
/// Errors: NotVerified (too short to have one).
base::Result<KeyEpoch> epoch_of(base::BytesView sealed);
/// `key` is the one of epoch_of(sealed). Errors: NotVerified (changed, or another place's record).
base::Result<base::Bytes> open_record(base::BytesView key, base::BytesView sealed,
                                      base::BytesView context);

}  // namespace hypermesh::at_rest
