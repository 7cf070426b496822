#pragma once

#include <base/async/task.hpp>
#include <base/bytes.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "process/unique_fd.hpp"

namespace nexus::process {

/// A pipe, pidfd or inotify that Asio watches. Made without blocking; used by one task at a time.
class AsyncFd {
 public:
  AsyncFd(const base::Executor& executor, UniqueFd fd);
  /// Some bytes; empty at the end, and after close().
  base::Task<base::Result<base::Bytes>> read(std::size_t bytes_max);
  base::Task<base::Result<>> write(base::BytesView bytes);
  /// Until there is something to read: for a pidfd, until its process has ended. False: closed.
  base::Task<bool> readable();
  int get() { return descriptor_.native_handle(); }
  void close();

 private:
  base::asio::posix::stream_descriptor descriptor_;
};

}  // namespace nexus::process
