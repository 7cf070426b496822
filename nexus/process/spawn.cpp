#include "process/spawn.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "process/become.hpp"

namespace nexus::process {

namespace {

using base::Result;

/// Above all numbers that the child has its descriptors at, so that none is overwritten before it
/// is copied.
constexpr int kAbove = 10;

Result<UniqueFd> copy_above(int fd) {
  UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, kAbove));
  if (!copy) return base::fail_errno(errno, "cannot copy a descriptor");
  return copy;
}

Result<UniqueFd> launch_memory(const Launch& launch) {
  const base::Bytes bytes = encode(launch);
  UniqueFd memory(::memfd_create("launch", MFD_CLOEXEC));
  if (!memory) return base::fail_errno(errno, "cannot make a memory file");
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = ::write(memory.get(), bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return base::fail_errno(errno, "cannot write a memory file");
    done += static_cast<std::size_t>(count);
  }
  return memory;
}

/// posix_spawn's two objects, freed.
struct Plan {
  Plan() {
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
  }
  ~Plan() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  Result<> give(int fd, int at) {
    if (fd < 0) {
      if (at <= STDERR_FILENO)
        ::posix_spawn_file_actions_addopen(&actions, at, "/dev/null", O_RDWR, 0);
      return {};
    }
    TRY(UniqueFd copy, copy_above(fd));
    ::posix_spawn_file_actions_adddup2(&actions, copy.get(), at);
    copies.push_back(std::move(copy));
    return {};
  }

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  std::vector<UniqueFd> copies;
};

}  // namespace

Result<PipeEnds> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return base::fail_errno(errno, "cannot make a pipe");
  return PipeEnds{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Result<Spawned> spawn_helper(const Path& helper, const std::vector<std::string>& arguments,
                             const Launch& launch, SpawnFds fds) {
  TRY(const UniqueFd memory, launch_memory(launch));
  TRY(PipeEnds pipe, make_pipe());
  Plan plan;
  TRY_DO(plan.give(fds.input, STDIN_FILENO));
  TRY_DO(plan.give(fds.output, STDOUT_FILENO));
  TRY_DO(plan.give(fds.errors, STDERR_FILENO));
  TRY_DO(plan.give(memory.get(), kLaunchFd));
  TRY_DO(plan.give(pipe.write.get(), kReportFd));
  TRY_DO(plan.give(fds.lock, kLockFd));
  // Sockets of the daemon are not all marked to be closed.
  ::posix_spawn_file_actions_addclosefrom_np(&plan.actions, fds.lock < 0 ? kLockFd : kLockFd + 1);

  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  ::posix_spawnattr_setsigmask(&plan.attributes, &none);
  ::posix_spawnattr_setsigdefault(&plan.attributes, &all);
  ::posix_spawnattr_setflags(&plan.attributes,
                             POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::vector<char*> words{const_cast<char*>("hypermesh-process")};
  for (const std::string& each : arguments) words.push_back(const_cast<char*>(each.c_str()));
  words.push_back(nullptr);
  char* const no_environment[] = {nullptr};

  Spawned spawned;
  const int failed = ::posix_spawn(&spawned.pid, helper.c_str(), &plan.actions, &plan.attributes,
                                   words.data(), no_environment);
  if (failed != 0) return base::fail_errno(failed, fmt::format("cannot start {}", helper.string()));
  // Our child keeps its number until we reap it.
  spawned.pidfd = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, spawned.pid, 0)));
  if (!spawned.pidfd) {
    const int reason = errno;
    ::kill(spawned.pid, SIGKILL);
    ::waitpid(spawned.pid, nullptr, 0);
    return base::fail_errno(reason, "cannot watch a process");
  }
  spawned.report = std::move(pipe.read);
  return spawned;
}

std::optional<int> reap(int pidfd) {
  siginfo_t info{};
  if (::waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED | WNOHANG) != 0 ||
      info.si_pid == 0)
    return std::nullopt;
  return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

}  // namespace nexus::process
