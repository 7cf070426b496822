#pragma once

#include <base/async/task.hpp>
#include <base/bytes.hpp>

namespace base {

/// A two-way stream of bytes with back-pressure: a connection to a pod's port, a container's
/// terminal. One reader and one writer at a time.
class ByteStream {
 public:
  virtual ~ByteStream() = default;
  /// Some bytes; empty at the end of the stream.
  virtual Task<Result<Bytes>> read() = 0;
  /// All of `bytes`, which are copied or outlive the call.
  virtual Task<Result<>> write(BytesView bytes) = 0;
  /// The other side reads the end; reading goes on.
  virtual void close_write() = 0;
  virtual void close() = 0;
};

}  // namespace base
