// consensus_cluster --cluster FOLDER --replicas N: makes a cluster in FOLDER and runs its replicas,
// a process each, until it is ended; they end with it. Prints "ready" when a write was
// acknowledged, and a replica's number and process for each before.

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>

#include "../transport/process.hpp"
#include "replica_folder.hpp"

namespace {

using namespace hypermesh::consensus;
using bench::must;

// A UDP port on which nobody listens; somebody may take it before we do.
std::uint16_t free_port() {
  const int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in6 address{.sin6_family = AF_INET6};
  address.sin6_addr = in6addr_loopback;
  socklen_t size = sizeof address;
  must(fd >= 0 && bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
           getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0,
       "find a port");
  close(fd);
  return ntohs(address.sin6_port);
}

void make_cluster(const std::filesystem::path& folder, std::size_t replicas) {
  base::SystemRng rng;
  Genesis genesis;
  genesis.name = "bench";
  const auto identity = [&](const std::filesystem::path& path) {
    return must(stoq::open_identity(path.string(), rng), "make an identity").key.public_key();
  };
  for (std::size_t i = 0; i < replicas; ++i) {
    std::filesystem::create_directories(bench::of_replica(folder, i));
    const auto key = identity(bench::of_replica(folder, i) / "identity");
    genesis.members.push_back({key, Role::Node, fmt::format("[::1]:{}", free_port())});
    genesis.voters.push_back(key);
  }
  genesis.members.push_back({identity(folder / "client"), Role::Client, ""});
  const auto bytes = encode(genesis);
  must(base::write_private_file(folder / "genesis", base::as_text(bytes)), "write the genesis");
}

pid_t start(const char* self, const std::string& folder, std::size_t index) {
  const auto program = (std::filesystem::path(self).parent_path() / "consensus_replica").string();
  const auto number = std::to_string(index);
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execl(program.c_str(), program.c_str(), "--cluster", folder.c_str(), "--index", number.c_str(),
          nullptr);
    _exit(127);
  }
  must(child > 0, "start a replica");
  return child;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("A cluster of replicas on loopback, in a folder.");
  std::string folder;
  std::size_t replicas = 4;
  app.add_option("--cluster", folder, "A folder that is there")->required();
  app.add_option("--replicas", replicas, "How many; default 4")->check(CLI::Range(1, 31));
  CLI11_PARSE(app, argc, argv);
  make_cluster(folder, replicas);
  const auto self = std::filesystem::read_symlink("/proc/self/exe").string();
  for (std::size_t i = 0; i < replicas; ++i) {
    fmt::print("replica {} is process {}\n", i, start(self.c_str(), folder, i));
    std::fflush(stdout);
  }
  // Ready when it orders.
  const auto load = (std::filesystem::path(self).parent_path() / "consensus_load").string();
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    must(freopen("/dev/null", "w", stdout) != nullptr, "be quiet");
    execl(load.c_str(), load.c_str(), "--cluster", folder.c_str(), "--writes", "--operations", "8",
          "--clients", "4", nullptr);
    _exit(127);
  }
  int status = 0;
  must(child > 0 && waitpid(child, &status, 0) == child, "ask the cluster");
  if (status != 0) bench::die("the cluster does not order");
  fmt::print("ready\n");
  std::fflush(stdout);
  pause();
}
