#include "process/supervisor.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include <array>
#include <base/file.hpp>
#include <base/time.hpp>
#include <cerrno>
#include <csignal>
#include <memory>
#include <utility>

#include "process/become.hpp"
#include "process/log_file.hpp"
#include "process/log_record.hpp"
#include "process/proc_files.hpp"

namespace nexus::process {

namespace {

using base::Result;

constexpr std::size_t kReadBytes = 64u << 10;
/// A full disk may get room again; an end that is not recorded would be taken for a kill.
constexpr int kRecordTriesMax = 60;

/// One output of the container on its way into the log.
struct Output {
  explicit Output(bool is_stderr) : cutter(is_stderr) {}
  UniqueFd read_end, write_end;
  LogCutter cutter;
};

class Supervisor {
 public:
  explicit Supervisor(const Path& attempt) : attempt_(attempt), log_(attempt) {}

  /// Reports when it cannot.
  Result<> start() {
    auto started = try_start();
    if (!started) tell({EIO, started.error().describe()});
    return started;
  }

  void serve() {
    while (!ended_) {
      std::array<pollfd, 3> waited{pollfd{out_.read_end.get(), POLLIN, 0},
                                   pollfd{err_.read_end.get(), POLLIN, 0},
                                   pollfd{signals_.get(), POLLIN, 0}};
      if (::poll(waited.data(), waited.size(), -1) < 0) continue;
      if (waited[0].revents != 0) read_some(out_);
      if (waited[1].revents != 0) read_some(err_);
      if (waited[2].revents != 0) take_signals();
    }
    kill_rest();
    for (Output* output : {&out_, &err_}) {
      // At most what a pipe holds: others may have been given the writing end.
      for (int i = 0; i < 2 && read_some(*output); ++i) {
      }
      log_.append(output->cutter.finish(clock_.wall()));
    }
    const std::string record = encode(exit_);
    for (int i = 0; i < kRecordTriesMax; ++i) {
      if (base::write_private_file(attempt_ / kExitFile, record)) return;
      ::sleep(1);
    }
  }

 private:
  Result<> try_start() {
    TRY(const Launch launch, read_launch());
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    TRY_DO(catch_signals());
    for (Output* output : {&out_, &err_}) {
      std::array<int, 2> ends{};
      if (::pipe2(ends.data(), O_CLOEXEC) != 0)
        return base::fail_errno(errno, "cannot make a pipe");
      output->read_end = UniqueFd(ends[0]);
      output->write_end = UniqueFd(ends[1]);
      ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    }
    TRY_DO(fork_program(launch));
    auto recorded = record_start();
    if (!recorded) {
      ::kill(pid_, SIGKILL);
      reap_all();
    }
    return recorded;
  }

  Result<> catch_signals() {
    sigset_t caught;
    sigemptyset(&caught);
    for (const int signal : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) sigaddset(&caught, signal);
    ::sigprocmask(SIG_SETMASK, &caught, nullptr);
    signals_ = UniqueFd(::signalfd(-1, &caught, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals_) return base::fail_errno(errno, "cannot wait for signals");
    return {};
  }

  /// Returns when the program runs. The pipe that says so is closed by the kernel on exec.
  Result<> fork_program(const Launch& launch) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return base::fail_errno(errno, "cannot make a pipe");
    const UniqueFd report_end(ends[0]);
    UniqueFd write_end(ends[1]);
    const pid_t self = ::getpid();
    pid_ = ::fork();
    if (pid_ < 0) {
      tell({errno, "cannot start a process"});
      return base::fail_errno(errno, "cannot start a process");
    }
    if (pid_ == 0) {
      ::dup2(out_.write_end.get(), STDOUT_FILENO);
      ::dup2(err_.write_end.get(), STDERR_FILENO);
      ::dup3(write_end.get(), kReportFd, O_CLOEXEC);
      become(launch, self);
    }
    write_end.close();
    out_.write_end.close();
    err_.write_end.close();
    std::string failure;
    std::array<char, 4096> block{};
    for (;;) {
      const ssize_t count = ::read(report_end.get(), block.data(), block.size());
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) break;
      failure.append(block.data(), static_cast<std::size_t>(count));
    }
    if (failure.empty()) return {};
    reap_all();
    // What the child said is passed on as it is.
    (void)!::write(kReportFd, failure.data(), failure.size());
    told_ = true;
    return base::fail(base::Errc::Internal, std::move(failure));
  }

  Result<> record_start() {
    RunningRecord record;
    TRY(record.supervisor, name_process(::getpid()));
    TRY(record.process, name_process(pid_));
    record.started = clock_.wall();
    auto written = base::write_private_file(attempt_ / kRunningFile, encode(record));
    return written;
  }

  void tell(const StartFailure& failure) {
    if (!std::exchange(told_, true)) report(failure);
  }

  /// False: nothing is there now.
  bool read_some(Output& output) {
    if (!output.read_end) return false;
    const ssize_t count = ::read(output.read_end.get(), buffer_.data(), buffer_.size());
    if (count < 0) return errno == EINTR;
    if (count == 0) {
      output.read_end.close();
      return false;
    }
    log_.append(
        output.cutter.add({buffer_.data(), static_cast<std::size_t>(count)}, clock_.wall()));
    return true;
  }

  void take_signals() {
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
      // Whoever stops us means the container: it ends in its own time, and we after it.
      if (info.ssi_signo != SIGCHLD && !ended_) ::kill(pid_, static_cast<int>(info.ssi_signo));
    }
    int status = 0;
    for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) note_end(pid, status);
  }

  void note_end(pid_t pid, int status) {
    if (pid != pid_) return;
    ended_ = true;
    exit_ = exit_of(WIFEXITED(status) ? WEXITSTATUS(status) : 0,
                    WIFSIGNALED(status) ? WTERMSIG(status) : 0, clock_.wall());
  }

  void reap_all() {
    int status = 0;
    for (pid_t pid; (pid = ::waitpid(-1, &status, 0)) > 0 || errno == EINTR;) {
      if (pid > 0) note_end(pid, status);
    }
  }

  /// Children of those that die become ours, so each round finds them.
  void kill_rest() {
    const std::int32_t self = ::getpid();
    for (;;) {
      for (const auto& [pid, stat] : all_stats()) {
        if (stat.parent == self) ::kill(pid, SIGKILL);
      }
      if (::waitpid(-1, nullptr, 0) < 0 && errno == ECHILD) return;
      while (::waitpid(-1, nullptr, WNOHANG) > 0) {
      }
    }
  }

  base::SystemClock clock_;
  Path attempt_;
  LogFile log_;
  Output out_{false}, err_{true};
  UniqueFd signals_;
  std::array<char, kReadBytes> buffer_{};
  pid_t pid_ = 0;
  bool ended_ = false, told_ = false;
  ExitRecord exit_;
};

}  // namespace

int supervise(const Path& attempt) {
  ::signal(SIGPIPE, SIG_IGN);  // The daemon may go before it has read our report.
  const auto supervisor = std::make_unique<Supervisor>(attempt);
  if (auto started = supervisor->start(); !started) return 1;
  ::close(kReportFd);
  supervisor->serve();
  return 0;
}

}  // namespace nexus::process
