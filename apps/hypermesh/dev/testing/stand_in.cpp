// Plays keeper or daemon of a development node, as little of each as starting and ending them
// needs.
//   stand_in --node-home DIR --isolate ...   keeper: enters the node's namespaces, runs one
//   "container", listens stand_in --home DIR                      daemon: answers /readyz
// HYPERMESH_STAND_IN in the environment makes it misbehave: keeper-fails, daemon-fails, unready,
// stubborn.
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <datapath/node_isolation.hpp>
#include <filesystem>
#include <fstream>
#include <string>

#include "dev/files.hpp"

namespace {

namespace fs = std::filesystem;
namespace datapath = hypermesh::datapath;

int listen_at(const fs::path& path) {
  ::unlink(path.c_str());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(fd, 8) != 0) {
    std::fprintf(stderr, "cannot listen at %s: %s\n", path.c_str(), std::strerror(errno));
    std::exit(1);
  }
  return fd;
}

/// Answers `text` to who connects, until SIGTERM.
int serve(int listener, const std::string& text, bool stubborn) {
  sigset_t term;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &term, nullptr);
  const int signals = ::signalfd(-1, &term, SFD_CLOEXEC);
  for (;;) {
    pollfd waits[] = {{listener, POLLIN, 0}, {signals, POLLIN, 0}};
    if (::poll(waits, stubborn ? 1 : 2, -1) < 0) continue;
    if (waits[1].revents != 0) return 0;
    const int peer = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    char request[1024];
    if (!text.empty() && ::recv(peer, request, sizeof request, 0) > 0) {
      (void)!::send(peer, text.data(), text.size(), MSG_NOSIGNAL);
    }
    ::close(peer);
  }
}

void run_container(const fs::path& home) {
  const pid_t pid = ::fork();
  if (pid != 0) return;
  const fs::path group =
      fs::path("/sys/fs/cgroup/pids") / datapath::node_cgroup_name(home) / "pod" / "container";
  std::error_code error;
  fs::create_directories(group, error);
  std::ofstream(group / "cgroup.procs") << ::getpid();
  // As another program's: nothing marks it but its cgroup.
  char name[] = "sleep", forever[] = "1000000";
  char* arguments[] = {name, forever, nullptr};
  char* environment[] = {nullptr};
  ::execve("/bin/sleep", arguments, environment);
  ::_exit(1);
}

int keeper(const fs::path& home, const std::string& mode) {
  if (mode == "keeper-fails") {
    std::fprintf(stderr, "the first line\nno room for a keeper here\n");
    return 1;
  }
  const auto identity = datapath::parse_node_identity(cli::dev::read_text(home / "node.json"));
  if (!identity) return 1;
  const auto entered = datapath::enter_node_namespaces({.identity = *identity, .home = home});
  if (!entered) {
    std::fprintf(stderr, "%s\n", entered.error().describe().c_str());
    return 1;
  }
  run_container(home);
  return serve(listen_at("/run/hypermesh/run/keeper.sock"), "", mode == "stubborn");
}

int daemon(const fs::path& home, const std::string& mode) {
  if (mode == "daemon-fails") {
    std::fprintf(stderr, "the state in %s is another version's\n", home.c_str());
    return 1;
  }
  // What a daemon must be able to do, and what it must not.
  std::ofstream facts(home / "state" / "facts");
  facts << "uid " << ::getuid() << "\ngroups " << ::getgroups(0, nullptr) << "\nno_new_privs "
        << ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) << "\nwrites_home "
        << (::access(home.c_str(), W_OK) == 0) << "\nopen_files "
        << std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()) << "\n";
  facts.close();
  const bool ready = mode != "unready";
  return serve(listen_at(home / "run" / "api.sock"),
               ready ? "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
                     : "HTTP/1.1 503 Service Unavailable\r\n\r\nthe store is being read",
               mode == "stubborn");
}

}  // namespace

int main(int argc, char** argv) {
  const char* variable = std::getenv("HYPERMESH_STAND_IN");
  const std::string mode = variable == nullptr ? "" : variable;
  for (int i = 1; i + 1 < argc; ++i) {
    if (std::string_view(argv[i]) == "--node-home") return keeper(argv[i + 1], mode);
    if (std::string_view(argv[i]) == "--home") return daemon(argv[i + 1], mode);
  }
  return 2;
}
