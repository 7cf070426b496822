#include "runtime/core/oci_spec.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "runtime/core/seccomp_profile.hpp"

namespace hypermesh::keeper {
namespace {

using nlohmann::json;

constexpr const char* kOciVersion = "1.0.2";
constexpr std::uint32_t kTerminalGroup = 5;  // "tty", as every distribution has it

// What of /proc and /sys shows or changes the machine instead of the container.
constexpr std::array kMasked{"/proc/acpi",          "/proc/asound",
                             "/proc/kcore",         "/proc/keys",
                             "/proc/latency_stats", "/proc/sched_debug",
                             "/proc/scsi",          "/proc/timer_list",
                             "/proc/timer_stats",   "/sys/devices/virtual/powercap",
                             "/sys/firmware"};
constexpr std::array kReadOnly{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                               "/proc/sysrq-trigger"};

json process_json(const OciProcess& process) {
  json user{{"uid", process.uid}, {"gid", process.gid}};
  if (!process.groups.empty()) user["additionalGids"] = process.groups;
  const json names = capability_names(process.capabilities);
  json result{
      {"terminal", process.terminal},
      {"user", std::move(user)},
      {"args", process.args},
      {"env", process.env},
      {"cwd", process.cwd},
      // Nothing is inheritable or ambient: a process that is not root has what its file gives it.
      {"capabilities", {{"bounding", names}, {"effective", names}, {"permitted", names}}},
      {"noNewPrivileges", process.no_new_privileges},
  };
  if (process.terminal)
    result["consoleSize"] = {{"height", process.rows}, {"width", process.columns}};
  if (process.files_hard) {
    result["rlimits"] = json::array(
        {{{"type", "RLIMIT_NOFILE"}, {"soft", process.files_soft}, {"hard", process.files_hard}}});
  }
  return result;
}

json mount_json(const OciMount& mount) {
  return {{"destination", mount.destination},
          {"type", mount.type},
          {"source", mount.source},
          {"options", mount.options}};
}

std::vector<OciMount> standard_mounts(const OciContainer& c) {
  const std::string access = c.privileged ? "rw" : "ro";
  std::vector<OciMount> mounts{{"/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}}};
  if (c.privileged) {
    mounts.push_back({"/dev", "bind", "/dev", {"rbind", "nosuid", "rw"}});
  } else {
    mounts.push_back({"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=64k"}});
  }
  mounts.push_back({"/dev/pts",
                    "devpts",
                    "devpts",
                    {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620",
                     fmt::format("gid={}", kTerminalGroup)}});
  mounts.push_back({"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}});
  mounts.push_back({"/dev/shm", "bind", c.shared_memory, {"bind", "nosuid", "noexec", "nodev"}});
  if (c.namespaces.network.empty() && c.ids) {
    // A sysfs shows the network namespace that its mounter owns; the machine's is not the pod's to
    // mount.
    mounts.push_back({"/sys", "bind", "/sys", {"rbind", "nosuid", "noexec", "nodev", "ro"}});
  } else {
    mounts.push_back({"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", access}});
    mounts.push_back(
        {"/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", access}});
  }
  const std::string file_access = c.read_only_root ? "ro" : "rw";
  for (const auto& [destination, source] :
       {std::pair{"/etc/hosts", &c.hosts}, std::pair{"/etc/resolv.conf", &c.resolver},
        std::pair{"/etc/hostname", &c.hostname}}) {
    mounts.push_back(
        {destination, "bind", *source, {"bind", "nosuid", "noexec", "nodev", file_access}});
  }
  return mounts;
}

json namespaces_json(const OciContainer& c) {
  json list = json::array();
  const auto join = [&](const char* type, const std::string& path) {
    if (!path.empty()) list.push_back({{"type", type}, {"path", path}});
  };
  join("user", c.namespaces.user);
  join("network", c.namespaces.network);
  join("ipc", c.namespaces.ipc);
  join("uts", c.namespaces.uts);
  for (const char* own : {"pid", "mount", "cgroup"}) list.push_back({{"type", own}});
  return list;
}

json device_rules(const OciContainer& c) {
  if (c.privileged) return json::array({{{"allow", true}, {"access", "rwm"}}});
  json rules = json::array({{{"allow", false}, {"access", "rwm"}}});
  for (const DeviceRule& rule : default_devices()) {
    json item{{"allow", true}, {"type", std::string(1, rule.type)}, {"access", rule.access}};
    if (rule.major >= 0) item["major"] = rule.major;
    if (rule.minor >= 0) item["minor"] = rule.minor;
    rules.push_back(std::move(item));
  }
  return rules;
}

json limits_json(const OciContainer& c) {
  const nexus::ResourceLimits& limits = *c.limits;
  json resources{{"devices", device_rules(c)}};
  if (limits.memory_bytes_max) {
    resources["memory"] = {{"limit", limits.memory_bytes_max}, {"swap", limits.memory_bytes_max}};
  }
  resources["cpu"] = {{"shares", cpu_shares(limits)}};
  if (limits.cpu_millis_max) {
    resources["cpu"]["period"] = kCpuPeriodMicroseconds;
    resources["cpu"]["quota"] =
        std::max(limits.cpu_millis_max * kCpuPeriodMicroseconds / 1000, kCpuQuotaMicrosecondsMin);
  }
  resources["pids"] = {{"limit", limits.processes_max ? limits.processes_max : kProcessesDefault}};
  const auto throttle = [&](const char* key, std::uint64_t rate) {
    const std::size_t colon = c.io_device.find(':');
    if (rate == 0 || colon == std::string::npos) return;
    resources["blockIO"][key] = json::array({{{"major", std::stoi(c.io_device.substr(0, colon))},
                                              {"minor", std::stoi(c.io_device.substr(colon + 1))},
                                              {"rate", rate}}});
  };
  throttle("throttleReadBpsDevice", limits.io_read_bytes_per_second);
  throttle("throttleWriteBpsDevice", limits.io_write_bytes_per_second);
  return resources;
}

json seccomp_json(CapabilitySet capabilities) {
  const SeccompProfile profile = default_seccomp_profile(capabilities);
  json rules = json::array();
  for (const SeccompRule& rule : profile.rules) {
    json item{{"names", rule.calls},
              {"action", rule.errno_value ? "SCMP_ACT_ERRNO" : "SCMP_ACT_ALLOW"}};
    if (rule.errno_value) item["errnoRet"] = rule.errno_value;
    for (const SeccompArgument& argument : rule.arguments) {
      using Compare = SeccompArgument::Compare;
      const char* op = argument.compare == Compare::Equal      ? "SCMP_CMP_EQ"
                       : argument.compare == Compare::NotEqual ? "SCMP_CMP_NE"
                                                               : "SCMP_CMP_MASKED_EQ";
      item["args"].push_back({{"index", argument.index},
                              {"value", argument.value},
                              {"valueTwo", argument.masked_value},
                              {"op", op}});
    }
    rules.push_back(std::move(item));
  }
  return {{"defaultAction", "SCMP_ACT_ERRNO"},
          {"defaultErrnoRet", profile.default_errno},
          {"architectures", profile.architectures},
          {"syscalls", std::move(rules)}};
}

json mappings_json(const IdRange& ids) {
  return json::array({{{"containerID", 0}, {"hostID", ids.first}, {"size", ids.count}}});
}

}  // namespace

std::string make_oci_config(const OciContainer& c) {
  json linux_part{{"namespaces", namespaces_json(c)}, {"cgroupsPath", c.cgroup}};
  if (c.ids) {
    linux_part["uidMappings"] = mappings_json(*c.ids);
    linux_part["gidMappings"] = mappings_json(*c.ids);
  }
  if (c.limits) linux_part["resources"] = limits_json(c);
  if (!c.privileged) {
    linux_part["maskedPaths"] = kMasked;
    linux_part["readonlyPaths"] = kReadOnly;
  }
  json config{
      {"ociVersion", kOciVersion},
      {"process", process_json(c.process)},
      {"root", {{"path", c.root}, {"readonly", c.read_only_root}}},
      {"mounts", json::array()},
  };
  for (const OciMount& mount : standard_mounts(c)) config["mounts"].push_back(mount_json(mount));
  for (const OciMount& mount : c.volumes) config["mounts"].push_back(mount_json(mount));
  if (c.seccomp && !c.seccomp_program.empty()) {
    config["annotations"]["run.oci.seccomp_bpf_data"] = c.seccomp_program;
  } else if (c.seccomp) {
    linux_part["seccomp"] = seccomp_json(c.process.capabilities);
  }
  config["linux"] = std::move(linux_part);
  return config.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string make_oci_process(const OciProcess& process) {
  return process_json(process).dump(-1, ' ', false, json::error_handler_t::replace);
}

base::Result<CapabilitySet> capabilities_of(const nexus::ContainerSecurity& security,
                                            bool host_users) {
  if (security.privileged && !host_users) {
    return std::unexpected(
        base::with_hint(base::make_error(base::Errc::FailedPrecondition,
                                         "a privileged container needs the machine's users: its "
                                         "pod has a user namespace of its own"),
                        "set hostUsers: true in the pod, if it really must rule the machine"));
  }
  return effective_capabilities(security.capabilities_add, security.capabilities_drop,
                                security.privileged);
}

std::vector<std::string> complete_env(std::vector<std::string> env, std::string_view home,
                                      std::string_view hostname, bool terminal) {
  const auto add = [&](std::string_view name, std::string_view value) {
    const bool there = std::ranges::any_of(env, [&](const std::string& variable) {
      return variable.size() > name.size() && variable.starts_with(name) &&
             variable[name.size()] == '=';
    });
    if (!there) env.push_back(fmt::format("{}={}", name, value));
  };
  add("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
  add("HOSTNAME", hostname);
  add("HOME", home);
  if (terminal) add("TERM", "xterm");
  return env;
}

}  // namespace hypermesh::keeper
