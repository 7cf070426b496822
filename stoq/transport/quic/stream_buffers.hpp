#pragma once

#include <base/bytes.hpp>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

namespace stoq::quic {

/// What a stream has to send: bytes are kept until the peer has acknowledged them.
class SendBuffer {
 public:
  /// Takes the block as it is: no copy.
  void append(base::Bytes block);
  void append(std::shared_ptr<const base::Bytes> block);
  /// Copies; small pieces share a block.
  void append(base::BytesView bytes);

  std::uint64_t unsent() const { return end_ - sent_; }
  std::uint64_t unacknowledged() const { return sent_ - begin_; }
  std::uint64_t end() const { return end_; }
  std::uint64_t sent_end() const { return sent_; }
  /// The next unsent bytes, at most `bytes_max` of them, in pieces. Gives how many pieces.
  std::size_t gather(std::span<base::BytesView> pieces, std::size_t bytes_max) const;
  /// `count` more bytes were sent.
  void sent(std::uint64_t count);
  /// Everything before `offset` has arrived.
  void acknowledged(std::uint64_t offset);
  /// Nothing was sent after all. Nothing may have been acknowledged.
  void rewind();
  void clear();

 private:
  static constexpr std::size_t kFirstBlockBytes = 512, kBlockBytes = 64 * 1024;
  static constexpr std::size_t kSpareMax = 64;

  struct Block {
    base::Bytes own;                            // May grow up to its capacity.
    std::shared_ptr<const base::Bytes> shared;  // Instead of it.
    base::BytesView bytes() const { return shared ? base::BytesView(*shared) : own; }
    std::size_t room() const { return shared ? 0 : own.capacity() - own.size(); }
  };

  void add_block(std::size_t bytes);
  void drop_first_block();

  std::deque<Block> blocks_;
  std::vector<base::Bytes> spare_;                // Blocks to use again, while others wait.
  std::uint64_t begin_ = 0, sent_ = 0, end_ = 0;  // Offsets in the stream.
  std::uint64_t first_offset_ = 0;                // Of blocks_.front().
  std::size_t sent_block_ = 0, sent_in_block_ = 0;
};

/// What a stream has received and nobody has read.
class ReceiveBuffer {
 public:
  void append(base::BytesView bytes);
  /// The oldest bytes, up to one block; empty when there are none.
  base::Bytes take();
  std::size_t size() const { return size_; }
  void clear();

 private:
  static constexpr std::size_t kBlockBytes = 32 * 1024;

  std::deque<base::Bytes> blocks_;
  std::size_t size_ = 0;
};

}  // namespace stoq::quic
