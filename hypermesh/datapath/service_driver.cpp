#include "datapath/service_driver.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/netlink.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <iterator>
#include <set>

#include "datapath/conntrack_messages.hpp"
#include "datapath/netlink_socket.hpp"

namespace hypermesh::datapath {
namespace {

constexpr int kNftPatienceMs = 30'000;
constexpr std::size_t kComplaintBytesMax = 2'000;
constexpr std::array kNftPlaces{"/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft",
                                "/usr/local/sbin/nft"};

const char* find_nft() {
  for (const char* place : kNftPlaces) {
    if (::access(place, X_OK) == 0) return place;
  }
  return nullptr;
}

base::Result<UniqueFd> memory_file(const char* name) {
  UniqueFd fd(::memfd_create(name, MFD_CLOEXEC));
  if (!fd) return base::fail_errno(errno, "cannot make a file in memory");
  return fd;
}

base::Result<> write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t wrote = ::write(fd, text.data(), text.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return base::fail_errno(errno, "cannot write nft's input");
    text.remove_prefix(static_cast<std::size_t>(wrote));
  }
  if (::lseek(fd, 0, SEEK_SET) != 0) return base::fail_errno(errno, "cannot rewind nft's input");
  return {};
}

/// The first line says what is wrong; what follows repeats the input.
std::string first_line(int fd) {
  std::string text(kComplaintBytesMax, '\0');
  const ssize_t got = ::pread(fd, text.data(), text.size(), 0);
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return text.substr(0, text.find('\n'));
}

base::Result<int> wait_for(pid_t pid) {
  const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  pollfd waits{process.get(), POLLIN, 0};
  int ready;
  do {
    ready = ::poll(&waits, 1, kNftPatienceMs);
  } while (ready < 0 && errno == EINTR);
  if (ready == 0) ::kill(pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return base::fail_errno(errno, "cannot wait for nft");
  }
  if (ready == 0) {
    return base::fail(base::Errc::TimedOut,
                      fmt::format("nft did not end within {} s", kNftPatienceMs / 1000));
  }
  return status;
}

/// Forgets the flows that go to backends which are none any more, so that their next packet finds
/// another one.
base::Result<> forget(const std::vector<StaleFlow>& stale) {
  if (stale.empty()) return {};
  std::set<std::pair<Endpoint, Endpoint>> by_service;
  std::set<std::pair<std::uint16_t, Endpoint>> by_node_port;
  std::set<Family> families;
  for (const StaleFlow& flow : stale) {
    by_service.emplace(flow.service, flow.backend);
    if (flow.node_port != 0) by_node_port.emplace(flow.node_port, flow.backend);
    families.insert(flow.backend.address.family());
  }
  TRY(NetlinkSocket socket, NetlinkSocket::open(NETLINK_NETFILTER));
  for (const Family family : families) {
    std::vector<base::Bytes> tuples;
    // Entries come and go while the table is read; those that matter were there before.
    auto listed = socket.dump(
        list_flows_request(family), [&](const NetlinkMessage& message) -> base::Result<> {
          TRY(const auto flow, parse_flow(message));
          if (flow && flow->protocol == static_cast<std::uint8_t>(IpProtocol::Udp) &&
              (by_service.contains({flow->destination, flow->replier}) ||
               by_node_port.contains({flow->destination.port, flow->replier}))) {
            tuples.emplace_back(flow->original_tuple.begin(), flow->original_tuple.end());
          }
          return {};
        });
    if (!listed && listed.error().code != base::Errc::Conflict) return listed;
    for (const base::Bytes& tuple : tuples) {
      NetlinkBatch batch;
      delete_flow(batch, family, tuple);
      auto deleted = socket.send(batch);
      if (!deleted && deleted.error().code != base::Errc::NotFound) return deleted;
    }
  }
  return {};
}

}  // namespace

base::Result<> run_nft(const std::string& script) {
  const char* nft = find_nft();
  if (nft == nullptr) {
    return std::unexpected(
        base::with_hint(base::make_error(base::Errc::FailedPrecondition,
                                         "the program nft is not installed on this machine"),
                        "apt install nftables"));
  }
  TRY(const UniqueFd input, memory_file("nft-input"));
  TRY(const UniqueFd complaint, memory_file("nft-complaint"));
  TRY_DO(write_all(input.get(), script));

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, complaint.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, complaint.get(), STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  std::string name = "nft", flag = "-f", source = "-";
  std::array<char*, 4> arguments{name.data(), flag.data(), source.data(), nullptr};
  std::string locale = "LC_ALL=C";
  std::array<char*, 2> environment{locale.data(), nullptr};
  pid_t pid = -1;
  const int failed =
      ::posix_spawn(&pid, nft, &actions, &attributes, arguments.data(), environment.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return base::fail_errno(failed, fmt::format("cannot run {}", nft));

  TRY(const int status, wait_for(pid));
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return base::fail(base::Errc::Internal,
                    fmt::format("nft refuses the rules: {}", first_line(complaint.get())));
}

base::Result<> ServiceTableDriver::apply(const ServiceTable& table) {
  TRY_DO(check_services_of(table, node_.cluster));
  bool whole = !installed_;
  if (!whole) {
    const std::string change = ruleset_change(node_, *installed_, table);
    whole = !change.empty() && !run_nft(change);
  }
  if (whole) TRY_DO(run_nft(whole_ruleset(node_, table)));
  const ServiceTable before = std::exchange(installed_, table).value_or(ServiceTable());
  std::ranges::copy(stale_flows(before, table), std::back_inserter(stale_));
  TRY_DO(forget(stale_));
  stale_.clear();
  return {};
}

base::Result<> ServiceTableDriver::remove() {
  TRY_DO(run_nft(ruleset_removal()));
  installed_.reset();
  return {};
}

}  // namespace hypermesh::datapath
