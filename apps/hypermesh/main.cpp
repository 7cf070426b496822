#include <unistd.h>

#include <base/time.hpp>
#include <csignal>
#include <string>
#include <vector>

#include "program.hpp"

namespace {

cli::Environment read_environment() {
  cli::Environment environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view line = *entry;
    const std::size_t equals = line.find('=');
    if (equals != std::string_view::npos)
      environment.variables.emplace(line.substr(0, equals), line.substr(equals + 1));
  }
  environment.uid = geteuid();
  char path[4096];
  const ssize_t size = readlink("/proc/self/exe", path, sizeof path);
  if (size > 0) environment.executable.assign(path, static_cast<std::size_t>(size));
  return environment;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
  // A change goes on to its end, whoever stops reading what it says: `hm deploy ... | head -1`.
  std::signal(SIGPIPE, SIG_IGN);
  const cli::Environment environment = read_environment();
  const base::SystemClock clock;
  return cli::run_program(words, environment, {}, clock);
}
