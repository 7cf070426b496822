#pragma once

#include <stoq/chunker.hpp>

namespace stoq {

/// Cuts after every `chunk_bytes`: what content-defined cutting is compared with.
class FixedChunker final : public Chunker {
 public:
  explicit FixedChunker(std::size_t chunk_bytes) : chunk_bytes_(chunk_bytes) {}

  std::vector<Chunk> split(base::BytesView content) const override {
    std::vector<Chunk> chunks;
    for (std::size_t at = 0; at < content.size(); at += chunk_bytes_) {
      const auto bytes = content.subspan(at, std::min(chunk_bytes_, content.size() - at));
      chunks.push_back({{base::sha256(bytes)}, bytes});
    }
    return chunks;
  }
  base::Result<base::Bytes> join(const std::vector<Chunk>& chunks) const override {
    base::Bytes content;
    for (const Chunk& chunk : chunks) {
      if (base::sha256(chunk.bytes) != chunk.id.digest) {
        return base::fail(base::Errc::NotVerified,
                          "chunk " + base::to_hex(chunk.id.digest) + " came with other bytes");
      }
      content.insert(content.end(), chunk.bytes.begin(), chunk.bytes.end());
    }
    return content;
  }
  std::size_t chunk_bytes_min() const override { return chunk_bytes_; }
  std::size_t chunk_bytes_max() const override { return chunk_bytes_; }

 private:
  std::size_t chunk_bytes_;
};

}  // namespace stoq
