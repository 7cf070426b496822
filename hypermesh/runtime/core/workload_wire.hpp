#pragma once

// How the values of the WorkloadDriver port travel. The order of members is the wire format: a
// change of it is a new version of the protocol and of the records.

#include <nexus/workload_types.hpp>

#include "runtime/core/wire.hpp"

namespace hypermesh::keeper {

template <>
inline constexpr int kEnumerators<nexus::ContainerState> = 3;
template <>
inline constexpr int kEnumerators<nexus::HostPathVolume::Type> = 5;
template <>
inline constexpr int kEnumerators<nexus::DriverEvent::Kind> = 4;

template <>
struct Members<std::monostate> {
  static auto of(auto&) { return std::tie(); }
};
template <>
struct Members<nexus::ContainerId> {
  static auto of(auto& v) { return std::tie(v.pod_uid, v.name); }
};
template <>
struct Members<nexus::ResourceLimits> {
  static auto of(auto& v) {
    return std::tie(v.memory_bytes_max, v.cpu_millis_max, v.cpu_millis_request, v.processes_max,
                    v.io_read_bytes_per_second, v.io_write_bytes_per_second);
  }
};
template <>
struct Members<nexus::VolumeFile> {
  static auto of(auto& v) { return std::tie(v.path, v.content, v.mode); }
};
template <>
struct Members<nexus::EmptyDirVolume> {
  static auto of(auto& v) { return std::tie(v.in_memory, v.bytes_max); }
};
template <>
struct Members<nexus::HostPathVolume> {
  static auto of(auto& v) { return std::tie(v.path, v.type); }
};
template <>
struct Members<nexus::FilesVolume> {
  static auto of(auto& v) { return std::tie(v.files, v.secret); }
};
template <>
struct Members<nexus::NamedVolume> {
  static auto of(auto& v) { return std::tie(v.name); }
};
template <>
struct Members<nexus::Volume> {
  static auto of(auto& v) { return std::tie(v.name, v.source); }
};
template <>
struct Members<nexus::VolumeMount> {
  static auto of(auto& v) { return std::tie(v.volume, v.path, v.sub_path, v.read_only); }
};
template <>
struct Members<nexus::ContainerSecurity> {
  static auto of(auto& v) {
    return std::tie(v.user, v.group, v.supplemental_groups, v.run_as_non_root, v.read_only_root,
                    v.no_new_privileges, v.privileged, v.seccomp_unconfined, v.capabilities_add,
                    v.capabilities_drop);
  }
};
template <>
struct Members<nexus::ContainerSpec> {
  static auto of(auto& v) {
    return std::tie(v.id, v.attempt, v.image, v.command, v.args, v.env, v.working_directory,
                    v.mounts, v.resources, v.security, v.stdin_open, v.terminal);
  }
};
template <>
struct Members<nexus::PodSpec> {
  static auto of(auto& v) {
    return std::tie(v.uid, v.name_space, v.name, v.hostname, v.volumes, v.dns_servers,
                    v.dns_searches, v.dns_options, v.host_aliases, v.fs_group, v.host_network,
                    v.host_users, v.sysctls);
  }
};
template <>
struct Members<nexus::ContainerStatus> {
  static auto of(auto& v) {
    return std::tie(v.id, v.attempt, v.state, v.pid, v.exit_code, v.signal, v.out_of_memory,
                    v.image, v.message, v.started, v.finished);
  }
};
template <>
struct Members<nexus::PodStatus> {
  static auto of(auto& v) {
    return std::tie(v.uid, v.name_space, v.name, v.ready, v.addresses, v.containers);
  }
};
template <>
struct Members<nexus::ExecSpec> {
  static auto of(auto& v) {
    return std::tie(v.container, v.command, v.terminal, v.stdin_open, v.rows, v.columns);
  }
};
template <>
struct Members<nexus::ContainerStats> {
  static auto of(auto& v) {
    return std::tie(v.id, v.cpu_nanoseconds, v.memory_bytes, v.processes, v.io_read_bytes,
                    v.io_written_bytes);
  }
};
template <>
struct Members<nexus::DriverEvent> {
  static auto of(auto& v) { return std::tie(v.kind, v.container); }
};

}  // namespace hypermesh::keeper
