// hypermesh-copy: started by the keeper for one copy out of or into a container, with the
// container's process on descriptor 3. Says on standard error what went wrong.

#include <charconv>
#include <csignal>
#include <cstdio>
#include <string>

#include "runtime/keeper/copier.hpp"

int main(int argc, char** argv) {
  if (argc != 7) {
    std::fputs("hypermesh-copy is started by hypermesh-keeper\n", stderr);
    return 2;
  }
  std::signal(SIGPIPE, SIG_IGN);
  hypermesh::keeper::CopyTask task;
  task.out = std::string(argv[1]) == "out";
  task.machine_users = std::string(argv[2]) == "machine-users";
  const auto number = [](const std::string& text, auto& into) {
    return std::from_chars(text.data(), text.data() + text.size(), into).ec == std::errc{};
  };
  if (!number(argv[3], task.uid) || !number(argv[4], task.gid) ||
      !number(argv[5], task.capabilities)) {
    return 2;
  }
  task.path = argv[6];
  auto result = hypermesh::keeper::enter_container(task, 3);
  if (result) result = hypermesh::keeper::copy_files(task, task.out ? 1 : 0);
  if (result) return 0;
  std::fputs(result.error().describe().c_str(), stderr);
  return 1;
}
