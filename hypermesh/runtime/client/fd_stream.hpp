#pragma once

#include <base/async/byte_stream.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <memory>

#include "runtime/client/keeper_client.hpp"

namespace hypermesh {

/// A descriptor that Asio watches, with the few calls that sessions and streams need. The
/// descriptor's file description may be shared: it is read and written without blocking
/// nevertheless.
class AsyncFd {
 public:
  AsyncFd(const base::Executor& executor, UniqueFd fd);
  ~AsyncFd();
  /// Some bytes; empty at the end (for a terminal: when its other side is closed).
  base::Task<base::Result<base::Bytes>> read(std::size_t bytes_max);
  base::Task<base::Result<>> write(base::BytesView bytes);
  /// One packet of a packet socket; empty at the end.
  base::Task<base::Result<base::Bytes>> receive(std::size_t bytes_max);
  base::Task<base::Result<>> send(base::BytesView packet);
  int get() { return descriptor_.native_handle(); }
  bool is_open() const { return descriptor_.is_open(); }
  void close();

 private:
  base::asio::posix::stream_descriptor descriptor_;
};

/// A connected socket of the keeper's as a stream.
std::unique_ptr<base::ByteStream> make_socket_stream(const base::Executor& executor,
                                                     UniqueFd socket);
/// The streams of a copy, which are whole only when the copier says so. The session is ended with
/// the stream.
std::unique_ptr<base::ByteStream> make_copy_out_stream(KeeperClient& client,
                                                       KeeperClient::Session session);
std::unique_ptr<base::ByteStream> make_copy_in_stream(KeeperClient& client,
                                                      KeeperClient::Session session);

}  // namespace hypermesh
