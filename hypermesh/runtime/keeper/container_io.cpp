#include "runtime/keeper/container_io.hpp"

#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace hypermesh::keeper {
namespace {

constexpr std::size_t kReadBytes = 64u << 10;
/// Of one stream before the loop looks at the others again.
constexpr std::size_t kReadsPerTurn = 4;
/// Of one stream at its end: more than a pipe holds. Whoever was handed the pipe's other end by the
/// container, and goes on to write, is not read for ever.
constexpr std::size_t kLastReadsMax = 256;
constexpr auto kPause = std::chrono::milliseconds(50);

// One buffer for all: it is empty between two events.
std::array<char, kReadBytes>& read_buffer() {
  static std::array<char, kReadBytes> buffer;
  return buffer;
}

}  // namespace

ContainerIo::~ContainerIo() {
  for (Stream* stream : {&out_, &err_}) {
    if (stream->fd) loop_.unwatch(stream->fd.get());
  }
  if (resume_) loop_.cancel(resume_);
  while (!attached_.empty()) detach(attached_.back());
}

base::Result<ContainerEnds> ContainerIo::open_pipes(bool with_input, uid_t root, gid_t root_group) {
  ContainerEnds ends;
  const auto give = [&](int fd) { return ::fchown(fd, root, root_group) == 0; };
  for (Stream* stream : {&out_, &err_}) {
    TRY(Pipe pipe, make_pipe());
    if (!give(pipe.write.get()))
      return base::fail_errno(errno, "cannot give a pipe to the container");
    TRY_DO(set_nonblocking(pipe.read.get()));
    stream->fd = std::move(pipe.read);
    (stream->is_stderr ? ends.err : ends.out) = std::move(pipe.write);
  }
  if (with_input) {
    TRY(Pipe pipe, make_pipe());
    if (!give(pipe.read.get()))
      return base::fail_errno(errno, "cannot give a pipe to the container");
    TRY_DO(set_nonblocking(pipe.write.get()));
    input_ = std::move(pipe.write);
    ends.in = std::move(pipe.read);
  }
  return ends;
}

base::Result<> ContainerIo::use_terminal(UniqueFd master) {
  TRY_DO(set_nonblocking(master.get()));
  out_.fd = std::move(master);
  terminal_ = true;
  return {};
}

base::Result<> ContainerIo::start() {
  budget_time_ = clock_.now();
  for (Stream* stream : {&out_, &err_}) {
    if (!stream->fd) continue;
    TRY_DO(loop_.watch(stream->fd.get(), EPOLLIN,
                       [this, stream](std::uint32_t) { read_stream(*stream, false); }));
    stream->open = true;
  }
  return {};
}

std::string ContainerIo::note_time() const {
  return base::to_rfc3339(clock_.wall(), 9);
}

void ContainerIo::close_stream(Stream& stream) {
  if (stream.open) loop_.unwatch(stream.fd.get());
  stream.open = false;
  std::string records;
  stream.lines.finish(clock_.wall(), records);
  if (!records.empty()) log_.append(records, note_time());
  // A terminal is also the container's input and stays until the end.
  if (!terminal_) stream.fd.reset();
}

void ContainerIo::read_stream(Stream& stream, bool to_the_end) {
  const base::MonotonicTime now = clock_.now();
  const auto elapsed =
      std::chrono::duration_cast<std::chrono::microseconds>(now - budget_time_).count();
  budget_ = std::min<std::uint64_t>(
      kOutputBytesPerSecondMax,
      budget_ + static_cast<std::uint64_t>(std::min<std::int64_t>(elapsed, 1'000'000)) *
                    (kOutputBytesPerSecondMax / 1'000'000));
  budget_time_ = now;
  auto& buffer = read_buffer();
  std::string records;
  for (std::size_t turn = 0; turn < (to_the_end ? kLastReadsMax : kReadsPerTurn); ++turn) {
    if (!to_the_end && budget_ < kReadBytes) {
      pause();
      break;
    }
    const ssize_t count = ::read(stream.fd.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) break;
    // EIO is how a terminal says that its other side is closed.
    if (count <= 0) {
      if (!records.empty()) log_.append(records, note_time());
      return close_stream(stream);
    }
    const std::string_view data(buffer.data(), static_cast<std::size_t>(count));
    budget_ -= std::min<std::uint64_t>(budget_, data.size());
    copy_to_attached(stream.is_stderr, data);
    stream.lines.add(data, clock_.wall(), records);
    if (records.size() >= kReadBytes) {
      log_.append(records, note_time());
      records.clear();
    }
    if (data.size() < buffer.size() / 2 && !to_the_end) break;
  }
  if (!records.empty()) log_.append(records, note_time());
}

void ContainerIo::pause() {
  if (resume_) return;
  for (Stream* stream : {&out_, &err_}) {
    if (stream->open) loop_.change(stream->fd.get(), 0);
  }
  resume_ = loop_.after(kPause, [this] {
    resume_ = 0;
    for (Stream* stream : {&out_, &err_}) {
      if (stream->open) loop_.change(stream->fd.get(), EPOLLIN);
    }
  });
}

void ContainerIo::finish() {
  for (Stream* stream : {&out_, &err_}) {
    if (!stream->open) continue;
    read_stream(*stream, true);
    if (stream->open) close_stream(*stream);
  }
  while (!attached_.empty()) detach(attached_.back());
  out_.fd.reset();
  input_.reset();
}

base::Result<UniqueFd> ContainerIo::attach() {
  if (attached_.size() >= kAttachmentsMax) {
    return base::fail(base::Errc::ResourceExhausted,
                      "too many are attached to this container already");
  }
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
    return base::fail_errno(errno, "cannot make a socket pair");
  }
  UniqueFd ours(ends[0]), theirs(ends[1]);
  ::setsockopt(ours.get(), SOL_SOCKET, SO_SNDBUFFORCE, &kAttachBufferBytes,
               sizeof kAttachBufferBytes);
  auto attachment = std::make_shared<Attachment>();
  attachment->socket = std::move(ours);
  TRY_DO(loop_.watch(attachment->socket.get(), EPOLLIN,
                     [this, attachment](std::uint32_t) { read_attached(attachment); }));
  attached_.push_back(std::move(attachment));
  return theirs;
}

void ContainerIo::detach(std::shared_ptr<Attachment> attachment) {
  if (attachment->socket) loop_.unwatch(attachment->socket.get());
  attachment->socket.reset();
  std::erase(attached_, attachment);
}

void ContainerIo::copy_to_attached(bool is_stderr, std::string_view data) {
  if (attached_.empty()) return;
  const auto attached = attached_;
  for (const auto& attachment : attached) {
    for (std::string_view rest = data; !rest.empty();) {
      const std::string_view part = rest.substr(0, kAttachDataMax);
      std::string packet(1,
                         static_cast<char>(is_stderr ? AttachFrame::Stderr : AttachFrame::Stdout));
      packet += part;
      if (::send(attachment->socket.get(), packet.data(), packet.size(),
                 MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        // Room for one byte is left where there is none for a packet, mostly; if not, the end says
        // enough.
        const char lagging = static_cast<char>(AttachFrame::Lagging);
        (void)::send(attachment->socket.get(), &lagging, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        detach(attachment);
        break;
      }
      rest.remove_prefix(part.size());
    }
  }
}

void ContainerIo::read_attached(const std::shared_ptr<Attachment>& attachment) {
  if (!attachment->socket) return;
  auto& buffer = read_buffer();
  const ssize_t count =
      ::recv(attachment->socket.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0) return detach(attachment);
  const std::string_view data(buffer.data() + 1, static_cast<std::size_t>(count) - 1);
  switch (static_cast<AttachFrame>(buffer[0])) {
    case AttachFrame::Stdin:
      attachment->waiting += data;
      write_input(attachment);
      break;
    case AttachFrame::CloseStdin:
      attachment->ends_input = true;
      write_input(attachment);
      break;
    case AttachFrame::Resize:
      if (terminal_ && data.size() == 4) {
        const auto byte = [&](std::size_t i) {
          return static_cast<unsigned short>(static_cast<unsigned char>(data[i]));
        };
        winsize size{};
        size.ws_row = static_cast<unsigned short>(byte(0) << 8 | byte(1));
        size.ws_col = static_cast<unsigned short>(byte(2) << 8 | byte(3));
        ::ioctl(out_.fd.get(), TIOCSWINSZ, &size);
      }
      break;
    default:
      detach(attachment);
  }
}

void ContainerIo::write_input(const std::shared_ptr<Attachment>& attachment) {
  const int fd = terminal_ ? out_.fd.get() : input_.get();
  if (fd < 0) attachment->waiting.clear();
  while (!attachment->waiting.empty()) {
    const ssize_t count = ::write(fd, attachment->waiting.data(), attachment->waiting.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno != EAGAIN) attachment->waiting.clear();
    if (count < 0) break;
    attachment->waiting.erase(0, static_cast<std::size_t>(count));
  }
  if (attachment->ends_input && attachment->waiting.empty()) input_.reset();
  // A full pipe holds the client back: it is not read until the container has taken what waits.
  const bool full = attachment->waiting.size() >= kInputWaitingBytesMax;
  if (attachment->socket) loop_.change(attachment->socket.get(), full ? 0 : EPOLLIN);
  if (!attachment->waiting.empty() && !std::exchange(attachment->retrying, true)) {
    loop_.after(kPause, [this, weak = std::weak_ptr<Attachment>(attachment)] {
      const auto alive = weak.lock();
      if (!alive || !alive->socket) return;
      alive->retrying = false;
      write_input(alive);
    });
  }
}

}  // namespace hypermesh::keeper
