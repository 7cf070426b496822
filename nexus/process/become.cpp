#include "process/become.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <base/file.hpp>
#include <cerrno>
#include <csignal>

namespace nexus::process {

namespace {

constexpr std::size_t kLaunchBytesMax = 16u << 20;
/// As shells do it.
constexpr int kCannotStart = 127;

void forget_signal_handling() {
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
}

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (const std::string& each : strings) out.push_back(const_cast<char*>(each.c_str()));
  out.push_back(nullptr);
  return out;
}

[[noreturn]] void give_up(std::string what) {
  report({errno, std::move(what)});
  ::_exit(kCannotStart);
}

}  // namespace

base::Result<Launch> read_launch() {
  TRY(const std::string bytes,
      base::read_file(fmt::format("/proc/self/fd/{}", kLaunchFd), kLaunchBytesMax));
  return decode_launch(base::as_bytes(bytes));
}

void report(const StartFailure& failure) {
  const std::string text = encode(failure);
  // Shorter than PIPE_BUF, so it goes as a whole or not at all.
  (void)!::write(kReportFd, text.data(), text.size());
}

void become(const Launch& launch, std::int32_t parent) {
  ::setsid();  // Fails for one that has a session of its own already.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(kCannotStart);  // It died before we asked to be told.
  forget_signal_handling();
  if (::chdir(launch.folder.c_str()) != 0)
    give_up(fmt::format("cannot enter folder {}", launch.folder));
  if (launch.no_new_privileges && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    give_up("cannot give up new privileges");
  auto arguments = pointers(launch.arguments);
  auto environment = pointers(launch.environment);
  ::environ = environment.data();  // Its PATH is the one that leads to the program.
  ::execvp(arguments[0], arguments.data());
  give_up(fmt::format("cannot start {}", launch.arguments[0]));
}

}  // namespace nexus::process
