#include <fcntl.h>
#include <fmt/format.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <filesystem>

#include "commands/all.hpp"
#include "commands/host_check.hpp"
#include "commands/objects.hpp"
#include "session/files.hpp"

namespace cli {
namespace {

using base::Result;
using State = HostCheck::State;

constexpr int kProblemsExit = 10;
constexpr std::size_t kProcFileMax = 1u << 20;

std::string read_or_empty(const std::string& path) {
  return read_file(path, kProcFileMax).value_or("");
}

bool on_path(const Environment& environment, const char* program) {
  const std::string path = environment.get("PATH") + ":/usr/sbin:/sbin";
  for (std::size_t start = 0; start <= path.size();) {
    const std::size_t end = std::min(path.find(':', start), path.size());
    if (end > start && access((path.substr(start, end - start) + "/" + program).c_str(), X_OK) == 0)
      return true;
    start = end + 1;
  }
  return false;
}

// The time of one small durable write beside the state, or -1.
std::int64_t measure_fsync(const std::string& folder) {
  const std::string name = fmt::format("{}/.hm-doctor-{}", folder, getpid());
  const int fd = open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return -1;
  const auto start = std::chrono::steady_clock::now();
  const bool written = write(fd, "x", 1) == 1 && fsync(fd) == 0;
  const auto took = std::chrono::steady_clock::now() - start;
  close(fd);
  unlink(name.c_str());
  return written ? std::chrono::duration_cast<std::chrono::microseconds>(took).count() : -1;
}

HostFacts read_facts(Session& session) {
  HostFacts facts;
  utsname name{};
  if (uname(&name) == 0) facts.kernel = name.release;
  facts.root = session.environment().uid == 0;
  facts.cgroup2 =
      read_or_empty("/sys/fs/cgroup/cgroup.controllers").find("memory") != std::string::npos;
  facts.cgroup1 = access("/sys/fs/cgroup/memory", X_OK) == 0;
  // A module that is not loaded yet is loaded by the first mount.
  facts.overlayfs =
      read_or_empty("/proc/filesystems").find("overlay") != std::string::npos ||
      access(fmt::format("/lib/modules/{}/kernel/fs/overlayfs", facts.kernel).c_str(), F_OK) == 0;
  const auto allowed = [](const char* file) {
    const std::string text = read_or_empty(file);
    return !text.empty() && text != "0\n";
  };
  facts.user_namespaces =
      access("/proc/self/ns/user", F_OK) == 0 && allowed("/proc/sys/user/max_user_namespaces");
  facts.network_namespaces =
      access("/proc/self/ns/net", F_OK) == 0 && allowed("/proc/sys/user/max_net_namespaces");
  facts.ipv6 = access("/proc/net/if_inet6", F_OK) == 0 || access("/proc/sys/net/ipv6", F_OK) == 0;
  const int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
  facts.nft_tables = netlink >= 0;
  if (netlink >= 0) close(netlink);
  facts.runtime = on_path(session.environment(), "crun")   ? "crun"
                  : on_path(session.environment(), "runc") ? "runc"
                                                           : "";
  // The nearest folder that exists: the node may never have run.
  std::filesystem::path folder = session.environment().get("HM_HOME").empty() && facts.root &&
                                         std::filesystem::exists("/var/lib/hypermesh")
                                     ? "/var/lib/hypermesh"
                                     : session.development_home();
  std::error_code ignored;
  while (!folder.empty() && folder != folder.root_path() &&
         !std::filesystem::is_directory(folder, ignored))
    folder = folder.parent_path();
  facts.state_folder = folder;
  facts.fsync_micros = measure_fsync(facts.state_folder);
  struct statvfs disk{};
  if (statvfs(facts.state_folder.c_str(), &disk) == 0)
    facts.disk_free_bytes = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
  return facts;
}

Json item_of(const char* from, const std::string& name, const std::string& state,
             const std::string& message, const std::string& hint) {
  return {{"from", from}, {"name", name}, {"state", state}, {"message", message}, {"hint", hint}};
}

Result<int> run(Session& session, const Arguments&) {
  Json::array_t items;
  for (const HostCheck& check : judge_host(read_facts(session))) {
    items.push_back(item_of("machine", check.name,
                            check.state == State::Ok        ? "ok"
                            : check.state == State::Warning ? "warning"
                                                            : "failed",
                            check.message, check.hint));
  }
  const auto api = session.api();
  const auto node =
      api ? (*api)->get(own_path({"doctor"})) : Result<Json>(std::unexpected(api.error()));
  if (node) {
    for (const Json& item : list_at(*node, {"items"})) {
      items.push_back(item_of("node", text_at(item, {"name"}), text_at(item, {"state"}),
                              text_at(item, {"message"}), text_at(item, {"hint"})));
    }
  } else {
    items.push_back(
        item_of("node", "node", "warning", "no node answers: " + node.error().describe(),
                node.error().hints.empty() ? "hm dev --detach" : node.error().hints.front()));
  }
  const bool failed = std::ranges::any_of(
      items, [](const Json& item) { return text_at(item, {"state"}) == "failed"; });
  Document document;
  document.value = list_json("CheckList", items);
  for (const Json& item : items) document.names.push_back(text_at(item, {"name"}));
  if (session.format().for_programs()) {
    TRY_DO(session.show(document));
    return failed ? kProblemsExit : 0;
  }
  const Look& look = session.console().out_look();
  for (const Json& item : items) {
    const std::string state = text_at(item, {"state"}), hint = text_at(item, {"hint"});
    const Outcome outcome = state == "ok"        ? Outcome::Done
                            : state == "warning" ? Outcome::Note
                                                 : Outcome::Failed;
    session.console().out(
        outcome_line(look, outcome,
                     text_at(item, {"message"}) + (hint.empty() ? "" : "  → " + hint)) +
        "\n");
  }
  return failed ? kProblemsExit : 0;
}

constexpr Example kExamples[] = {{"hm doctor", "exit 10 when something is missing"}};

}  // namespace

constinit const Command kDoctor = {
    .path = "doctor",
    .summary = "what this machine and the node can and cannot do",
    .description = "Works without a node as well: then it says whether one could run here.",
    .examples = kExamples,
    .run = run};

}  // namespace cli
