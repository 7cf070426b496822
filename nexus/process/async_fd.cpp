#include "process/async_fd.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace nexus::process {

using Descriptor = base::asio::posix::stream_descriptor;

AsyncFd::AsyncFd(const base::Executor& executor, UniqueFd fd) : descriptor_(executor) {
  const int flags = ::fcntl(fd.get(), F_GETFL);
  ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK);
  descriptor_.assign(fd.release());
}

void AsyncFd::close() {
  boost::system::error_code ignored;
  descriptor_.close(ignored);
}

base::Task<bool> AsyncFd::readable() {
  if (!descriptor_.is_open()) co_return false;
  auto [error] = co_await descriptor_.async_wait(Descriptor::wait_read, base::use_result);
  co_return !error;
}

base::Task<base::Result<base::Bytes>> AsyncFd::read(std::size_t bytes_max) {
  base::Bytes bytes(bytes_max);
  while (descriptor_.is_open()) {
    const ssize_t count = ::read(descriptor_.native_handle(), bytes.data(), bytes.size());
    if (count >= 0) {
      bytes.resize(static_cast<std::size_t>(count));
      co_return bytes;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) co_return base::fail_errno(errno, "cannot read from a process");
    if (!co_await readable()) break;
  }
  co_return base::Bytes();
}

base::Task<base::Result<>> AsyncFd::write(base::BytesView bytes) {
  while (!bytes.empty()) {
    if (!descriptor_.is_open())
      co_return base::fail(base::Errc::FailedPrecondition, "the input is closed");
    const ssize_t count = ::write(descriptor_.native_handle(), bytes.data(), bytes.size());
    if (count > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(count));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) co_return base::fail_errno(errno, "cannot write to a process");
    auto [error] = co_await descriptor_.async_wait(Descriptor::wait_write, base::use_result);
    if (error) co_return std::unexpected(base::from_system_error(error, "a process's input"));
  }
  co_return base::Result<>();
}

}  // namespace nexus::process
