// consensus_cluster --cluster FOLDER --replicas N: makes a cluster in FOLDER and runs its replicas,
// a process each, until it is ended; they end with it. Prints "ready" when a write was
// acknowledged, and a replica's number and process for each before.

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>

#include "../transport/process.hpp"
#include "replica_folder.hpp"
#include "replica_processes.hpp"

int main(int argc, char** argv) {
  CLI::App app("A cluster of replicas on loopback, in a folder.");
  std::string folder;
  std::size_t replicas = 4;
  app.add_option("--cluster", folder, "A folder that is there")->required();
  app.add_option("--replicas", replicas, "How many; default 4")->check(CLI::Range(1, 31));
  CLI11_PARSE(app, argc, argv);
  bench::make_cluster(folder, {.voters = replicas});
  bench::ReplicaProcesses processes(folder);
  for (std::size_t i = 0; i < replicas; ++i) {
    fmt::print("replica {} is process {}\n", i, processes.start(i));
    std::fflush(stdout);
  }
  // Ready when it orders.
  const auto load = (bench::own_folder() / "consensus_load").string();
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    bench::must(freopen("/dev/null", "w", stdout) != nullptr, "be quiet");
    execl(load.c_str(), load.c_str(), "--cluster", folder.c_str(), "--writes", "--operations", "8",
          "--clients", "4", nullptr);
    _exit(127);
  }
  int status = 0;
  bench::must(child > 0 && waitpid(child, &status, 0) == child, "ask the cluster");
  if (status != 0) bench::die("the cluster does not order");
  fmt::print("ready\n");
  std::fflush(stdout);
  pause();
}
