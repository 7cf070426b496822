#include "process.hpp"

#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <thread>

namespace bench {

namespace {

double seconds(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

}  // namespace

void die(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::exit(1);
}

void must(bool good, const char* what) {
  if (!good) die(std::string(what) + ": " + std::strerror(errno));
}

double cpu_seconds() {
  return seconds(CLOCK_PROCESS_CPUTIME_ID);
}
double wall_seconds() {
  return seconds(CLOCK_MONOTONIC);
}

double anonymous_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("RssAnon:")) return std::strtod(line.c_str() + 8, nullptr);
  }
  die("/proc/self/status has no RssAnon");
}

void pin(unsigned core) {
  const unsigned cores = std::thread::hardware_concurrency();
  if (cores < 2) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core % cores, &set);
  (void)sched_setaffinity(0, sizeof set, &set);
}

void pin_behind(unsigned core) {
  pin(core);
  const sched_param none{};
  must(sched_setscheduler(0, SCHED_BATCH, &none) == 0, "SCHED_BATCH");
}

Pipe::~Pipe() {
  close(fd_);
}

void Pipe::put(double value) {
  must(send(fd_, &value, sizeof value, MSG_NOSIGNAL) == sizeof value, "the other process");
}

double Pipe::get() {
  double value = 0;
  if (recv(fd_, &value, sizeof value, 0) != sizeof value) die("the other process has ended");
  return value;
}

bool Pipe::ready() const {
  pollfd poll{fd_, POLLIN, 0};
  return ::poll(&poll, 1, 0) == 1;
}

Child::Child(const std::function<void(Pipe&)>& body) {
  int fds[2];
  must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0, "socketpair");
  const pid_t parent = getpid();
  pid_ = fork();
  must(pid_ >= 0, "fork");
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    close(fds[0]);
    Pipe pipe(fds[1]);
    body(pipe);
    _exit(0);
  }
  close(fds[1]);
  pipe_ = std::make_unique<Pipe>(fds[0]);
}

Child::~Child() {
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

}  // namespace bench
