#include "runtime/client/fd_stream.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace hypermesh {
namespace {

using base::Errc;
namespace asio = base::asio;
using Descriptor = asio::posix::stream_descriptor;

constexpr std::size_t kReadBytes = 64u << 10;

}  // namespace

AsyncFd::AsyncFd(const base::Executor& executor, UniqueFd fd) : descriptor_(executor) {
  const int flags = ::fcntl(fd.get(), F_GETFL);
  ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK);
  descriptor_.assign(fd.release());
}

AsyncFd::~AsyncFd() {
  close();
}

void AsyncFd::close() {
  boost::system::error_code ignored;
  descriptor_.close(ignored);
}

base::Task<base::Result<base::Bytes>> AsyncFd::read(std::size_t bytes_max) {
  base::Bytes bytes(bytes_max);
  for (;;) {
    if (!descriptor_.is_open()) co_return base::Bytes{};
    const ssize_t count = ::read(descriptor_.native_handle(), bytes.data(), bytes.size());
    if (count >= 0) {
      bytes.resize(static_cast<std::size_t>(count));
      co_return bytes;
    }
    if (errno == EINTR) continue;
    if (errno == EIO) co_return base::Bytes{};
    if (errno != EAGAIN) co_return base::fail_errno(errno, "cannot read from the container");
    auto [error] = co_await descriptor_.async_wait(Descriptor::wait_read, base::use_result);
    if (error) co_return base::Bytes{};  // closed by us
  }
}

base::Task<base::Result<>> AsyncFd::write(base::BytesView bytes) {
  while (!bytes.empty()) {
    if (!descriptor_.is_open())
      co_return base::fail(Errc::FailedPrecondition, "the stream is closed");
    const ssize_t count = ::write(descriptor_.native_handle(), bytes.data(), bytes.size());
    if (count > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(count));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) co_return base::fail_errno(errno, "cannot write to the container");
    auto [error] = co_await descriptor_.async_wait(Descriptor::wait_write, base::use_result);
    if (error) co_return std::unexpected(base::from_system_error(error, "the container's stream"));
  }
  co_return base::Result<>{};
}

base::Task<base::Result<base::Bytes>> AsyncFd::receive(std::size_t bytes_max) {
  return read(bytes_max);
}
base::Task<base::Result<>> AsyncFd::send(base::BytesView packet) {
  // A packet goes as a whole or not at all, and so does a write of it.
  return write(packet);
}

namespace {

class SocketStream final : public base::ByteStream {
 public:
  SocketStream(const base::Executor& executor, UniqueFd socket)
      : fd_(executor, std::move(socket)) {}
  base::Task<base::Result<base::Bytes>> read() override { return fd_.read(kReadBytes); }
  base::Task<base::Result<>> write(base::BytesView bytes) override { return fd_.write(bytes); }
  void close_write() override {
    if (fd_.is_open()) ::shutdown(fd_.get(), SHUT_WR);
  }
  void close() override { fd_.close(); }

 private:
  AsyncFd fd_;
};

class CopyStream final : public base::ByteStream {
 public:
  CopyStream(KeeperClient& client, KeeperClient::Session session, bool out)
      : client_(client),
        session_(std::move(session)),
        out_(out),
        fd_(client.executor(), std::move(session_.fds.at(0))) {}
  ~CopyStream() override { close(); }

  base::Task<base::Result<base::Bytes>> read() override {
    if (out_) {
      CO_TRY(base::Bytes bytes, co_await fd_.read(kReadBytes));
      if (!bytes.empty()) co_return bytes;
    }
    CO_TRY(const int code, co_await session_.end->wait());
    if (code != 0) co_return base::fail(Errc::Internal, "the copier ended unexpectedly");
    co_return base::Bytes{};
  }
  base::Task<base::Result<>> write(base::BytesView bytes) override {
    if (out_) co_return base::fail(Errc::InvalidArgument, "this copy is read, not written");
    auto written = co_await fd_.write(bytes);
    if (written) co_return written;
    // The copier closed its end: it knows better why.
    auto end = co_await session_.end->wait();
    if (!end) co_return std::unexpected(std::move(end).error());
    co_return written;
  }
  void close_write() override {
    if (!out_) fd_.close();
  }
  void close() override {
    fd_.close();
    if (!session_.end->over) client_.close_session(session_.id);
  }

 private:
  KeeperClient& client_;
  KeeperClient::Session session_;
  bool out_;
  AsyncFd fd_;
};

}  // namespace

std::unique_ptr<base::ByteStream> make_socket_stream(const base::Executor& executor,
                                                     UniqueFd socket) {
  return std::make_unique<SocketStream>(executor, std::move(socket));
}
std::unique_ptr<base::ByteStream> make_copy_out_stream(KeeperClient& client,
                                                       KeeperClient::Session session) {
  return std::make_unique<CopyStream>(client, std::move(session), true);
}
std::unique_ptr<base::ByteStream> make_copy_in_stream(KeeperClient& client,
                                                      KeeperClient::Session session) {
  return std::make_unique<CopyStream>(client, std::move(session), false);
}

}  // namespace hypermesh
