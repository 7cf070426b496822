#include "process/command_session.hpp"

#include <base/async/channel.hpp>
#include <csignal>

#include "process/async_fd.hpp"

namespace nexus::process {

namespace {

using base::Errc;
using base::Result;

constexpr std::size_t kReadBytes = 32u << 10;
constexpr std::size_t kChunksWaitingMax = 4;
constexpr std::size_t kReportBytesMax = 4096;

/// Shared by the session and the tasks that read its output and wait for its end.
struct Command {
  Command(const base::Executor& executor, Spawned spawned, PipeEnds out, PipeEnds err)
      : pid(spawned.pid),
        process(executor, std::move(spawned.pidfd)),
        out(executor, std::move(out.read)),
        err(executor, std::move(err.read)),
        chunks(executor, kChunksWaitingMax),
        ended(executor) {}

  std::int32_t pid;  ///< Ours, and of its session's group, until exit_code is known.
  AsyncFd process, out, err;
  base::Channel<OutputChunk> chunks;
  int open = 2;
  std::optional<int> exit_code;
  base::Event ended;
};
using CommandPtr = std::shared_ptr<Command>;

base::Task<> read_output(CommandPtr command, bool is_stderr) {
  AsyncFd& stream = is_stderr ? command->err : command->out;
  for (;;) {
    auto bytes = co_await stream.read(kReadBytes);
    if (!bytes || bytes->empty()) break;
    if (!co_await command->chunks.send({is_stderr, *std::move(bytes)})) break;
  }
  if (--command->open == 0) command->chunks.close();
}

base::Task<> await_end(CommandPtr command) {
  while (co_await command->process.readable()) {
    command->exit_code = reap(command->process.get());
    if (command->exit_code) break;
  }
  command->ended.notify();
}

class CommandSession final : public ProcessSession {
 public:
  CommandSession(CommandPtr command, std::unique_ptr<AsyncFd> input)
      : command_(std::move(command)), input_(std::move(input)) {}
  ~CommandSession() override {
    command_->chunks.close();
    command_->out.close();
    command_->err.close();
    // Not yet reaped, so the number is still its own.
    if (!command_->exit_code) ::kill(-command_->pid, SIGKILL);
  }

  base::Task<Result<std::optional<OutputChunk>>> read_output() override {
    co_return co_await command_->chunks.receive();
  }
  base::Task<Result<>> write_input(base::BytesView bytes) override {
    if (!input_) co_return base::fail(Errc::FailedPrecondition, "the command has no input");
    co_return co_await input_->write(bytes);
  }
  base::Task<Result<>> close_input() override {
    input_.reset();
    co_return Result<>();
  }
  base::Task<Result<>> resize(std::uint16_t, std::uint16_t) override {
    co_return base::fail(Errc::FailedPrecondition, "the command has no terminal");
  }
  base::Task<Result<int>> wait() override {
    while (!command_->exit_code) co_await command_->ended.wait();
    co_return *command_->exit_code;
  }

 private:
  CommandPtr command_;
  std::unique_ptr<AsyncFd> input_;
};

}  // namespace

base::Task<Result<std::unique_ptr<ProcessSession>>> start_command(base::TaskScope& scope,
                                                                  Path helper, Launch launch,
                                                                  bool stdin_open) {
  const base::Executor executor = scope.executor();
  CO_TRY(PipeEnds out, make_pipe());
  CO_TRY(PipeEnds err, make_pipe());
  PipeEnds in;
  if (stdin_open) {
    CO_TRY(in, make_pipe());
  }
  CO_TRY(Spawned spawned, spawn_helper(helper, {"run", std::to_string(::getpid())}, launch,
                                       {in.read.get(), out.write.get(), err.write.get(), -1}));
  for (UniqueFd* end : {&in.read, &out.write, &err.write}) end->close();

  AsyncFd report(executor, std::move(spawned.report));
  auto input = stdin_open ? std::make_unique<AsyncFd>(executor, std::move(in.write)) : nullptr;
  auto command =
      std::make_shared<Command>(executor, std::move(spawned), std::move(out), std::move(err));
  // From here on the session ends the command, whatever happens.
  auto session = std::make_unique<CommandSession>(command, std::move(input));
  scope.spawn(await_end(command));
  CO_TRY(const base::Bytes failure, co_await report.read(kReportBytesMax));
  if (!failure.empty()) co_return std::unexpected(start_error(base::as_text(failure)));
  scope.spawn(read_output(command, false));
  scope.spawn(read_output(command, true));
  co_return session;
}

}  // namespace nexus::process
