#include "runtime/keeper/oci_tool.hpp"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>

#include "runtime/core/oci_spec.hpp"
#include "runtime/keeper/namespaces.hpp"

namespace hypermesh::keeper {
namespace {

using base::Errc;

constexpr std::size_t kLogBytesMax = 64u << 10;
constexpr std::size_t kMessageBytesMax = 1024;

/// The end of what the tool wrote, on one line.
std::string tool_message(const std::string& log_file) {
  std::string text = read_file(log_file, kLogBytesMax).value_or("");
  while (!text.empty() && text.back() == '\n') text.pop_back();
  if (text.size() > kMessageBytesMax) text.erase(0, text.size() - kMessageBytesMax);
  for (char& c : text) c = c == '\n' ? ' ' : static_cast<unsigned char>(c) < 0x20 ? '?' : c;
  return text.empty() ? std::string("it said nothing") : text;
}

base::Result<pid_t> read_pid(const std::string& pid_file) {
  TRY(const std::string text, read_file(pid_file, 32));
  pid_t pid = 0;
  std::from_chars(text.data(), text.data() + text.size(), pid);
  if (pid <= 1) return base::fail(Errc::Internal, fmt::format("{} holds no process id", pid_file));
  return pid;
}

std::string cause_of(int status) {
  return WIFSIGNALED(status) ? fmt::format("was killed by signal {}", WTERMSIG(status))
                             : fmt::format("ended with {}", WEXITSTATUS(status));
}

}  // namespace

std::vector<std::string> OciCalls::base_arguments(const OciHandle& handle,
                                                  const std::string& log_file) const {
  std::vector<std::string> arguments{tool_.path, "--root", handle.state_folder, "--log", log_file};
  if (tool_.leaves_cgroups) arguments.push_back("--cgroup-manager=disabled");
  return arguments;
}

base::Result<OciCalls::Starting> OciCalls::begin_run(const OciHandle& handle,
                                                     const OciStdio& stdio) {
  Program program;
  program.argv = base_arguments(handle, handle.work_folder + "/log");
  program.argv.insert(program.argv.end(), {"run", "--detach", "--bundle", handle.work_folder,
                                           "--pid-file", handle.work_folder + "/pid"});
  if (!stdio.console_socket.empty())
    program.argv.insert(program.argv.end(), {"--console-socket", stdio.console_socket});
  program.argv.push_back(handle.id);
  program.stdin_fd = stdio.in;
  program.stdout_fd = stdio.out;
  program.stderr_fd = stdio.err;
  TRY(Pipe gate, make_pipe());
  program.prepare = [&] {
    gate.write.reset();
    if (tool_.leaves_cgroups && !cgroups_.join(handle.cgroup)) return false;
    char step = 0;
    return ::read(gate.read.get(), &step, 1) == 1;
  };
  TRY(const pid_t child, start_program(program));
  return Starting(child, std::move(gate.write));
}

Job<base::Result<pid_t>> OciCalls::wait_for_pid(pid_t child, std::string pid_file,
                                                std::string log_file, std::string what) {
  const auto status = co_await loop_.exit_of(child, time_limit_);
  if (!status) {
    ::kill(child, SIGKILL);
    loop_.on_exit(child, [](int) {});
    co_return base::fail(Errc::TimedOut, fmt::format("{} did not {} within {} s", tool_.version,
                                                     what, time_limit_.count()));
  }
  if (*status != 0) {
    co_return base::fail(Errc::FailedPrecondition,
                         fmt::format("{} could not {}: {} ({})", tool_.version, what,
                                     tool_message(log_file), cause_of(*status)));
  }
  co_return read_pid(pid_file);
}

Job<base::Result<pid_t>> OciCalls::go(Starting starting, const OciHandle& handle) {
  const Loop::ExpectsChild expects(loop_);
  const char step = 1;
  const bool told = ::write(starting.go_.get(), &step, 1) == 1;
  starting.go_.reset();
  auto pid = co_await wait_for_pid(starting.child_, handle.work_folder + "/pid",
                                   handle.work_folder + "/log", "start the container");
  if (!told && !pid)
    co_return base::fail(Errc::Internal, "cannot move a process into the container's cgroup");
  co_return pid;
}

Job<base::Result<pid_t>> OciCalls::exec(const OciHandle& handle, std::string process_file,
                                        std::string pid_file, std::string log_file,
                                        OciStdio stdio) {
  const Loop::ExpectsChild expects(loop_);
  Program program;
  program.argv = base_arguments(handle, log_file);
  program.argv.insert(program.argv.end(),
                      {"exec", "--detach", "--process", process_file, "--pid-file", pid_file});
  if (!stdio.console_socket.empty())
    program.argv.insert(program.argv.end(), {"--console-socket", stdio.console_socket});
  program.argv.push_back(handle.id);
  program.stdin_fd = stdio.in;
  program.stdout_fd = stdio.out;
  program.stderr_fd = stdio.err;
  program.prepare = [&] { return !tool_.leaves_cgroups || cgroups_.join(handle.cgroup); };
  auto child = start_program(program);
  if (!child) co_return std::unexpected(std::move(child).error());
  co_return co_await wait_for_pid(*child, std::move(pid_file), std::move(log_file),
                                  "run the command");
}

Job<base::Result<>> OciCalls::remove(const OciHandle& handle) {
  Program program;
  const std::string log = handle.work_folder + "/delete-log";
  program.argv = base_arguments(handle, log);
  program.argv.insert(program.argv.end(), {"delete", "--force", handle.id});
  auto child = start_program(program);
  if (child) {
    const auto status = co_await loop_.exit_of(*child, time_limit_);
    if (status == 0) co_return base::Result<>{};
    if (!status) {
      ::kill(*child, SIGKILL);
      loop_.on_exit(*child, [](int) {});
    }
  }
  // What the tool keeps of a container is a folder; nothing of it lives any more.
  co_return remove_tree(handle.state_folder + "/" + handle.id);
}

// --- Choosing
// ---------------------------------------------------------------------------------------------

namespace {

std::string find_program(const std::string& name) {
  if (name.find('/') != name.npos) return ::access(name.c_str(), X_OK) == 0 ? name : std::string();
  for (const char* folder :
       {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}) {
    std::string path = fmt::format("{}/{}", folder, name);
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return {};
}

base::Result<std::string> run_and_wait(const Program& program, int& status) {
  TRY(Pipe pipe, make_pipe());
  Program with_output = program;
  with_output.stdout_fd = with_output.stderr_fd = pipe.write.get();
  TRY(const pid_t child, start_program(with_output));
  pipe.write.reset();
  auto text = read_all(pipe.read.get(), kLogBytesMax);
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return text;
}

/// "crun version 1.8.1\n..." becomes "crun 1.8.1".
base::Result<std::string> version_of(const std::string& path) {
  int status = 0;
  TRY(std::string text, run_and_wait({{path, "--version"}}, status));
  text = text.substr(0, text.find('\n'));
  if (const std::size_t at = text.find(" version "); at != text.npos) text.replace(at, 9, " ");
  return text.substr(0, 80);
}

/// Ends with 0 only in a container that is confined as it was told to be.
constexpr const char* kTrialCommand = "/bin/grep -q 'Seccomp:[[:space:]]*2' /proc/self/status";

base::Result<> try_tool(const OciTool& tool, const ToolChoice& choice, Cgroups& cgroups,
                        SeccompCompiler& seccomp) {
  TRY(const PodNamespaces namespaces, make_pod_namespaces({choice.ids, true, "trial", {}}));
  const Owner owner{choice.ids.first, choice.ids.first};
  TRY_DO(make_folder(choice.work_folder, 0711));
  for (const char* name : {"/rootfs", "/shm"})
    TRY_DO(make_folder(choice.work_folder + name, 0755, owner));
  for (const char* name : {"/hosts", "/resolv.conf", "/hostname"})
    TRY_DO(write_whole(choice.work_folder + name, {}, 0644));
  // The machine's own programs serve as the image, read-only.
  TRY(const UniqueFd root, clone_mount(-1, "/", {.read_only = true}));
  TRY_DO(place_mount(root.get(), choice.work_folder + "/rootfs"));
  OciContainer container;
  container.root = choice.work_folder + "/rootfs";
  container.read_only_root = true;
  container.process.args = {"/bin/sh", "-c", kTrialCommand};
  container.process.env = {"PATH=/bin"};
  container.process.capabilities = default_capabilities();
  container.namespaces = {path_of_fd(namespaces.user.get()), path_of_fd(namespaces.network.get()),
                          path_of_fd(namespaces.ipc.get()), path_of_fd(namespaces.uts.get())};
  container.ids = choice.ids;
  container.shared_memory = choice.work_folder + "/shm";
  container.hosts = choice.work_folder + "/hosts";
  container.resolver = choice.work_folder + "/resolv.conf";
  container.hostname = choice.work_folder + "/hostname";
  container.cgroup = choice.cgroup;
  container.cgroup_version = cgroups.version();
  if (!tool.leaves_cgroups) container.limits = nexus::ResourceLimits{};
  if (tool.takes_program) {
    TRY(container.seccomp_program, seccomp.program(container.process.capabilities));
  }
  TRY_DO(
      write_whole(choice.work_folder + "/config.json", base::as_bytes(make_oci_config(container))));
  TRY_DO(cgroups.create(choice.cgroup));
  Program program;
  program.argv = {tool.path, "--root", choice.work_folder + "/state"};
  if (tool.leaves_cgroups) program.argv.push_back("--cgroup-manager=disabled");
  program.argv.insert(program.argv.end(),
                      {"run", "--bundle", choice.work_folder, "hypermesh-trial"});
  program.prepare = [&] { return !tool.leaves_cgroups || cgroups.join(choice.cgroup); };
  int status = 0;
  TRY(const std::string output, run_and_wait(program, status));
  if (status == 0) return {};
  return base::fail(Errc::Unsupported, output.empty()
                                           ? fmt::format("the trial container {}", cause_of(status))
                                           : output.substr(0, kMessageBytesMax));
}

base::Result<> try_and_clean(const OciTool& tool, const ToolChoice& choice, Cgroups& cgroups,
                             SeccompCompiler& seccomp) {
  auto result = try_tool(tool, choice, cgroups, seccomp);
  unmount(choice.work_folder + "/rootfs");
  cgroups.kill(choice.cgroup);
  (void)cgroups.remove(choice.cgroup);
  (void)remove_tree(choice.work_folder);
  return result;
}

}  // namespace

base::Result<OciTool> choose_oci_tool(const ToolChoice& choice, Cgroups& cgroups,
                                      SeccompCompiler& seccomp) {
  base::Error error = base::make_error(Errc::Unsupported, "no OCI runtime works on this machine");
  for (const auto& name : choice.candidates) {
    OciTool tool{find_program(name), "", false, false};
    if (tool.path.empty()) {
      error.hints.push_back(fmt::format("{} is not installed", name));
      continue;
    }
    auto version = version_of(tool.path);
    if (!version) {
      error.hints.push_back(fmt::format("{}: {}", name, version.error().describe()));
      continue;
    }
    tool.version = *std::move(version);
    // Only crun can be told to leave cgroups to us. That it takes a compiled filter is an
    // experiment of its makers.
    std::vector<OciTool> ways{tool};
    if (tool.version.starts_with("crun")) {
      ways[0].leaves_cgroups = true;
      ways.insert(ways.begin(), ways[0]);
      ways[0].takes_program = true;
    }
    for (OciTool& way : ways) {
      auto works = try_and_clean(way, choice, cgroups, seccomp);
      if (works) {
        way.remark = fmt::format("{}", fmt::join(error.hints, "; "));
        return way;
      }
      error.hints.push_back(fmt::format("{}: {}", tool.version, works.error().describe()));
    }
  }
  return std::unexpected(std::move(error));
}

}  // namespace hypermesh::keeper
