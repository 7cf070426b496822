#pragma once

#include <base/bytes.hpp>
#include <base/error.hpp>
#include <stoq/types.hpp>
#include <vector>

namespace stoq {

/// A piece of content, borrowed from the bytes that were cut.
struct Chunk {
  ChunkId id;
  base::BytesView bytes;
};

/// Cuts content where it says so itself, so that equal parts of two files give equal chunks.
///
/// Pure and deterministic over all CPUs. Doubles: FixedChunker.
class Chunker {
 public:
  virtual ~Chunker() = default;
  /// Chunks in order; together they are `content`. Each but the last holds at least
  /// `chunk_bytes_min()`.
  virtual std::vector<Chunk> split(base::BytesView content) const = 0;
  /// Puts content together again. Errors: NotVerified (bytes do not have the id they came under).
  virtual base::Result<base::Bytes> join(const std::vector<Chunk>& chunks) const = 0;
  virtual std::size_t chunk_bytes_min() const = 0;
  virtual std::size_t chunk_bytes_max() const = 0;
};

}  // namespace stoq
