#pragma once

#include <base/async/byte_stream.hpp>

#include "rpc/call_bytes.hpp"
#include "rpc/frames.hpp"
#include "rpc/head.hpp"

namespace stoq::rpc {

/// Reads calls from any stream of bytes: a head, then messages. It keeps what it read beyond a
/// call with one request, so that calls can follow each other on one stream.
class RequestReader {
 public:
  /// `budget` outlives this; null: nobody counts what is held.
  explicit RequestReader(CallBytes* budget = nullptr) : decoder_({}), held_(budget) {}

  /// The head of the next call; its method points into this, until the next call of it. Empty: the
  /// stream ended before one. Errors: those of the stream; DataLoss, InvalidArgument.
  base::Task<base::Result<std::optional<Head>>> head(base::ByteStream& stream);
  /// The next message, valid until the next call; empty: the caller sends no more.
  base::Task<base::Result<std::optional<base::BytesView>>> message(base::ByteStream& stream);
  void set_request_bytes_max(std::size_t bytes) { decoder_.set_message_bytes_max(bytes); }

 private:
  base::Result<> feed(base::Bytes piece);

  FrameDecoder decoder_;
  CallBytes::Held held_;
};

}  // namespace stoq::rpc
