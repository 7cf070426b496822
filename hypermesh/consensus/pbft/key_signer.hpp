#pragma once

#include "consensus/pbft/replica.hpp"

namespace hypermesh::consensus::pbft {

class KeySigner final : public Signer {
 public:
  /// Borrowed.
  explicit KeySigner(const base::SigningKey& key) : key_(key) {}
  base::Signature sign(base::BytesView bytes) override { return key_.sign(bytes); }

 private:
  const base::SigningKey& key_;
};

}  // namespace hypermesh::consensus::pbft
