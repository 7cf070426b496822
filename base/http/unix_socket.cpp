#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <base/http/socket.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <cstring>
#include <filesystem>

#include "socket_stream.hpp"

namespace base::http {
namespace {

using Local = asio::local::stream_protocol;

/// A socket address holds 107 bytes of path. A longer path is reached through a descriptor of its
/// folder.
class SocketPath {
 public:
  static Result<SocketPath> open(const std::string& path) {
    SocketPath result;
    if (path.empty()) return fail(Errc::InvalidArgument, "the path of a socket is empty");
    if (path.size() < sizeof(sockaddr_un::sun_path)) {
      result.path_ = path;
      return result;
    }
    const std::filesystem::path whole(path);
    result.folder_ = ::open(whole.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (result.folder_ < 0) return fail_errno(errno, fmt::format("the folder of {}", path));
    result.path_ = fmt::format("/proc/self/fd/{}/{}", result.folder_, whole.filename().string());
    if (result.path_.size() >= sizeof(sockaddr_un::sun_path)) {
      return fail(Errc::InvalidArgument,
                  fmt::format("the name of the socket {} is too long", path));
    }
    return result;
  }
  SocketPath(SocketPath&& other) noexcept
      : path_(std::move(other.path_)), folder_(std::exchange(other.folder_, -1)) {}
  SocketPath& operator=(SocketPath&&) = delete;
  ~SocketPath() {
    if (folder_ >= 0) ::close(folder_);
  }
  const std::string& path() const { return path_; }

 private:
  SocketPath() = default;
  std::string path_;
  int folder_ = -1;
};

class UnixListener final : public Listener {
 public:
  UnixListener(Local::acceptor acceptor, std::string path)
      : acceptor_(std::make_shared<Local::acceptor>(std::move(acceptor))), path_(std::move(path)) {}
  ~UnixListener() override { close(); }

  Task<Result<Accepted>> accept() override { return accept_on(acceptor_); }
  void close() override {
    if (!acceptor_->is_open()) return;
    boost::system::error_code ignored;
    acceptor_->close(ignored);
    ::unlink(path_.c_str());
  }
  std::string address() const override { return "unix:" + path_; }
  std::uint16_t port() const override { return 0; }

 private:
  static Task<Result<Accepted>> accept_on(std::shared_ptr<Local::acceptor> acceptor) {
    auto [code, socket] = co_await acceptor->async_accept(use_result);
    if (code) co_return std::unexpected(from_system_error(code, "accepting a connection"));
    ucred credentials{};
    socklen_t length = sizeof(credentials);
    if (getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) {
      co_return fail_errno(errno, "the credentials of a peer");
    }
    Accepted accepted;
    accepted.peer = {.local = true,
                     .uid = credentials.uid,
                     .gid = credentials.gid,
                     .pid = credentials.pid,
                     .address = "unix"};
    CO_TRY(accepted.stream, wrap_socket(std::move(socket)));
    co_return accepted;
  }

  std::shared_ptr<Local::acceptor> acceptor_;
  std::string path_;
};

// Whether somebody accepts connections at `path`.
bool answers(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return false;
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  std::copy_n(path.data(), path.size(), address.sun_path);
  const int connected = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  const bool alive = connected == 0 || errno == EAGAIN || errno == EINPROGRESS;
  ::close(fd);
  return alive;
}

}  // namespace

Result<std::unique_ptr<Listener>> listen_unix(const Executor& executor, const std::string& path,
                                              unsigned mode) {
  TRY(const SocketPath reachable, SocketPath::open(path));
  struct stat existing{};
  if (::lstat(path.c_str(), &existing) == 0) {
    if (!S_ISSOCK(existing.st_mode))
      return fail(Errc::AlreadyExists, fmt::format("{} exists and is not a socket", path));
    if (answers(reachable.path())) {
      return std::unexpected(with_hint(
          make_error(Errc::AlreadyExists, fmt::format("somebody answers on {} already", path)),
          "stop the other daemon, or give this one a folder of its own"));
    }
    if (::unlink(path.c_str()) != 0)
      return fail_errno(errno, fmt::format("removing the dead socket {}", path));
  }
  boost::system::error_code code;
  Local::acceptor acceptor(executor);
  acceptor.open(Local(), code);
  // Nobody can connect before the mode is set: a socket that does not listen refuses.
  if (!code) acceptor.bind(Local::endpoint(reachable.path()), code);
  if (code) return std::unexpected(from_system_error(code, fmt::format("listening on {}", path)));
  if (::chmod(path.c_str(), mode) != 0)
    return fail_errno(errno, fmt::format("the mode of {}", path));
  acceptor.listen(asio::socket_base::max_listen_connections, code);
  if (code) return std::unexpected(from_system_error(code, fmt::format("listening on {}", path)));
  return std::make_unique<UnixListener>(std::move(acceptor), path);
}

Task<Result<std::unique_ptr<ByteStream>>> connect_unix(std::string path) {
  CO_TRY(const SocketPath reachable, SocketPath::open(path));
  Local::socket socket(co_await asio::this_coro::executor);
  auto [code] = co_await socket.async_connect(Local::endpoint(reachable.path()), use_result);
  if (code)
    co_return std::unexpected(from_system_error(code, fmt::format("connecting to {}", path)));
  co_return wrap_socket(std::move(socket));
}

}  // namespace base::http
