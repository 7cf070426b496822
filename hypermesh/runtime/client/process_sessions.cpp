#include "runtime/client/process_sessions.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>

#include <base/async/channel.hpp>

#include "runtime/client/fd_stream.hpp"

namespace hypermesh {
namespace {

using base::Errc;
using nexus::OutputChunk;

constexpr std::size_t kReadBytes = 32u << 10;
constexpr std::size_t kChunksWaitingMax = 4;

/// Both streams of an exec, read at the same time into one queue. Shared with the tasks that read.
struct Output {
  Output(const base::Executor& executor) : chunks(executor, kChunksWaitingMax) {}
  base::Channel<OutputChunk> chunks;
  std::vector<std::unique_ptr<AsyncFd>> streams;
  std::size_t open = 0;
  std::optional<base::Error> error;
};

base::Task<> read_stream(std::shared_ptr<Output> output, std::size_t index, bool is_stderr) {
  for (;;) {
    auto bytes = co_await output->streams[index]->read(kReadBytes);
    if (!bytes) {
      output->error = std::move(bytes).error();
      break;
    }
    if (bytes->empty()) break;
    if (!co_await output->chunks.send({is_stderr, *std::move(bytes)})) break;
  }
  if (--output->open == 0) output->chunks.close();
}

class ExecSession final : public nexus::ProcessSession {
 public:
  ExecSession(KeeperClient& client, KeeperClient::Session session, bool terminal, bool stdin_open)
      : client_(client),
        session_(std::move(session)),
        terminal_(terminal),
        output_(std::make_shared<Output>(client.executor())) {
    std::size_t next = 0;
    const auto take = [&] {
      return std::make_unique<AsyncFd>(client_.executor(), std::move(session_.fds.at(next++)));
    };
    if (terminal_) {
      output_->streams.push_back(take());
    } else {
      if (stdin_open) input_ = take();
      output_->streams.push_back(take());
      output_->streams.push_back(take());
    }
    output_->open = output_->streams.size();
    for (std::size_t i = 0; i < output_->streams.size(); ++i)
      client_.scope().spawn(read_stream(output_, i, i == 1));
  }
  ~ExecSession() override {
    output_->chunks.close();
    for (auto& stream : output_->streams) stream->close();
    if (!session_.end->over) client_.close_session(session_.id);
  }

  base::Task<base::Result<std::optional<OutputChunk>>> read_output() override {
    auto chunk = co_await output_->chunks.receive();
    if (!chunk && output_->error) co_return std::unexpected(*output_->error);
    co_return chunk;
  }
  base::Task<base::Result<>> write_input(base::BytesView bytes) override {
    if (terminal_) co_return co_await output_->streams[0]->write(bytes);
    if (!input_) co_return base::fail(Errc::FailedPrecondition, "the command has no input");
    co_return co_await input_->write(bytes);
  }
  base::Task<base::Result<>> close_input() override {
    // A terminal's end of input is a character, which the user types.
    input_.reset();
    co_return base::Result<>{};
  }
  base::Task<base::Result<>> resize(std::uint16_t rows, std::uint16_t columns) override {
    if (!terminal_) co_return base::fail(Errc::FailedPrecondition, "the command has no terminal");
    winsize size{};
    size.ws_row = rows;
    size.ws_col = columns;
    if (output_->streams[0]->is_open() &&
        ::ioctl(output_->streams[0]->get(), TIOCSWINSZ, &size) != 0) {
      co_return base::fail_errno(errno, "cannot resize the terminal");
    }
    co_return base::Result<>{};
  }
  base::Task<base::Result<int>> wait() override { return session_.end->wait(); }

 private:
  KeeperClient& client_;
  KeeperClient::Session session_;
  bool terminal_;
  std::unique_ptr<AsyncFd> input_;
  std::shared_ptr<Output> output_;
};

class AttachSession final : public nexus::ProcessSession {
 public:
  AttachSession(KeeperClient& client, std::shared_ptr<const KeeperClient::ContainerEnds> ends,
                KeeperClient::Session session)
      : client_(client),
        ends_(std::move(ends)),
        id_(ends_->id),
        attempt_(session.attempt),
        socket_(client.executor(), std::move(session.fds.at(0))) {}

  base::Task<base::Result<std::optional<OutputChunk>>> read_output() override {
    CO_TRY(base::Bytes packet, co_await socket_.receive(keeper::kAttachDataMax + 1));
    if (packet.empty()) co_return std::nullopt;
    const auto kind = static_cast<keeper::AttachFrame>(packet[0]);
    if (kind == keeper::AttachFrame::Lagging) {
      co_return std::unexpected(base::with_hint(
          base::make_error(Errc::ResourceExhausted,
                           fmt::format("container {} writes faster than this is read", id_.name)),
          "read its log instead, which holds everything"));
    }
    packet.erase(packet.begin());
    co_return OutputChunk{kind == keeper::AttachFrame::Stderr, std::move(packet)};
  }
  base::Task<base::Result<>> write_input(base::BytesView bytes) override {
    while (!bytes.empty()) {
      const base::BytesView part = bytes.first(std::min(bytes.size(), keeper::kAttachDataMax));
      CO_TRY_DO(co_await send(keeper::AttachFrame::Stdin, part));
      bytes = bytes.subspan(part.size());
    }
    co_return base::Result<>{};
  }
  base::Task<base::Result<>> close_input() override {
    return send(keeper::AttachFrame::CloseStdin, {});
  }
  base::Task<base::Result<>> resize(std::uint16_t rows, std::uint16_t columns) override {
    base::ByteWriter size;
    size.u16(rows);
    size.u16(columns);
    co_return co_await send(keeper::AttachFrame::Resize, size.view());
  }
  // How the attempt that was attached to ended; the next one may run already.
  base::Task<base::Result<int>> wait() override {
    if (const auto told = ends_->exit_codes.find(attempt_); told != ends_->exit_codes.end())
      co_return told->second;
    CO_TRY(const auto pods,
           co_await client_.ask_for<std::vector<nexus::PodStatus>>(keeper::ListPods{}));
    for (const auto& pod : pods) {
      for (const auto& status : pod.containers) {
        if (status.id == id_ && status.attempt == attempt_) co_return status.exit_code;
      }
    }
    if (const auto told = ends_->exit_codes.find(attempt_); told != ends_->exit_codes.end())
      co_return told->second;
    co_return base::fail(Errc::NotFound,
                         fmt::format("attempt {} of container {} is gone", attempt_, id_.name));
  }

 private:
  base::Task<base::Result<>> send(keeper::AttachFrame kind, base::BytesView data) {
    base::Bytes packet{static_cast<std::uint8_t>(kind)};
    packet.insert(packet.end(), data.begin(), data.end());
    co_return co_await socket_.send(packet);
  }

  KeeperClient& client_;
  const std::shared_ptr<const KeeperClient::ContainerEnds> ends_;
  const nexus::ContainerId id_;
  const std::uint32_t attempt_;
  AsyncFd socket_;
};

}  // namespace

std::unique_ptr<nexus::ProcessSession> make_exec_session(KeeperClient& client,
                                                         KeeperClient::Session session,
                                                         bool terminal, bool stdin_open) {
  return std::make_unique<ExecSession>(client, std::move(session), terminal, stdin_open);
}
std::unique_ptr<nexus::ProcessSession> make_attach_session(
    KeeperClient& client, std::shared_ptr<const KeeperClient::ContainerEnds> ends,
    KeeperClient::Session session) {
  return std::make_unique<AttachSession>(client, std::move(ends), std::move(session));
}

}  // namespace hypermesh
