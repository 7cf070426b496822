#pragma once

// What this machine can do for a node, judged from facts that were read elsewhere. Pure.

#include <cstdint>
#include <string>
#include <vector>

#include "output/json_access.hpp"

namespace cli {

struct HostFacts {
  std::string kernel;  ///< uname's release.
  bool root = false;
  bool cgroup2 = false;  ///< The unified hierarchy has the controllers.
  bool cgroup1 = false;  ///< The memory controller is in a hierarchy of version 1.
  bool overlayfs = false;
  bool user_namespaces = false;
  bool network_namespaces = false;
  bool ipv6 = false;
  bool nft_tables = false;         ///< The kernel answers nftables over netlink.
  std::string runtime;             ///< "crun" or "runc"; empty: neither is on the PATH.
  std::int64_t fsync_micros = -1;  ///< Of the state's disk; -1: not measured.
  std::uint64_t disk_free_bytes = 0;
  std::string state_folder;
};

struct HostCheck {
  enum class State { Ok, Warning, Failed } state = State::Ok;
  std::string name, message, hint;
};
std::vector<HostCheck> judge_host(const HostFacts& facts);

}  // namespace cli
