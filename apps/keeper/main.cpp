#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <optional>
#include <utility>

#include "datapath/node_isolation.hpp"
#include "options.hpp"
#include "runtime/keeper/cleanup.hpp"
#include "runtime/keeper/datapath_network.hpp"
#include "runtime/keeper/server.hpp"

using namespace hypermesh;
using namespace hypermesh::keeper;

namespace {

constexpr unsigned kSpareSandboxes = 3;  // a small deployment at once
constexpr auto kEndGrace =
    std::chrono::seconds(10);  // for containers, when the keeper is told to end

base::Result<datapath::NodeIdentity> read_identity(const std::filesystem::path& home) {
  TRY(const std::string text, read_file((home / "node.json").string(), 64u << 10));
  return datapath::parse_node_identity(text);
}

/// Programs that the keeper starts stand beside it.
std::string beside(const char* name) {
  std::error_code error;
  return (std::filesystem::read_symlink("/proc/self/exe", error).parent_path() / name).string();
}

/// Takes back what add_node_addresses gave.
class NodeAddressesGuard {
 public:
  explicit NodeAddressesGuard(std::filesystem::path home) : home_(std::move(home)) {}
  NodeAddressesGuard(NodeAddressesGuard&& other) noexcept
      : home_(std::exchange(other.home_, std::filesystem::path())) {}
  NodeAddressesGuard& operator=(NodeAddressesGuard&&) = delete;
  ~NodeAddressesGuard() {
    if (!home_.empty()) (void)datapath::remove_machine_link(home_);
  }

 private:
  std::filesystem::path home_;
};

struct Place {
  UniqueFd machine_netns;
  std::filesystem::path home;  ///< As this process sees it from now on.
  std::optional<NodeAddressesGuard> addresses;
};

/// A keeper's mounts are its own and vanish with it, on a node with namespaces of its own and on
/// any other. Only a node of the first kind has its addresses from there.
base::Result<Place> enter_place(const CommandLine& line, const datapath::NodeIdentity& identity) {
  if (line.isolate) {
    TRY(auto namespaces,
        datapath::enter_node_namespaces({.identity = identity, .home = line.node_home}));
    return Place{std::move(namespaces.machine_network), datapath::kNodeHomeInside, {}};
  }
  if (::unshare(CLONE_NEWNS) != 0) {
    return std::unexpected(base::with_hint(
        base::errno_error(errno, "cannot make a mount namespace"), "run it as root"));
  }
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) {
    return base::fail_errno(errno, "cannot separate the keeper's mounts from the machine's");
  }
  TRY_DO(hide_hybrid_cgroups());
  TRY_DO(datapath::add_node_addresses(identity, line.node_home));
  return Place{UniqueFd(), line.node_home, NodeAddressesGuard(line.node_home)};
}

KeeperOptions keeper_options(const CommandLine& line, const Place& place) {
  KeeperOptions options;
  options.state_folder = (line.state.empty() ? place.home / "keeper" : line.state).string();
  options.run_folder = line.run.empty() ? "/run/hypermesh-keeper" : line.run.string();
  options.cgroup = "/" + datapath::node_cgroup_name(line.node_home);
  options.log_group = line.daemon_gid;
  options.id_base = line.id_base;
  options.oci_runtimes = line.oci_runtimes;
  options.access = line.access;
  options.unpacker_path = beside("hypermesh-unpack");
  options.copier_path = beside("hypermesh-copy");
  options.spare_sandboxes = kSpareSandboxes;
  return options;
}

base::Result<> run(const CommandLine& line, base::LogSink& sink) {
  const base::Log log(sink, "keeper");
  if (::geteuid() != 0) {
    return std::unexpected(
        base::with_hint(base::make_error(base::Errc::Forbidden, "the keeper must run as root"),
                        "start it with sudo, or let systemd do it"));
  }
  TRY(const datapath::NodeIdentity identity, read_identity(line.node_home));
  TRY(Place place, enter_place(line, identity));
  TRY(const auto loop, Loop::open());
  const base::SystemClock clock;
  TRY(const auto network, DatapathNetwork::open(identity, std::move(place.machine_netns)));
  ServerOptions server_options;
  server_options.socket_path =
      (line.socket.empty() ? place.home / "run/keeper.sock" : line.socket).string();
  server_options.client_uid = line.daemon_uid;
  server_options.client_gid = line.daemon_gid;
  Server server(server_options, *loop, log);
  TRY(const auto keeper,
      Keeper::open(keeper_options(line, place), *loop, clock, *network, server, log));
  TRY_DO(server.serve(*keeper));
  log.info("ready", {{"runtime", keeper->oci_runtime()}, {"socket", server_options.socket_path}});
  server.on_power_off([&] { loop->stop(); });
  loop->on_terminate([&] {
    log.info("ending", {});
    spawn([](Keeper& ending, Loop& its_loop) -> Job<void> {
      co_await ending.shut_down(kEndGrace);
      its_loop.stop();
    }(*keeper, *loop));
  });
  loop->run();
  server.close();
  return {};
}

base::Result<> clean_up(const CommandLine& line) {
  const std::string state = (line.state.empty() ? line.node_home / "keeper" : line.state).string();
  const UniqueFd lock(::open((state + "/lock").c_str(), O_RDWR | O_CLOEXEC));
  if (lock && ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return std::unexpected(
        base::with_hint(base::make_error(base::Errc::FailedPrecondition,
                                         fmt::format("a keeper works in {}", state)),
                        "end it first: it takes away what it made"));
  }
  TRY(const auto cgroups, open_cgroups());
  TRY_DO(clean_up_node(*cgroups, "/" + datapath::node_cgroup_name(line.node_home), state,
                       line.run.empty() ? "/run/hypermesh-keeper" : line.run.string()));
  return datapath::remove_machine_link(line.node_home);
}

int report(const base::Error& error) {
  std::fprintf(stderr, "hypermesh-keeper: %s\n", error.describe().c_str());
  for (const auto& hint : error.hints) std::fprintf(stderr, "  %s\n", hint.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  ::umask(022);
  const auto line = parse_command_line({argv + 1, argv + argc});
  if (!line) return report(line.error()), 2;
  switch (line->action) {
    case CommandLine::Action::Help:
      std::fputs(kUsage, stdout);
      return 0;
    case CommandLine::Action::Version:
      std::printf("hypermesh-keeper, protocol %u\n", static_cast<unsigned>(kProtocolNewest));
      return 0;
    case CommandLine::Action::Cleanup: {
      const auto cleaned = clean_up(*line);
      return cleaned ? 0 : report(cleaned.error());
    }
    case CommandLine::Action::Run:
      break;
  }
  base::LogSink sink(STDERR_FILENO, base::LogSink::Format::Human);
  if (auto levels = sink.set_levels(line->log_levels); !levels) return report(levels.error()), 2;
  const auto ran = run(*line, sink);
  return ran ? 0 : report(ran.error());
}
