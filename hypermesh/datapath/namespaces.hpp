#pragma once

// Small acts on Linux namespaces (namespaces(7)).

#include <base/error.hpp>
#include <string>

#include "datapath/unique_fd.hpp"

namespace hypermesh::datapath {

/// The network namespace of the calling thread.
base::Result<UniqueFd> own_network_namespace();
/// A new network namespace that exists as long as the descriptor or a process in it does. Its
/// loopback is down.
base::Result<UniqueFd> make_network_namespace();

/// The calling thread is in another network namespace as long as this lives.
class InNetworkNamespace {
 public:
  static base::Result<InNetworkNamespace> enter(int netns);
  InNetworkNamespace(InNetworkNamespace&&) = default;
  InNetworkNamespace& operator=(InNetworkNamespace&&) = delete;
  ~InNetworkNamespace();

 private:
  explicit InNetworkNamespace(UniqueFd back) : back_(std::move(back)) {}
  UniqueFd back_;
};

/// A socket of the namespace `netns`, close-on-exec: the way to reach what only that namespace
/// reaches, for example the machine's loopback from within a node. Arguments as socket(2).
base::Result<UniqueFd> socket_in(int netns, int family, int type, int protocol);

/// Writes a sysctl of the calling thread's network namespace: "net/ipv4/ip_forward", "1".
base::Result<> write_sysctl(const std::string& path, std::string_view value);
base::Result<std::string> read_sysctl(const std::string& path);

}  // namespace hypermesh::datapath
