#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "datapath/namespaces.hpp"
#include "runtime/keeper/keeper_state.hpp"
#include "runtime/keeper/process_file.hpp"
#include "runtime/keeper/terminal.hpp"

namespace hypermesh::keeper {
namespace {

using base::Errc;

constexpr std::size_t kCopierMessageBytesMax = 4096;
constexpr auto kConnectLimit = std::chrono::seconds(5);
constexpr std::size_t kSessionsMax = 1024;

/// Ends when it leaves: the files of one exec.
class ExecFiles {
 public:
  ExecFiles(const std::string& folder, std::uint64_t number)
      : stem_(fmt::format("{}/exec-{}", folder, number)) {}
  ~ExecFiles() {
    for (const std::string& file : {process(), pid(), log()}) ::unlink(file.c_str());
  }
  std::string process() const { return stem_ + ".json"; }
  std::string pid() const { return stem_ + ".pid"; }
  std::string log() const { return stem_ + ".log"; }

 private:
  std::string stem_;
};

/// A literal address of the loopback, as a socket address.
struct LoopbackAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
  int family = 0;
};

base::Result<LoopbackAddress> loopback_address(const std::string& text, std::uint16_t port) {
  LoopbackAddress address;
  in6_addr six{};
  in_addr four{};
  if (::inet_pton(AF_INET6, text.c_str(), &six) == 1) {
    if (!IN6_IS_ADDR_LOOPBACK(&six)) {
      return base::fail(
          Errc::Forbidden,
          fmt::format("{} is no loopback address; only those of the machine are reached so", text));
    }
    auto* target = reinterpret_cast<sockaddr_in6*>(&address.storage);
    target->sin6_family = AF_INET6;
    target->sin6_addr = six;
    target->sin6_port = htons(port);
    address.length = sizeof *target;
    address.family = AF_INET6;
    return address;
  }
  if (::inet_pton(AF_INET, text.c_str(), &four) != 1) {
    return base::fail(Errc::InvalidArgument, fmt::format("\"{:.64}\" is no literal address", text));
  }
  if (ntohl(four.s_addr) >> 24 != 127) {
    return base::fail(
        Errc::Forbidden,
        fmt::format("{} is no loopback address; only those of the machine are reached so", text));
  }
  auto* target = reinterpret_cast<sockaddr_in*>(&address.storage);
  target->sin_family = AF_INET;
  target->sin_addr = four;
  target->sin_port = htons(port);
  address.length = sizeof *target;
  address.family = AF_INET;
  return address;
}

Job<base::Result<>> finish_connect(Loop& loop, int socket, const LoopbackAddress& address,
                                   std::string what) {
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&address.storage), address.length) != 0) {
    if (errno != EINPROGRESS) co_return base::fail_errno(errno, what);
    if (!co_await loop.ready(socket, EPOLLOUT, kConnectLimit))
      co_return base::fail(Errc::TimedOut, what);
    int problem = 0;
    socklen_t size = sizeof problem;
    ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &problem, &size);
    if (problem != 0) co_return base::fail_errno(problem, what);
  }
  co_return base::Result<>{};
}

}  // namespace

std::uint64_t Keeper::open_session(ConnectionId connection, pid_t pid) {
  const std::uint64_t id = next_session_++;
  Session& session = sessions_[id];
  session.connection = connection;
  session.pid = pid;
  loop_.on_exit(pid, [this, id](int status) {
    const auto found = sessions_.find(id);
    if (found == sessions_.end()) return;
    Session ended = std::move(found->second);
    sessions_.erase(found);
    SessionEnded event{exit_code_of(status), {}};
    if (ended.messages && event.exit_code != 0) {
      event.error = read_all(ended.messages.get(), kCopierMessageBytesMax).value_or("");
      if (event.error.empty())
        event.error = fmt::format("the copier ended with {}", event.exit_code);
    }
    // One kill for memory is explained by this end.
    if (const auto container = ended.container.lock();
        container && event.exit_code == 128 + SIGKILL) {
      const std::uint64_t kills = cgroups_->oom_kills(container->oci.cgroup);
      if (container->oom_kills_claimed < kills) ++container->oom_kills_claimed;
    }
    outlet_.tell(ended.connection, id, event);
  });
  return id;
}

Job<base::Result<Answer>> Keeper::exec(ConnectionId connection, Exec request) {
  const nexus::ExecSpec& spec = request.spec;
  auto found = find_running(spec.container);
  if (!found) co_return std::unexpected(std::move(found).error());
  if (sessions_.size() >= kSessionsMax)
    co_return base::fail(Errc::ResourceExhausted, "too many sessions on this node");
  const auto pod = pods_.at(spec.container.pod_uid);
  const auto container = pod->containers.at(spec.container.name);
  const Owner root = volume_place(*pod).root;
  const ExecFiles files(container->oci.work_folder, next_console_++);
  CO_TRY(OciProcess process, read_process_file(container->oci.work_folder + "/process"));
  process.args = spec.command;
  process.terminal = spec.terminal;
  process.rows = spec.rows;
  process.columns = spec.columns;
  if (spec.terminal) process.env = complete_env(std::move(process.env), "/", "", true);
  CO_TRY_DO(write_whole(files.process(), base::as_bytes(make_oci_process(process))));

  const Loop::ExpectsChild expects(loop_);
  Answer answer;
  OciStdio stdio;
  std::optional<TerminalSocket> console;
  UniqueFd ends[3];
  if (spec.terminal) {
    CO_TRY(auto socket,
           TerminalSocket::open(fmt::format("{}/c{}", options_.run_folder, next_console_++)));
    console.emplace(std::move(socket));
    stdio.console_socket = console->path();
  } else {
    for (int i = spec.stdin_open ? 0 : 1; i < 3; ++i) {
      CO_TRY(Pipe pipe, make_pipe());
      UniqueFd& inner = i == 0 ? pipe.read : pipe.write;
      if (::fchown(inner.get(), root.uid, root.gid) != 0)
        co_return base::fail_errno(errno, "cannot give a pipe to the container");
      ends[i] = std::move(inner);
      answer.fds.push_back(std::move(i == 0 ? pipe.write : pipe.read));
    }
    stdio = {ends[0].get(), ends[1].get(), ends[2].get(), ""};
  }
  auto pid =
      co_await calls_->exec(container->oci, files.process(), files.pid(), files.log(), stdio);
  if (!pid) co_return std::unexpected(std::move(pid).error());
  const std::uint64_t session = open_session(connection, *pid);
  sessions_[session].container = container;
  if (console) {
    auto terminal = co_await console->receive(loop_);
    if (!terminal) {
      if (sessions_.contains(session)) ::kill(*pid, SIGKILL);
      co_return std::unexpected(std::move(terminal).error());
    }
    set_terminal_size(terminal->get(), spec.rows, spec.columns);
    answer.fds.push_back(*std::move(terminal));
  }
  answer.reply = SessionOpened{session};
  co_return answer;
}

base::Result<Answer> Keeper::attach(const Attach& request) {
  TRY(Container * container, find_running(request.id));
  if (!container->io)
    return base::fail(Errc::FailedPrecondition, fmt::format("container {} ends", request.id.name));
  Answer answer;
  TRY(UniqueFd socket, container->io->attach());
  answer.fds.push_back(std::move(socket));
  answer.reply = SessionOpened{0, container->record.status.attempt};
  return answer;
}

Job<base::Result<UniqueFd>> Keeper::connect(Connect request) {
  auto found = find_pod(request.pod_uid);
  if (!found) co_return std::unexpected(std::move(found).error());
  const auto pod = pods_.at(request.pod_uid);
  if (!pod->ready)
    co_return base::fail(Errc::FailedPrecondition,
                         fmt::format("pod {} has no sandbox", request.pod_uid));
  base::Error last = base::make_error(Errc::Unavailable, "nothing tried");
  for (const char* text : {"::1", "127.0.0.1"}) {
    CO_TRY(const LoopbackAddress address, loopback_address(text, request.port));
    const int type = SOCK_STREAM | SOCK_NONBLOCK;
    // Without its sandbox, which may go while this waits, a pod has no namespace to enter: that
    // must not be taken for one that shares the node's.
    if (!pod->ready) co_return base::fail(Errc::NotFound, "the pod was removed meanwhile");
    auto socket =
        pod->record.spec.host_network
            ? base::Result<UniqueFd>(UniqueFd(::socket(address.family, type | SOCK_CLOEXEC, 0)))
            : datapath::socket_in(pod->sandbox.namespaces.network.get(), address.family, type, 0);
    if (!socket) co_return std::unexpected(std::move(socket).error());
    auto connected = co_await finish_connect(
        loop_, socket->get(), address,
        fmt::format("port {} of pod {}", request.port, pod->record.spec.name));
    if (connected) co_return *std::move(socket);
    last = std::move(connected).error();
  }
  co_return std::unexpected(std::move(last));
}

Job<base::Result<UniqueFd>> Keeper::host_socket(HostSocket request) {
  CO_TRY(const LoopbackAddress address, loopback_address(request.address, request.port));
  CO_TRY(UniqueFd socket, network_.machine_socket(address.family, SOCK_STREAM | SOCK_NONBLOCK));
  CO_TRY_DO(co_await finish_connect(
      loop_, socket.get(), address,
      fmt::format("port {} of the machine at {}", request.port, request.address)));
  co_return socket;
}

Job<base::Result<Answer>> Keeper::copy(ConnectionId connection, nexus::ContainerId id,
                                       std::string path, bool out) {
  auto found = find_running(id);
  if (!found) co_return std::unexpected(std::move(found).error());
  if (sessions_.size() >= kSessionsMax)
    co_return base::fail(Errc::ResourceExhausted, "too many sessions on this node");
  const auto pod = pods_.at(id.pod_uid);
  const auto container = pod->containers.at(id.name);
  CO_TRY(const OciProcess process, read_process_file(container->oci.work_folder + "/process"));
  CO_TRY(Pipe data, make_pipe());
  CO_TRY(Pipe messages, make_pipe());
  Program program;
  program.argv = {options_.copier_path,
                  out ? "out" : "in",
                  pod->record.spec.host_users ? "machine-users" : "own-users",
                  std::to_string(process.uid),
                  std::to_string(process.gid),
                  std::to_string(process.capabilities),
                  path};
  (out ? program.stdout_fd : program.stdin_fd) = out ? data.write.get() : data.read.get();
  program.stderr_fd = messages.write.get();
  program.extra_fd = container->process.get();
  // Its memory and time are the container's.
  program.prepare = [&] { return cgroups_->join(container->oci.cgroup); };
  CO_TRY(const pid_t pid, start_program(program));
  CO_TRY_DO(set_nonblocking(messages.read.get()));
  const std::uint64_t session = open_session(connection, pid);
  sessions_[session].container = container;
  sessions_[session].messages = std::move(messages.read);
  Answer answer{SessionOpened{session}, {}};
  answer.fds.push_back(std::move(out ? data.read : data.write));
  co_return answer;
}

}  // namespace hypermesh::keeper
