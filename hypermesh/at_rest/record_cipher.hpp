#pragma once

#include <base/bytes.hpp>

namespace hypermesh::at_rest {

/// Seals what a node keeps on disk, record by record. `context` says what the record is and where
/// it belongs (a key's name, a log position); it is authenticated, not stored.
///
/// Safe to call from several threads at once. Sealed bytes of equal records differ: nothing that
/// replicas compare may depend on them. Implementations: KeyRing's, FixedKeyCipher (tests).
class RecordCipher {
 public:
  virtual ~RecordCipher() = default;

  virtual base::Bytes seal(base::BytesView plain, base::BytesView context) = 0;
  /// Errors: NotVerified (changed, or another place's record), FailedPrecondition (of a key that
  /// is not there: names its epoch).
  virtual base::Result<base::Bytes> open(base::BytesView sealed, base::BytesView context) const = 0;
};

}  // namespace hypermesh::at_rest
