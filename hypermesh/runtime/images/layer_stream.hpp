#pragma once

#include <base/crypto.hpp>
#include <memory>

#include "runtime/images/digest.hpp"
#include "runtime/images/unpack_limits.hpp"

namespace hypermesh {

/// The uncompressed bytes of a layer, hashed and counted on the way. The compression is what the
/// bytes say (gzip, zstd or none), whatever the manifest calls it.
class LayerStream {
 public:
  /// `fd` is borrowed and read from where it stands. `compressed_bytes`: its length, for the ratio.
  LayerStream(int fd, std::uint64_t compressed_bytes, const UnpackLimits& limits);
  ~LayerStream();
  LayerStream(const LayerStream&) = delete;
  LayerStream& operator=(const LayerStream&) = delete;

  /// The next piece, valid until the next call; empty at the end.
  /// Errors: InvalidArgument (damaged or cut), Unsupported (another compression), ResourceExhausted
  /// (a limit).
  base::Result<base::BytesView> next();
  std::uint64_t bytes() const { return bytes_; }
  /// Call once, after the end.
  ContentDigest digest() { return {hash_.finish()}; }

 private:
  class Decoder;
  class Plain;
  class Gzip;
  class Zstd;
  base::Result<> begin();
  base::Result<bool> fill();

  const int fd_;
  const std::uint64_t compressed_bytes_;
  const UnpackLimits limits_;
  std::unique_ptr<Decoder> decoder_;
  base::Bytes input_, output_;
  base::BytesView unread_;  ///< Of input_.
  base::Sha256 hash_;
  std::uint64_t bytes_ = 0;
  bool ended_ = false;
};

}  // namespace hypermesh
