#include "runtime/core/cgroup_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace hypermesh::keeper {
namespace {

std::uint64_t parse_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} ? value : 0;
}

template <class Visit>
void each_line(std::string_view file, Visit visit) {
  while (!file.empty()) {
    const std::string_view line = file.substr(0, file.find('\n'));
    visit(line);
    file.remove_prefix(std::min(line.size() + 1, file.size()));
  }
}

std::uint64_t cpu_quota(const nexus::ResourceLimits& limits) {
  return std::max(limits.cpu_millis_max * kCpuPeriodMicroseconds / 1000, kCpuQuotaMicrosecondsMin);
}

void add_v1(const nexus::ResourceLimits& limits, std::string_view io_device,
            std::vector<CgroupWrite>& writes) {
  // Memory and swap together may never be below memory alone: first out of the way, last back.
  const std::string memory =
      limits.memory_bytes_max ? std::to_string(limits.memory_bytes_max) : "-1";
  writes.push_back({"memory", "memory.memsw.limit_in_bytes", "-1", true});
  writes.push_back({"memory", "memory.limit_in_bytes", memory});
  writes.push_back({"memory", "memory.memsw.limit_in_bytes", memory, true});
  writes.push_back({"cpu", "cpu.shares", std::to_string(cpu_shares(limits))});
  writes.push_back({"cpu", "cpu.cfs_period_us", std::to_string(kCpuPeriodMicroseconds)});
  writes.push_back({"cpu", "cpu.cfs_quota_us",
                    limits.cpu_millis_max ? std::to_string(cpu_quota(limits)) : "-1"});
  writes.push_back(
      {"pids", "pids.max",
       std::to_string(limits.processes_max ? limits.processes_max : kProcessesDefault)});
  if (io_device.empty()) return;
  writes.push_back({"blkio", "blkio.throttle.read_bps_device",
                    fmt::format("{} {}", io_device, limits.io_read_bytes_per_second), true});
  writes.push_back({"blkio", "blkio.throttle.write_bps_device",
                    fmt::format("{} {}", io_device, limits.io_write_bytes_per_second), true});
}

void add_v2(const nexus::ResourceLimits& limits, std::string_view io_device,
            std::vector<CgroupWrite>& writes) {
  const auto or_max = [](std::uint64_t value) {
    return value ? std::to_string(value) : std::string("max");
  };
  writes.push_back({"memory", "memory.max", or_max(limits.memory_bytes_max)});
  writes.push_back({"memory", "memory.swap.max", limits.memory_bytes_max ? "0" : "max", true});
  writes.push_back({"cpu", "cpu.weight", std::to_string(cpu_weight(cpu_shares(limits)))});
  writes.push_back(
      {"cpu", "cpu.max",
       fmt::format("{} {}", limits.cpu_millis_max ? std::to_string(cpu_quota(limits)) : "max",
                   kCpuPeriodMicroseconds)});
  writes.push_back(
      {"pids", "pids.max",
       std::to_string(limits.processes_max ? limits.processes_max : kProcessesDefault)});
  if (io_device.empty()) return;
  writes.push_back(
      {"io", "io.max",
       fmt::format("{} rbps={} wbps={}", io_device, or_max(limits.io_read_bytes_per_second),
                   or_max(limits.io_write_bytes_per_second)),
       true});
}

}  // namespace

std::uint64_t cpu_shares(const nexus::ResourceLimits& limits) {
  const std::uint64_t millis =
      limits.cpu_millis_request ? limits.cpu_millis_request : limits.cpu_millis_max;
  return std::clamp<std::uint64_t>(millis * 1024 / 1000, 2, 262'144);
}

std::uint64_t cpu_weight(std::uint64_t shares) {
  return 1 + (shares - 2) * 9999 / 262'142;
}

base::Result<std::vector<CgroupWrite>> limit_writes(CgroupVersion version,
                                                    const nexus::ResourceLimits& limits,
                                                    std::string_view io_device) {
  const bool wants_io = limits.io_read_bytes_per_second || limits.io_write_bytes_per_second;
  if (wants_io && io_device.empty()) {
    return base::fail(
        base::Errc::Unsupported,
        "limits of I/O need the node's files to lie on a disk that the kernel can name; this file "
        "system has none");
  }
  std::vector<CgroupWrite> writes;
  if (version == CgroupVersion::V1) {
    add_v1(limits, io_device, writes);
  } else {
    add_v2(limits, io_device, writes);
  }
  // A kernel without the file is no trouble to a container that wants no such limit.
  for (CgroupWrite& write : writes) {
    if (wants_io && (write.controller == "io" || write.controller == "blkio"))
      write.optional = false;
  }
  return writes;
}

const std::vector<DeviceRule>& default_devices() {
  static const std::vector<DeviceRule> kRules{
      {'c', -1, -1, "m"}, {'b', -1, -1, "m"},               // making nodes is no access yet
      {'c', 1, 3},        {'c', 1, 5},                      // null, zero
      {'c', 1, 7},        {'c', 1, 8},        {'c', 1, 9},  // full, random, urandom
      {'c', 5, 0},        {'c', 5, 1},        {'c', 5, 2},  // tty, console, ptmx
      {'c', 136, -1},                                       // terminals
  };
  return kRules;
}

std::string to_text(const DeviceRule& rule) {
  const auto part = [](std::int32_t number) {
    return number < 0 ? std::string("*") : std::to_string(number);
  };
  return fmt::format("{} {}:{} {}", rule.type, part(rule.major), part(rule.minor), rule.access);
}

std::uint64_t keyed_value(std::string_view file, std::string_view key) {
  std::uint64_t value = 0;
  each_line(file, [&](std::string_view line) {
    if (line.size() > key.size() && line.starts_with(key) && line[key.size()] == ' ') {
      value = parse_number(line.substr(key.size() + 1));
    }
  });
  return value;
}

std::uint64_t single_value(std::string_view file) {
  return parse_number(file);
}

IoBytes io_bytes(CgroupVersion version, std::string_view file) {
  IoBytes total;
  each_line(file, [&](std::string_view line) {
    const auto add = [&](std::string_view key, std::uint64_t& sum) {
      if (const std::size_t at = line.find(key); at != line.npos)
        sum += parse_number(line.substr(at + key.size()));
    };
    if (version == CgroupVersion::V1) {
      add(" Read ", total.read);
      add(" Write ", total.written);
    } else {
      add(" rbytes=", total.read);
      add(" wbytes=", total.written);
    }
  });
  return total;
}

}  // namespace hypermesh::keeper
