#include "datapath/namespaces.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/socket.h>

#include <cerrno>
#include <string_view>

namespace hypermesh::datapath {
namespace {

constexpr const char* kOwnNetns = "/proc/thread-self/ns/net";

}  // namespace

base::Result<UniqueFd> own_network_namespace() {
  UniqueFd fd(::open(kOwnNetns, O_RDONLY | O_CLOEXEC));
  if (!fd) return base::fail_errno(errno, fmt::format("cannot open {}", kOwnNetns));
  return fd;
}

base::Result<UniqueFd> make_network_namespace() {
  TRY(const UniqueFd back, own_network_namespace());
  if (::unshare(CLONE_NEWNET) != 0) {
    return base::fail_errno(errno, "cannot make a network namespace");
  }
  auto made = own_network_namespace();
  BASE_ASSERT(::setns(back.get(), CLONE_NEWNET) == 0, "the way back to the own namespace is open");
  return made;
}

base::Result<InNetworkNamespace> InNetworkNamespace::enter(int netns) {
  TRY(UniqueFd back, own_network_namespace());
  if (::setns(netns, CLONE_NEWNET) != 0) {
    return base::fail_errno(errno, "cannot enter a network namespace");
  }
  return InNetworkNamespace(std::move(back));
}

InNetworkNamespace::~InNetworkNamespace() {
  if (!back_) return;
  // Going on in the wrong namespace would change another host's network.
  BASE_ASSERT(::setns(back_.get(), CLONE_NEWNET) == 0, "the way back to the own namespace is open");
}

base::Result<UniqueFd> socket_in(int netns, int family, int type, int protocol) {
  TRY(const InNetworkNamespace inside, InNetworkNamespace::enter(netns));
  UniqueFd fd(::socket(family, type | SOCK_CLOEXEC, protocol));
  if (!fd) return base::fail_errno(errno, "cannot open a socket in another network namespace");
  return fd;
}

base::Result<> write_sysctl(const std::string& path, std::string_view value) {
  const std::string file = "/proc/sys/" + path;
  const UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return base::fail_errno(errno, fmt::format("cannot open {}", file));
  if (::write(fd.get(), value.data(), value.size()) != static_cast<ssize_t>(value.size())) {
    return base::fail_errno(errno, fmt::format("cannot write {} to {}", value, file));
  }
  return {};
}

base::Result<std::string> read_sysctl(const std::string& path) {
  const std::string file = "/proc/sys/" + path;
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return base::fail_errno(errno, fmt::format("cannot open {}", file));
  char text[256];
  const ssize_t got = ::read(fd.get(), text, sizeof text);
  if (got < 0) return base::fail_errno(errno, fmt::format("cannot read {}", file));
  std::string_view value(text, static_cast<std::size_t>(got));
  while (!value.empty() && (value.back() == '\n' || value.back() == ' ')) value.remove_suffix(1);
  return std::string(value);
}

}  // namespace hypermesh::datapath
