#include "commands/host_check.hpp"

#include <fmt/format.h>

#include <cstdlib>

#include "output/units.hpp"

namespace cli {
namespace {

using State = HostCheck::State;

constexpr std::uint64_t kDiskFreeLow = 1ull << 30;
constexpr std::int64_t kFsyncSlowMicros = 20'000;

bool at_least(const std::string& kernel, int major, int minor) {
  char* end = nullptr;
  const long found_major = std::strtol(kernel.c_str(), &end, 10);
  const long found_minor = *end == '.' ? std::strtol(end + 1, nullptr, 10) : 0;
  return found_major > major || (found_major == major && found_minor >= minor);
}

}  // namespace

std::vector<HostCheck> judge_host(const HostFacts& facts) {
  std::vector<HostCheck> out;
  const auto add = [&](State state, std::string name, std::string message, std::string hint = {}) {
    out.push_back({state, std::move(name), std::move(message), std::move(hint)});
  };

  // Identity-mapped mounts of overlayfs lower folders came with 5.19.
  const bool kernel_fits = at_least(facts.kernel, 5, 19);
  add(kernel_fits ? State::Ok : State::Failed, "kernel", fmt::format("kernel {}", facts.kernel),
      kernel_fits ? "" : "5.19 or newer is needed for the containers' user namespaces");
  const auto needs = [&](bool there, const char* name, const char* what, const char* hint) {
    add(there ? State::Ok : State::Failed, name, there ? what : fmt::format("no {}", what),
        there ? "" : hint);
  };
  needs(facts.network_namespaces && facts.user_namespaces, "namespaces",
        "network and user namespaces",
        "the kernel forbids them: sysctl user.max_user_namespaces, user.max_net_namespaces");
  if (facts.cgroup2) {
    add(State::Ok, "cgroups", "cgroup v2");
  } else if (facts.cgroup1) {
    add(State::Ok, "cgroups", "cgroup v1");
  } else {
    add(State::Failed, "cgroups", "no cgroup hierarchy with the memory controller",
        "mount cgroup2 on /sys/fs/cgroup; without it no limit holds");
  }
  needs(facts.overlayfs, "overlayfs", "overlayfs", "modprobe overlay");
  needs(facts.ipv6, "ipv6", "IPv6", "boot without ipv6.disable=1");
  needs(facts.nft_tables, "nftables", "nftables", "modprobe nf_tables; service addresses need it");
  if (facts.runtime.empty()) {
    add(State::Failed, "runtime", "neither crun nor runc is installed", "apt install crun");
  } else {
    add(State::Ok, "runtime", facts.runtime);
  }
  if (facts.root) {
    add(State::Ok, "rights", "root");
  } else {
    add(State::Warning, "rights", "not root: a node cannot be started here by this user",
        "sudo hm doctor");
  }
  if (facts.fsync_micros >= 0) {
    const std::string took =
        fmt::format("disk fsync {:.1f} ms ({})", static_cast<double>(facts.fsync_micros) / 1000,
                    facts.state_folder);
    const bool slow = facts.fsync_micros > kFsyncSlowMicros;
    add(slow ? State::Warning : State::Ok, "disk", took,
        slow ? "every write waits for it; put the state on a faster disk" : "");
  }
  if (facts.disk_free_bytes > 0) {
    const bool low = facts.disk_free_bytes < kDiskFreeLow;
    add(low ? State::Warning : State::Ok, "space",
        fmt::format("{} free in {}", show_bytes(facts.disk_free_bytes), facts.state_folder),
        low ? "hm image gc frees what no image needs" : "");
  }
  return out;
}

}  // namespace cli
