#include "runtime/keeper/namespaces.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

namespace hypermesh::keeper {
namespace {

using base::Errc;

constexpr std::size_t kMessageBytesMax = 512;

/// A child that waits where it is told to; killed and reaped at the end.
class Helper {
 public:
  /// `body` runs in the child with the child's end of a socket. What it answers, if not empty, went
  /// wrong.
  static base::Result<Helper> start(const std::function<std::string(int)>& body) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
      return base::fail_errno(errno, "cannot make a socket pair");
    }
    UniqueFd ours(ends[0]), theirs(ends[1]);
    TRY(const pid_t child, start_copy({theirs.get()}, [&] {
          const std::string problem = body(theirs.get());
          if (!problem.empty())
            ::send(theirs.get(), problem.data(), std::min(problem.size(), kMessageBytesMax),
                   MSG_NOSIGNAL);
          return problem.empty() ? 0 : 1;
        }));
    return Helper(child, std::move(ours));
  }
  Helper(Helper&& other) noexcept
      : child_(std::exchange(other.child_, -1)), socket_(std::move(other.socket_)) {}
  ~Helper() {
    if (child_ <= 0) return;
    ::kill(child_, SIGKILL);
    while (::waitpid(child_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }

  /// Waits for one byte `step`. Errors: what the child said instead.
  base::Result<> expect(char step) {
    std::array<char, kMessageBytesMax> buffer{};
    const ssize_t count = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (count == 1 && buffer[0] == step) return {};
    if (count <= 0) return base::fail(Errc::Internal, "the helper that makes namespaces ended");
    const std::string text(buffer.data(), static_cast<std::size_t>(count));
    // The first character says which kind of problem it is.
    const Errc code = text[0] == 'S'   ? Errc::InvalidArgument
                      : text[0] == 'U' ? Errc::Unsupported
                                       : Errc::Internal;
    return base::fail(code, text.substr(1));
  }
  bool tell(char step) { return ::send(socket_.get(), &step, 1, MSG_NOSIGNAL) == 1; }

  base::Result<UniqueFd> name_space(const char* name) const {
    const std::string path = fmt::format("/proc/{}/ns/{}", child_, name);
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return base::fail_errno(errno, fmt::format("cannot open {}", path));
    return fd;
  }
  base::Result<> map_ids(std::uint32_t inside, std::uint32_t outside, std::uint32_t count) const {
    const std::string line = fmt::format("{} {} {}\n", inside, outside, count);
    TRY_DO(write_kernel_file(fmt::format("/proc/{}/uid_map", child_), line));
    return write_kernel_file(fmt::format("/proc/{}/gid_map", child_), line);
  }

 private:
  Helper(pid_t child, UniqueFd socket) : child_(child), socket_(std::move(socket)) {}
  pid_t child_;
  UniqueFd socket_;
};

bool say(int socket, char step) {
  return ::send(socket, &step, 1, MSG_NOSIGNAL) == 1;
}
bool hear(int socket, char step) {
  char got = 0;
  return ::recv(socket, &got, 1, 0) == 1 && got == step;
}

bool loopback_up() {
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  return socket && ::ioctl(socket.get(), SIOCSIFFLAGS, &request) == 0;
}

std::string system_problem(char kind, std::string_view what) {
  return fmt::format("{}{}: {}", kind, what, std::strerror(errno));
}

std::string inside(int socket, const NamespaceRequest& request) {
  const int kinds = CLONE_NEWIPC | CLONE_NEWUTS | (request.own_network ? CLONE_NEWNET : 0) |
                    (request.ids ? CLONE_NEWUSER : 0);
  // In one call, so that the user namespace owns the others: its root may listen on port 80 and
  // mount a sysfs.
  if (::unshare(kinds) != 0)
    return system_problem(errno == EPERM || errno == ENOSPC ? 'U' : 'I', "cannot make namespaces");
  if (!say(socket, 'u') || !hear(socket, 'm')) return "Ithe keeper did not map ids";
  if (request.ids && (::setresgid(0, 0, 0) != 0 || ::setresuid(0, 0, 0) != 0))
    return system_problem('I', "cannot become root of the namespace");
  if (::sethostname(request.hostname.data(), request.hostname.size()) != 0)
    return system_problem('I', "cannot set the host name");
  if (request.own_network && !loopback_up())
    return system_problem('I', "cannot set up the loopback interface");
  for (const auto& [name, value] : request.sysctls) {
    std::string path = "/proc/sys/" + name;
    std::ranges::replace(path, '.', '/');
    if (auto written = write_kernel_file(path, value); !written) {
      return fmt::format("Ssysctl {}: {}", name, written.error().message);
    }
  }
  if (!say(socket, 'd')) return "Ithe keeper is gone";
  (void)hear(socket, 'e');
  return {};
}

}  // namespace

base::Result<PodNamespaces> make_pod_namespaces(const NamespaceRequest& request) {
  TRY(Helper helper, Helper::start([&](int socket) { return inside(socket, request); }));
  TRY_DO(helper.expect('u'));
  if (request.ids) TRY_DO(helper.map_ids(0, request.ids->first, request.ids->count));
  if (!helper.tell('m'))
    return base::fail(Errc::Internal, "the helper that makes namespaces ended");
  TRY_DO(helper.expect('d'));
  PodNamespaces made;
  if (request.ids) {
    TRY(made.user, helper.name_space("user"));
  }
  if (request.own_network) {
    TRY(made.network, helper.name_space("net"));
  }
  TRY(made.ipc, helper.name_space("ipc"));
  TRY(made.uts, helper.name_space("uts"));
  return made;
}

base::Result<UniqueFd> make_id_mapping(std::uint32_t on_disk, std::uint32_t shown,
                                       std::uint32_t count) {
  TRY(Helper helper, Helper::start([](int socket) -> std::string {
        if (::unshare(CLONE_NEWUSER) != 0)
          return system_problem('U', "cannot make a user namespace");
        say(socket, 'u');
        (void)hear(socket, 'e');
        return {};
      }));
  TRY_DO(helper.expect('u'));
  TRY_DO(helper.map_ids(on_disk, shown, count));
  return helper.name_space("user");
}

}  // namespace hypermesh::keeper
