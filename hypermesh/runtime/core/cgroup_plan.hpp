#pragma once

// Limits of a container as files of its cgroup, and what the kernel writes into others, for version
// 1 and 2 (Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst).

#include <cstdint>
#include <nexus/workload_types.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace hypermesh::keeper {

enum class CgroupVersion : std::uint8_t { V1, V2 };

/// Processes and threads of a container that says nothing.
inline constexpr std::uint64_t kProcessesDefault = 4096;
inline constexpr std::uint64_t kCpuPeriodMicroseconds = 100'000;
inline constexpr std::uint64_t kCpuQuotaMicrosecondsMin = 1'000;  ///< The kernel takes no less.

struct CgroupWrite {
  std::string controller;  ///< "memory", "cpu", "pids", "blkio" or "io".
  std::string file;        ///< "memory.limit_in_bytes"
  std::string value;
  bool optional = false;  ///< The kernel may not have the file.
};

/// What to write, in this order. `io_device` is "8:0", the disk that containers' files lie on;
/// empty: unknown, limits of I/O are then an error. Errors: Unsupported.
base::Result<std::vector<CgroupWrite>> limit_writes(CgroupVersion version,
                                                    const nexus::ResourceLimits& limits,
                                                    std::string_view io_device);

/// Kubernetes' shares for a request of CPU: 1024 for one core, 2 at least.
std::uint64_t cpu_shares(const nexus::ResourceLimits& limits);
/// The weight of version 2 for shares of version 1 (2 to 262144 become 1 to 10000).
std::uint64_t cpu_weight(std::uint64_t shares);

/// The devices that every container may use: "c 1:3 rwm" and so on, as devices.allow takes them.
struct DeviceRule {
  char type = 'c';
  std::int32_t major = -1, minor = -1;  ///< -1: any.
  std::string_view access = "rwm";
};
const std::vector<DeviceRule>& default_devices();
std::string to_text(const DeviceRule& rule);

/// The number after `key` in a file of "key number" lines. 0 when it is not there.
std::uint64_t keyed_value(std::string_view file, std::string_view key);
/// A file that holds one number. 0 when it does not.
std::uint64_t single_value(std::string_view file);
/// Sums over devices: "8:0 Read 4096" lines of version 1, "8:0 rbytes=4096 wbytes=0 ..." of
/// version 2.
struct IoBytes {
  std::uint64_t read = 0, written = 0;
};
IoBytes io_bytes(CgroupVersion version, std::string_view file);

}  // namespace hypermesh::keeper
