#pragma once

#include <base/error.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hypermesh::keeper {

/// A set of Linux capabilities (capabilities(7)), bit i for capability number i.
using CapabilitySet = std::uint64_t;

/// Number of a capability named as Kubernetes ("NET_ADMIN") or the kernel ("CAP_NET_ADMIN") names
/// it; any case. Errors: InvalidArgument (unknown; names the nearest).
base::Result<unsigned> capability_number(std::string_view name);
/// "CAP_NET_ADMIN"
std::string capability_name(unsigned number);
std::vector<std::string> capability_names(CapabilitySet set);

inline constexpr CapabilitySet capability_bit(unsigned number) {
  return CapabilitySet{1} << number;
}
inline constexpr unsigned kCapDacReadSearch = 2, kCapSysModule = 16, kCapSysRawio = 17,
                          kCapSysChroot = 18, kCapSysPtrace = 19, kCapSysPacct = 20,
                          kCapSysAdmin = 21, kCapSysBoot = 22, kCapSysNice = 23, kCapSysTime = 25,
                          kCapSysTtyConfig = 26, kCapSyslog = 34, kCapPerfmon = 38, kCapBpf = 39;

/// What containers get unless they say otherwise: the fourteen of Docker and containerd.
CapabilitySet default_capabilities();
/// Every capability that the list knows.
CapabilitySet all_capabilities();

/// The defaults less `drop` plus `add`; "ALL" in either means every one. What is added stays, also
/// when ALL is dropped: "drop: [ALL], add: [NET_BIND_SERVICE]" leaves one. Errors: InvalidArgument.
base::Result<CapabilitySet> effective_capabilities(const std::vector<std::string>& add,
                                                   const std::vector<std::string>& drop,
                                                   bool privileged);

}  // namespace hypermesh::keeper
