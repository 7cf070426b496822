#include "session/terminal.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <cerrno>
#include <semaphore>

namespace cli {

RawTerminal::RawTerminal(int fd) : fd_(fd) {
  termios now{};
  if (tcgetattr(fd, &now) != 0) return;
  before_ = now;
  cfmakeraw(&now);
  tcsetattr(fd, TCSADRAIN, &now);
}

RawTerminal::~RawTerminal() {
  if (before_) tcsetattr(fd_, TCSADRAIN, &*before_);
}

TerminalSize terminal_size(int fd) {
  winsize size{};
  if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) return {};
  return {size.ws_row, size.ws_col};
}

struct InputReader::Shared {
  explicit Shared(const base::Executor& executor)
      : pieces(executor, 2), wake(eventfd(0, EFD_CLOEXEC)) {}
  ~Shared() { close(wake); }
  base::Channel<base::Bytes> pieces;  // Used on the executor only.
  int wake;
  std::counting_semaphore<2> taken{1};  // The thread reads on when its last piece was taken.
  std::atomic<bool> ending = false;
};

namespace {

constexpr std::size_t kPieceBytes = 16 * 1024;

// Some bytes; empty at the end of input or when woken.
base::Bytes read_piece(int fd, int wake) {
  for (;;) {
    pollfd waiting[2] = {{fd, POLLIN, 0}, {wake, POLLIN, 0}};
    if (poll(waiting, 2, -1) < 0 && errno != EINTR) return {};
    if (waiting[1].revents != 0) return {};
    if (waiting[0].revents == 0) continue;
    base::Bytes bytes(kPieceBytes);
    const ssize_t count = read(fd, bytes.data(), bytes.size());
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    bytes.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    return bytes;
  }
}

}  // namespace

InputReader::InputReader(const base::Executor& executor, int fd)
    : shared_(std::make_shared<Shared>(executor)) {
  thread_ = std::thread([shared = shared_, executor, fd] {
    for (;;) {
      shared->taken.acquire();
      if (shared->ending) return;
      base::Bytes bytes = read_piece(fd, shared->wake);
      const bool end = bytes.empty();
      if (shared->ending) return;
      base::asio::post(executor, [shared, piece = std::move(bytes)]() mutable {
        shared->pieces.try_send(std::move(piece));
      });
      if (end) return;
    }
  });
}

InputReader::~InputReader() {
  shared_->ending = true;
  const std::uint64_t one = 1;
  if (write(shared_->wake, &one, sizeof one) < 0) {
    // Only a full counter could refuse, and nobody else writes.
  }
  shared_->taken.release();
  thread_.join();
}

base::Task<base::Bytes> InputReader::read() {
  auto piece = co_await shared_->pieces.receive();
  shared_->taken.release();
  co_return piece ? std::move(*piece) : base::Bytes();
}

}  // namespace cli
