#include "dev/node_lifecycle.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <datapath/node_isolation.hpp>

#include "configuration/configuration.hpp"
#include "dev/cgroups.hpp"
#include "dev/files.hpp"
#include "dev/readiness.hpp"

namespace cli::dev {
namespace {

namespace fs = std::filesystem;
namespace datapath = hypermesh::datapath;
using std::chrono::milliseconds;

constexpr const char* kKeeperProgram = "hypermesh-keeper";
constexpr const char* kDaemonProgram = "hypermeshd";
constexpr std::string_view kPath =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr milliseconds kLook{3};  // between two looks at a process that starts
constexpr int kAnswerLimitMs = 1'000;
constexpr milliseconds kDaemonEndLimit{10'000};
constexpr milliseconds kKeeperEndLimit{30'000};  // containers have their grace
constexpr milliseconds kKillLimit{10'000};
constexpr std::uintmax_t kLogBytesMax = 16u << 20;
constexpr std::size_t kLogLinesShown = 5;

std::pair<uid_t, gid_t> daemon_user() {
  const passwd* entry = ::getpwnam("hypermesh");
  if (entry != nullptr && entry->pw_uid != 0) return {entry->pw_uid, entry->pw_gid};
  return {kFallbackUser, kFallbackUser};
}

/// Beside this program, else on the PATH.
base::Result<fs::path> find_program(const fs::path& given, const char* name) {
  if (!given.empty()) return given;
  std::error_code error;
  const fs::path beside = fs::read_symlink("/proc/self/exe", error).parent_path() / name;
  if (!error && ::access(beside.c_str(), X_OK) == 0) return beside;
  const char* variable = std::getenv("PATH");
  std::string_view rest = variable == nullptr ? "" : variable;
  while (!rest.empty()) {
    const auto colon = std::min(rest.find(':'), rest.size());
    const fs::path folder(rest.substr(0, colon));
    if (folder.is_absolute() && ::access((folder / name).c_str(), X_OK) == 0) return folder / name;
    rest.remove_prefix(std::min(colon + 1, rest.size()));
  }
  return base::fail(base::Errc::NotFound,
                    fmt::format("the program {} is neither in {} nor on the PATH", name,
                                beside.parent_path().string()));
}

std::vector<std::string> environment_of_node(const DevOptions& options, const NodeFiles& files) {
  std::vector<std::string> environment{
      std::string(kPath), "LANG=C.UTF-8",
      fmt::format("{}={}", kNodeHomeVariable, files.home.string())};
  for (const std::string& entry : options.environment) {
    constexpr std::array<std::string_view, 3> kSettings{"STOQ_", "NEXUS_", "HYPERMESH_"};
    if (std::ranges::any_of(kSettings,
                            [&](std::string_view start) { return entry.starts_with(start); })) {
      environment.push_back(entry);
    }
  }
  return environment;
}

/// One log of an earlier time is kept; what is written to now starts small.
std::uintmax_t begin_log(const fs::path& log) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(log, error);
  if (error) return 0;
  if (size <= kLogBytesMax) return size;
  fs::rename(log, log.string() + ".1", error);
  return 0;
}

base::Error did_not_start(base::Errc code, std::string message, const fs::path& log,
                          std::uintmax_t log_start) {
  base::Error error = base::make_error(code, std::move(message));
  std::string lines = tail(log, log_start, kLogLinesShown);
  if (!lines.empty()) {
    std::string joined;
    for (const char c : lines) joined += c == '\n' ? std::string(" | ") : std::string(1, c);
    error = base::wrap(base::make_error(code, std::move(joined)), std::move(error.message));
  }
  return base::with_hint(std::move(error), fmt::format("tail {}", log.string()));
}

void report(const DevOptions& options, std::string_view step,
            std::chrono::steady_clock::time_point began) {
  if (!options.progress) return;
  options.progress(
      step, std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - began));
}

/// Waits until `ready` says yes, the process ends or the time is over.
base::Result<> await_start(const RunningProcess& process, const char* name, const fs::path& log,
                           std::uintmax_t log_start, const Deadline& deadline,
                           const std::function<base::Result<>()>& ready) {
  for (;;) {
    const auto answer = ready();
    if (answer) return {};
    if (process.wait(std::min(kLook, deadline.left()))) {
      return std::unexpected(did_not_start(
          base::Errc::Internal, fmt::format("{} ended while it started", name), log, log_start));
    }
    if (deadline.passed()) {
      return std::unexpected(
          did_not_start(base::Errc::TimedOut,
                        fmt::format("{} is not ready in time: {}", name, answer.error().describe()),
                        log, log_start));
    }
  }
}

/// Settings as the node's daemon reads them.
base::Result<base::config::Loaded> configuration_of_node(const DevOptions& options,
                                                         const NodeFiles& files) {
  base::config::Environment environment;
  for (const std::string& entry : environment_of_node(options, files)) {
    const std::size_t equals = entry.find('=');
    environment[entry.substr(0, equals)] = entry.substr(equals + 1);
  }
  TRY(auto loaded, apps::load_configuration(apps::configuration_files(files.home), environment));
  TRY_DO(base::config::require_valid(loaded));
  return loaded;
}

/// What the keeper may do for the daemon is root's to say, on its command line. The folder with the
/// configuration belongs to root; the daemon cannot change it.
base::Result<std::vector<std::string>> keeper_arguments(const DevOptions& options,
                                                        const NodeFiles& files, uid_t daemon) {
  TRY(const auto loaded, configuration_of_node(options, files));
  const auto& config = loaded.effective;
  std::vector<std::string> arguments{"--node-home", files.home.string(), "--isolate",
                                     "--daemon-uid", std::to_string(daemon)};
  if (const std::string& runtime = config.text("hypermesh.runtime.oci_runtime"); runtime != "auto")
    arguments.insert(arguments.end(), {"--oci-runtime", runtime});
  if (config.flag("hypermesh.runtime.allow_host_users")) arguments.push_back("--allow-host-users");
  if (config.flag("hypermesh.runtime.allow_privileged")) arguments.push_back("--allow-privileged");
  for (const std::string& folder : config.list("hypermesh.runtime.host_paths"))
    arguments.insert(arguments.end(), {"--allow-host-path", folder});
  return arguments;
}

base::Result<RunningProcess> start_keeper(const DevOptions& options, const NodeFiles& files,
                                          const Deadline& deadline) {
  // Without its keeper a node is lost: what it left would only be in the way.
  TRY_DO(end_nodes(options, {files}));
  TRY(const fs::path program, find_program(options.keeper, kKeeperProgram));
  const auto [uid, gid] = daemon_user();
  TRY(std::vector<std::string> arguments, keeper_arguments(options, files, uid));
  const std::uintmax_t log_start = begin_log(files.keeper_log());
  TRY(RunningProcess keeper, launch({.program = program,
                                     .arguments = std::move(arguments),
                                     .environment = environment_of_node(options, files),
                                     .log = files.keeper_log(),
                                     .pid_file = files.keeper_pid()}));
  TRY_DO(await_start(keeper, kKeeperProgram, files.keeper_log(), log_start, deadline,
                     [&]() -> base::Result<> {
                       if (accepts(files.keeper_socket())) return {};
                       return base::fail(base::Errc::Unavailable, "its socket does not answer");
                     }));
  return keeper;
}

base::Result<UniqueFd> namespace_of(const RunningProcess& process, const char* kind) {
  UniqueFd fd(
      ::open(fmt::format("/proc/{}/ns/{}", process.pid(), kind).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd)
    return base::fail_errno(errno, fmt::format("cannot open the {} namespace of the keeper", kind));
  if (process.ended()) return base::fail(base::Errc::Unavailable, "the keeper ended");
  return fd;
}

base::Result<RunningProcess> start_daemon(const DevOptions& options, const NodeFiles& files,
                                          const RunningProcess& keeper) {
  TRY(const fs::path program, find_program(options.daemon, kDaemonProgram));
  TRY(const UniqueFd network, namespace_of(keeper, "net"));
  TRY(const UniqueFd mounts, namespace_of(keeper, "mnt"));
  // A socket that an earlier daemon left would be taken for an answer.
  TRY_DO(remove_tree(files.api_socket()));
  return launch({.program = program,
                 .arguments = {"--home", datapath::kNodeHomeInside},
                 .environment = environment_of_node(options, files),
                 .log = files.daemon_log(),
                 .pid_file = files.daemon_pid(),
                 .network_namespace = network.get(),
                 .mount_namespace = mounts.get(),
                 .user = daemon_user()});
}

/// Processes of these nodes, by their pid files and by their environment.
std::vector<RunningProcess> processes_of(const std::vector<NodeFiles>& nodes) {
  std::vector<RunningProcess> found;
  for (MarkedProcess& marked : processes_with_variable(kNodeHomeVariable)) {
    if (std::ranges::any_of(
            nodes, [&](const NodeFiles& files) { return marked.value == files.home.string(); })) {
      found.push_back(std::move(marked.process));
    }
  }
  for (const NodeFiles& files : nodes) {
    for (const fs::path& file : {files.keeper_pid(), files.daemon_pid()}) {
      if (auto process = find_process(file)) found.push_back(std::move(*process));
    }
  }
  return found;
}

std::vector<fs::path> cgroups_of(const DevOptions& options, const std::vector<NodeFiles>& nodes) {
  std::vector<fs::path> trees;
  for (const NodeFiles& files : nodes) {
    std::ranges::copy(find_cgroups(options.cgroup_top, datapath::node_cgroup_name(files.home)),
                      std::back_inserter(trees));
  }
  return trees;
}

}  // namespace

base::Result<> prepare_node(const NodeFiles& files, const datapath::NodeIdentity& identity) {
  const auto [uid, gid] = daemon_user();
  TRY_DO(make_folder(files.home, 0, 0, 0755));
  const std::string text = datapath::to_json(identity);
  if (read_text(files.identity()) != text) TRY_DO(replace_file(files.identity(), text, 0644));
  TRY_DO(make_folder(files.run(), uid, gid, 0755));
  return make_folder(files.state(), uid, gid, 0700);
}

base::Result<> start_node(const DevOptions& options, const NodeFiles& files,
                          const Deadline& deadline) {
  const auto began = std::chrono::steady_clock::now();
  auto keeper = find_process(files.keeper_pid());
  if (!keeper || !accepts(files.keeper_socket())) {
    TRY(keeper, start_keeper(options, files, deadline));
    report(options, "keeper", began);
  }
  const auto daemon_began = std::chrono::steady_clock::now();
  const std::uintmax_t log_start = begin_log(files.daemon_log());
  const auto await_ready = [&](const RunningProcess& daemon) {
    return await_start(daemon, kDaemonProgram, files.daemon_log(), log_start, deadline,
                       [&] { return ask_ready(files.api_socket(), kAnswerLimitMs); });
  };
  if (const auto running = find_process(files.daemon_pid())) {
    auto ready = await_ready(*running);
    // One that was killed a moment ago may still have been on its way out.
    if (ready || !running->ended()) return ready;
  }
  TRY(const RunningProcess daemon, start_daemon(options, files, *keeper));
  TRY_DO(await_ready(daemon));
  report(options, kDaemonProgram, daemon_began);
  return {};
}

base::Result<> stop_node(const DevOptions& options, const NodeFiles& files) {
  const auto daemon = find_process(files.daemon_pid());
  if (daemon) {
    TRY_DO(daemon->signal(SIGTERM));
    daemon->wait(kDaemonEndLimit);
  }
  const auto keeper = find_process(files.keeper_pid());
  if (keeper) {
    TRY_DO(keeper->signal(SIGTERM));
    keeper->wait(kKeeperEndLimit);
  }
  TRY_DO(end_nodes(options, {files}));
  for (const auto* process : {&daemon, &keeper}) {
    if (*process) (*process)->wait_reaped();
  }
  return {};
}

base::Result<> end_nodes(const DevOptions& options, const std::vector<NodeFiles>& nodes) {
  // A helper that the keeper had just started may go on and make another cgroup, so one look is not
  // enough.
  for (const Deadline deadline(kKillLimit);;) {
    const auto trees = cgroups_of(options, nodes);
    const auto processes = processes_of(nodes);
    if (trees.empty() && processes.empty()) break;
    if (deadline.passed()) {
      return base::fail(base::Errc::TimedOut,
                        "processes of the node appear faster than they can be ended");
    }
    // Keeper and daemon first: what they see of the end of the others they might act on.
    for (const RunningProcess& process : processes) TRY_DO(process.signal(SIGKILL));
    TRY_DO(kill_cgroups(trees));
    TRY_DO(end_processes(processes, SIGKILL, deadline.left()));
    TRY_DO(remove_cgroups(trees, deadline.left()));
  }
  for (const NodeFiles& files : nodes) {
    TRY_DO(datapath::remove_machine_link(files.home));
    for (const fs::path& file :
         {files.keeper_pid(), files.daemon_pid(), files.keeper_socket(), files.api_socket()}) {
      TRY_DO(remove_tree(file));
    }
  }
  return {};
}

}  // namespace cli::dev
