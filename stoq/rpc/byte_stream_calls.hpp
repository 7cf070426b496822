#pragma once

#include <stoq/rpc.hpp>

#include "rpc/method_table.hpp"
#include "rpc/reply_reader.hpp"

namespace stoq::rpc {

/// Calls with one request and one reply, one after the other over one stream of bytes: the same
/// frames where there is no connection with streams, e.g. TCP with TLS. Nothing watches their time.
class ByteStreamCaller final : public Caller {
 public:
  /// `stream` outlives this and its calls.
  explicit ByteStreamCaller(base::ByteStream& stream) : stream_(stream), replies_(0) {}

  /// One at a time. Errors: InvalidArgument (a method with streams).
  base::Task<base::Result<std::unique_ptr<OpenCall>>> open_call(
      const Method& method, const CallOptions& options) override;

 private:
  base::ByteStream& stream_;
  ReplyReader replies_;
};

/// Answers them, until the stream ends or breaks. What is borrowed outlives the task.
base::Task<> serve_byte_stream(base::ByteStream& stream, const MethodTable& methods,
                               const base::Clock& clock, Lane lane);

}  // namespace stoq::rpc
