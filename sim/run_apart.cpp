#include "sim/run_apart.hpp"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "sim/world.hpp"

namespace sim {

Ended run_plan(const Plan& plan, bool trace) {
  World world(plan, trace);
  Ended ended{world.run(), {}, 0, 0};
  ended.elapsed = world.elapsed();
  ended.steps = world.steps();
  ended.mark = world.mark();
  return ended;
}

void end_with(pid_t parent) {
  BASE_ASSERT(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0, "the kernel knows this since 2.1.57");
  if (getppid() != parent) _exit(1);  // It ended before.
}

Apart::Apart(const Plan& plan, bool twice) {
  int ends[2];
  BASE_ASSERT(pipe(ends) == 0, "no pipe: too many files are open");
  std::fflush(nullptr);
  const pid_t parent = getpid();
  child_ = fork();
  BASE_ASSERT(child_ >= 0, "no process: too many of them");
  if (child_ == 0) {
    end_with(parent);
    close(ends[0]);
    Ended ended = run_plan(plan);
    if (twice && ended.failure.empty() && run_plan(plan).mark != ended.mark)
      ended.failure = "another history when it is run again";
    const auto text =
        fmt::format("{} {} {} {}", ended.elapsed.count(), ended.steps, ended.mark, ended.failure);
    const auto written = write(ends[1], text.data(), text.size());
    _exit(written == static_cast<ssize_t>(text.size()) ? 0 : 1);
  }
  close(ends[1]);
  end_ = ends[0];
}

Apart::~Apart() {
  if (end_ >= 0) (void)wait();
}

Ended Apart::wait() {
  std::string text;
  char buffer[4096];
  for (ssize_t got = 0; (got = read(end_, buffer, sizeof(buffer))) > 0;)
    text.append(buffer, static_cast<std::size_t>(got));
  close(std::exchange(end_, -1));
  int status = 0;
  BASE_ASSERT(waitpid(child_, &status, 0) == child_, "a child that is not ours");
  Ended ended;
  long long elapsed = 0;
  unsigned long long steps = 0, mark = 0;
  int at = 0;
  if (status != 0 ||
      std::sscanf(text.c_str(), "%lld %llu %llu %n", &elapsed, &steps, &mark, &at) != 3) {
    ended.failure = WIFSIGNALED(status)
                        ? fmt::format("the program ended by signal {}", WTERMSIG(status))
                        : "the program ended";
    return ended;
  }
  ended.elapsed = Duration(elapsed);
  ended.steps = steps;
  ended.mark = mark;
  ended.failure = text.substr(static_cast<std::size_t>(at));
  return ended;
}

Ended run_apart(const Plan& plan) {
  return Apart(plan).wait();
}

std::string kind_of(std::string_view failure) {
  std::string kind;
  for (const char c : failure) {
    if (c < '0' || c > '9') kind += c;
  }
  return kind;
}

}  // namespace sim
