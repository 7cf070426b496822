#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "dev/process.hpp"

// Between fork and exec only system calls are made: this program may have threads whose locks the
// child inherits.

namespace cli::dev {
namespace {

enum class Step : int {
  Fork,
  Session,
  MountNamespace,
  NetworkNamespace,
  Folder,
  Files,
  Groups,
  Group,
  User,
  Privileges,
  Exec,
};

std::string_view words(Step step) {
  switch (step) {
    case Step::Fork:
      return "fork";
    case Step::Session:
      return "start a session";
    case Step::MountNamespace:
      return "enter the node's mount namespace";
    case Step::NetworkNamespace:
      return "enter the node's network namespace";
    case Step::Folder:
      return "change to /";
    case Step::Files:
      return "set up its files";
    case Step::Groups:
    case Step::Group:
    case Step::User:
    case Step::Privileges:
      return "give up root";
    case Step::Exec:
      return "run the program";
  }
  return {};
}

struct Report {
  Step step = Step::Exec;
  int error_number = 0;  // 0: `pid` is the process, which waits for the word to go on
  pid_t pid = 0;
};

/// Everything that the child needs, made before the fork.
struct Prepared {
  const Launch* what = nullptr;
  std::vector<char*> arguments, environment;
  int program = -1, null = -1, log = -1, report = -1, go = -1;
};

[[noreturn]] void give_up(const Prepared& prepared, Step step) {
  const Report report{step, errno == 0 ? EINVAL : errno, 0};
  (void)!::write(prepared.report, &report, sizeof report);
  ::_exit(127);
}

void drop_to(const Prepared& prepared, uid_t user, gid_t group) {
  for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability) {
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) give_up(prepared, Step::Privileges);
  }
  if (::setgroups(0, nullptr) != 0) give_up(prepared, Step::Groups);
  if (::setresgid(group, group, group) != 0) give_up(prepared, Step::Group);
  if (::setresuid(user, user, user) != 0) give_up(prepared, Step::User);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) give_up(prepared, Step::Privileges);
}

void restore_signals() {
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

[[noreturn]] void become(const Prepared& prepared) {
  const Launch& what = *prepared.what;
  // Nothing runs before its record is written; without the word, whoever started us is gone.
  char word = 0;
  if (::read(prepared.go, &word, 1) != 1) ::_exit(127);
  restore_signals();
  ::umask(022);
  if (what.mount_namespace >= 0 && ::setns(what.mount_namespace, CLONE_NEWNS) != 0) {
    give_up(prepared, Step::MountNamespace);
  }
  if (what.network_namespace >= 0 && ::setns(what.network_namespace, CLONE_NEWNET) != 0) {
    give_up(prepared, Step::NetworkNamespace);
  }
  if (::chdir("/") != 0) give_up(prepared, Step::Folder);
  if (::dup2(prepared.null, 0) < 0 || ::dup2(prepared.log, 1) < 0 || ::dup2(prepared.log, 2) < 0 ||
      ::syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC) != 0) {
    give_up(prepared, Step::Files);
  }
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  if (what.user) drop_to(prepared, what.user->first, what.user->second);
  ::execve(what.program.c_str(), prepared.arguments.data(), prepared.environment.data());
  // The program may lie where its own user may not look, as in root's home; the open file is what
  // counts.
  if (errno == EACCES || errno == ENOENT) {
    ::syscall(SYS_execveat, prepared.program, "", prepared.arguments.data(),
              prepared.environment.data(), AT_EMPTY_PATH);
  }
  give_up(prepared, Step::Exec);
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (const std::string& text : texts) result.push_back(const_cast<char*>(text.c_str()));
  result.push_back(nullptr);
  return result;
}

base::Error failed(const Launch& what, const Report& report) {
  return base::errno_error(
      report.error_number,
      fmt::format("cannot start {}: cannot {}", what.program.string(), words(report.step)));
}

/// False at the end of the pipe: the program runs.
bool read_report(int pipe, Report& report) {
  ssize_t got;
  do {
    got = ::read(pipe, &report, sizeof report);
  } while (got < 0 && errno == EINTR);
  return got == sizeof report;
}

}  // namespace

base::Result<RunningProcess> launch(const Launch& what) {
  const UniqueFd program(::open(what.program.c_str(), O_PATH | O_CLOEXEC));
  if (!program)
    return base::fail_errno(errno, fmt::format("cannot open {}", what.program.string()));
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return base::fail_errno(errno, "cannot open /dev/null");
  const UniqueFd log(
      ::open(what.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0640));
  if (!log) return base::fail_errno(errno, fmt::format("cannot open {}", what.log.string()));
  int report_pipe[2], go_pipe[2];
  if (::pipe2(report_pipe, O_CLOEXEC) != 0) return base::fail_errno(errno, "cannot make a pipe");
  UniqueFd report_reader(report_pipe[0]), report_writer(report_pipe[1]);
  if (::pipe2(go_pipe, O_CLOEXEC) != 0) return base::fail_errno(errno, "cannot make a pipe");
  UniqueFd go_reader(go_pipe[0]), go_writer(go_pipe[1]);

  std::vector<std::string> arguments{what.program.string()};
  arguments.insert(arguments.end(), what.arguments.begin(), what.arguments.end());
  Prepared prepared{&what,      pointers(arguments), pointers(what.environment), program.get(),
                    null.get(), log.get(),           report_writer.get(),        go_reader.get()};
  // The middle process ends at once, so that the program is a child of init and nobody's zombie.
  const pid_t middle = ::fork();
  if (middle < 0) return base::fail_errno(errno, "cannot fork");
  if (middle == 0) {
    ::close(go_writer.get());
    if (::setsid() < 0) give_up(prepared, Step::Session);
    const pid_t child = ::fork();
    if (child < 0) give_up(prepared, Step::Fork);
    if (child == 0) become(prepared);
    const Report report{Step::Exec, 0, child};
    (void)!::write(prepared.report, &report, sizeof report);
    ::_exit(0);
  }
  report_writer.reset();
  go_reader.reset();
  while (::waitpid(middle, nullptr, 0) < 0 && errno == EINTR) {
  }
  Report report;
  if (!read_report(report_reader.get(), report)) {
    return base::fail(base::Errc::Internal,
                      fmt::format("cannot start {}: it ended at once", what.program.string()));
  }
  if (report.error_number != 0) return std::unexpected(failed(what, report));
  auto process = RunningProcess::open(report.pid);
  if (!process) {
    return base::fail(base::Errc::Internal,
                      fmt::format("cannot start {}: it ended at once", what.program.string()));
  }
  TRY_DO(write_pid_file(what.pid_file, report.pid));
  const char word = 'g';
  if (::write(go_writer.get(), &word, 1) != 1)
    return base::fail_errno(errno, "cannot let a process go on");
  if (read_report(report_reader.get(), report)) return std::unexpected(failed(what, report));
  return std::move(*process);
}

}  // namespace cli::dev
