#pragma once

#include <base/async/byte_stream.hpp>

#include "rpc/frames.hpp"

namespace stoq::rpc {

/// Reads the answer of a call from any stream of bytes: messages, then a status. It keeps what it
/// read beyond a status, so that calls can follow each other on one stream.
class ReplyReader {
 public:
  explicit ReplyReader(std::size_t reply_bytes_max)
      : decoder_({.message_bytes_max = reply_bytes_max}) {}

  /// The next message, valid until the next call; empty: the status was success. Errors: the
  /// status; those of the stream; DataLoss (ended without a status, or not an answer).
  base::Task<base::Result<std::optional<base::BytesView>>> next(base::ByteStream& stream);
  /// The one message of an answer that must have one.
  base::Task<base::Result<base::BytesView>> only(base::ByteStream& stream);
  /// A status was read: the answer is complete.
  bool done() const { return done_; }
  /// For the next call on the stream.
  void begin(std::size_t reply_bytes_max) {
    done_ = false;
    decoder_.set_message_bytes_max(reply_bytes_max);
  }

 private:
  base::Result<> finish(base::BytesView status);

  FrameDecoder decoder_;
  base::Bytes kept_;
  bool done_ = false;
};

}  // namespace stoq::rpc
