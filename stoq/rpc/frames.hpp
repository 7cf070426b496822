#pragma once

// The bytes of a call: docs/wire/rpc.md. Frames go one after the other; each is a type (u8), a
// length (a QUIC variable-length integer, RFC 9000 section 16) and that many bytes.

#include <base/bytes.hpp>
#include <cstdint>
#include <optional>

namespace stoq::rpc {

enum class FrameType : std::uint8_t { Head = 1, Message = 2, Status = 3 };

struct Frame {
  FrameType type{};
  base::BytesView payload;  ///< Points into the decoder; valid until its next call.
};

std::size_t varint_bytes(std::uint64_t value);
/// `value` is below 2^62.
void append_varint(base::Bytes& out, std::uint64_t value);
base::Result<std::uint64_t> read_varint(base::ByteReader& in);

/// Appends a frame whose payload the caller writes: `payload_bytes` from the pointer on, which is
/// valid until `out` changes.
std::uint8_t* append_frame(base::Bytes& out, FrameType type, std::size_t payload_bytes);
std::size_t frame_bytes(std::size_t payload_bytes);

/// Finds the frames in what arrives, in pieces of any size. Keeps no more than one frame beyond the
/// piece that was given last, and nothing that the peer only announces.
class FrameDecoder {
 public:
  struct Limits {
    std::size_t head_bytes_max = 1024;
    std::size_t message_bytes_max = 0;
    std::size_t status_bytes_max = 16 * 1024;
  };
  explicit FrameDecoder(Limits limits) : limits_(limits) {}

  /// What messages may have from here on.
  void set_message_bytes_max(std::size_t bytes) { limits_.message_bytes_max = bytes; }
  /// Takes the piece as it is: a whole frame in it is not copied.
  void feed(base::Bytes piece);
  /// The next frame; empty: more bytes are needed. Errors, after which nothing else comes:
  /// ResourceExhausted (longer than the limit of its type), DataLoss (no such type).
  base::Result<std::optional<Frame>> next();
  /// The peer wrote its last byte. Errors: DataLoss (in the middle of a frame).
  base::Result<> end() const;
  /// Bytes in memory, those of the frame that was given last among them.
  std::size_t held() const { return bytes_.size(); }
  /// Bytes that are kept and belong to no frame that was given.
  std::size_t pending() const { return bytes_.size() - used_; }

 private:
  Limits limits_;
  base::Bytes bytes_;
  std::size_t used_ = 0;
};

}  // namespace stoq::rpc
