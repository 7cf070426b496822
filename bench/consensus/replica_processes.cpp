#include "replica_processes.hpp"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/file.hpp>
#include <csignal>

#include "../transport/process.hpp"
#include "replica_folder.hpp"

namespace bench {

std::filesystem::path own_folder() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path();
}

ReplicaProcesses::~ReplicaProcesses() {
  while (!running_.empty()) kill(running_.begin()->first);
}

pid_t ReplicaProcesses::start(std::size_t replica) {
  must(!runs(replica), "start a replica once");
  const auto program = (own_folder() / "consensus_replica").string();
  const auto number = std::to_string(replica);
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    // Standard output belongs to the figures.
    dup2(STDERR_FILENO, STDOUT_FILENO);
    execl(program.c_str(), program.c_str(), "--cluster", folder_.c_str(), "--index", number.c_str(),
          nullptr);
    _exit(127);
  }
  must(child > 0, "start a replica");
  running_.emplace(replica, child);
  return child;
}

void ReplicaProcesses::kill(std::size_t replica) {
  const auto found = running_.find(replica);
  must(found != running_.end(), "end a replica that runs");
  const pid_t child = found->second;
  running_.erase(found);
  int status = 0;
  must(::kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child, "end a replica");
  if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) die("a replica ended by itself");
}

ReplicaProcesses::Traffic ReplicaProcesses::traffic(std::size_t replica) const {
  const auto found = running_.find(replica);
  must(found != running_.end(), "ask a replica that runs");
  const auto told = of_replica(folder_, replica) / "traffic";
  std::filesystem::remove(told);
  must(::kill(found->second, SIGUSR1) == 0, "ask for the traffic");
  for (int tries = 0; !std::filesystem::exists(told); ++tries) {
    must(tries < 5000, "hear of the traffic within five seconds");
    usleep(1000);
  }
  const auto text = must(base::read_file(told, 100), "read the traffic");
  return {std::stoull(text), std::stoull(text.substr(text.find(' ')))};
}

}  // namespace bench
