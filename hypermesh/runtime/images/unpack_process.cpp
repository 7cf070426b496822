#include "runtime/images/unpack_process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "runtime/images/fd.hpp"
#include "runtime/images/unpack_request.hpp"

namespace hypermesh {
namespace {

// Descriptors on their way through exec are kept above all places they go to, so that none is
// overwritten.
constexpr int kParkedFd = 400;

base::Result<Fd> parked(int fd) {
  Fd copy(fcntl(fd, F_DUPFD_CLOEXEC, kParkedFd));
  if (!copy) return base::fail_errno(errno, "cannot start the unpacker");
  return copy;
}

base::Result<Fd> request_file(const UnpackJob& job) {
  UnpackerRequest request{
      .id_base = job.id_base, .diff_id = job.diff_id, .limits = job.limits, .parents = {}};
  for (const auto& parent : job.parents) request.parents.push_back(parent.opaque_folders);
  const base::Bytes bytes = encode_unpacker_request(request);
  Fd file(memfd_create("unpack-request", MFD_CLOEXEC));
  if (!file) return base::fail_errno(errno, "cannot start the unpacker");
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t written =
        pwrite(file.get(), bytes.data() + done, bytes.size() - done, off_t(done));
    if (written <= 0) return base::fail_errno(errno, "cannot start the unpacker");
    done += std::size_t(written);
  }
  return file;
}

// Between fork and exec only what is safe in a copy of a process with threads.
[[noreturn]] void exec_unpacker(const char* path, const std::vector<Fd>& fds) {
  int place = 0;
  for (const Fd& fd : fds) {
    if (place == 2) ++place;  // standard error stays
    if (dup2(fd.get(), place++) < 0) _exit(126);
  }
  close_range(unsigned(place), ~0u, 0);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  char* const argv[] = {const_cast<char*>("hypermesh-unpack"), nullptr};
  char* const env[] = {nullptr};
  execve(path, argv, env);
  _exit(errno == ENOENT ? 127 : 126);
}

// Reads until the process closes the pipe. Errors: TimedOut, InvalidArgument (too much).
base::Result<base::Bytes> read_outcome(int fd, std::chrono::steady_clock::time_point deadline) {
  base::Bytes out;
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
                          deadline - std::chrono::steady_clock::now())
                          .count();
    pollfd wait{fd, POLLIN, 0};
    const int ready = left <= 0 ? 0 : poll(&wait, 1, int(std::min<long>(left, 1 << 30)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return base::fail_errno(errno, "cannot read the unpacker's answer");
    if (ready == 0)
      return base::fail(base::Errc::TimedOut, "the unpacker took too long and was stopped");
    std::uint8_t piece[65536];
    const ssize_t got = read(fd, piece, sizeof piece);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return base::fail_errno(errno, "cannot read the unpacker's answer");
    if (got == 0) return out;
    out.insert(out.end(), piece, piece + got);
    if (out.size() > kUnpackReportBytesMax)
      return base::fail(base::Errc::InvalidArgument, "the unpacker's answer is too long");
  }
}

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status))
    return fmt::format("killed by {} ({})", sigabbrev_np(WTERMSIG(status)), WTERMSIG(status));
  if (WEXITSTATUS(status) == 127) return "the program is missing";
  if (WEXITSTATUS(status) == 126) return "the program cannot be run";
  return fmt::format("exit code {}", WEXITSTATUS(status));
}

}  // namespace

base::Result<UnpackReport> run_unpacker(const UnpackJob& job) {
  if (lseek(job.blob_fd, 0, SEEK_SET) < 0) return base::fail_errno(errno, "cannot read the layer");
  TRY(Fd request, request_file(job));
  int pipe_fds[2];
  if (pipe2(pipe_fds, O_CLOEXEC) != 0) return base::fail_errno(errno, "cannot start the unpacker");
  Fd outcome_read(pipe_fds[0]), outcome_write(pipe_fds[1]);

  std::vector<Fd> fds;
  std::vector<int> order = {job.blob_fd, outcome_write.get(), request.get(), job.target_fd};
  for (const auto& parent : job.parents) order.push_back(parent.folder_fd);
  for (const int fd : order) {
    TRY(Fd copy, parked(fd));
    fds.push_back(std::move(copy));
  }
  const pid_t pid = fork();
  if (pid < 0) return base::fail_errno(errno, "cannot start the unpacker");
  if (pid == 0) exec_unpacker(job.unpacker_path.c_str(), fds);
  fds.clear();
  outcome_write.reset();

  auto outcome =
      read_outcome(outcome_read.get(), std::chrono::steady_clock::now() + job.limits.time_max);
  // Also after a whole answer: nothing of it shall write any more.
  kill(pid, SIGKILL);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!outcome) return std::unexpected(std::move(outcome).error());
  if (outcome->empty()) {
    return base::fail(base::Errc::Internal,
                      fmt::format("the unpacker {} died without an answer: {}", job.unpacker_path,
                                  how_it_ended(status)));
  }
  return decode_unpack_outcome(*outcome);
}

}  // namespace hypermesh
