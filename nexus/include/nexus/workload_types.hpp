#pragma once

// The values of the WorkloadDriver port: what a pod and its containers are, without Asio, so that
// cores (protocols, planners) can use them.

#include <base/bytes.hpp>
#include <base/time.hpp>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace nexus {

/// One container of one pod. A restart is a new attempt of the same container.
struct ContainerId {
  std::string pod_uid;
  std::string name;
  auto operator<=>(const ContainerId&) const = default;
};

struct ResourceLimits {
  std::uint64_t memory_bytes_max = 0;          ///< 0: no limit.
  std::uint64_t cpu_millis_max = 0;            ///< Thousandths of a core; 0: no limit.
  std::uint64_t cpu_millis_request = 0;        ///< Becomes the weight under contention.
  std::uint64_t processes_max = 0;             ///< 0: the driver's default.
  std::uint64_t io_read_bytes_per_second = 0;  ///< 0: no limit.
  std::uint64_t io_write_bytes_per_second = 0;
  bool operator==(const ResourceLimits&) const = default;
};

/// A file of a ConfigMap or Secret volume.
struct VolumeFile {
  std::string path;  ///< Relative, without "..".
  std::string content;
  std::uint32_t mode = 0644;
};
struct EmptyDirVolume {
  bool in_memory = false;
  std::uint64_t bytes_max = 0;  ///< Enforced for in-memory ones; 0: no limit.
};
struct HostPathVolume {
  std::string path;
  enum class Type : std::uint8_t {
    Any,
    Directory,
    DirectoryOrCreate,
    File,
    FileOrCreate
  } type = Type::Any;
};
/// ConfigMap, Secret, projected and downward API: content that we write. Secrets stay in memory.
struct FilesVolume {
  std::vector<VolumeFile> files;
  bool secret = false;
};
/// Storage that outlives the pod, made on first use. `name` is unique on the node (namespace/name).
struct NamedVolume {
  std::string name;
};
struct Volume {
  std::string name;
  std::variant<EmptyDirVolume, HostPathVolume, FilesVolume, NamedVolume> source;
};
struct VolumeMount {
  std::string volume;
  std::string path;      ///< Absolute, in the container.
  std::string sub_path;  ///< Relative, in the volume.
  bool read_only = false;
};

struct ContainerSecurity {
  std::optional<std::uint32_t> user;  ///< Empty: the image's.
  std::optional<std::uint32_t> group;
  std::vector<std::uint32_t> supplemental_groups;
  bool run_as_non_root = false;  ///< Refuse to start as uid 0.
  bool read_only_root = false;
  bool no_new_privileges = true;
  bool privileged = false;
  bool seccomp_unconfined = false;
  std::vector<std::string> capabilities_add;   ///< "NET_BIND_SERVICE"
  std::vector<std::string> capabilities_drop;  ///< "ALL" drops every one.
};

struct ContainerSpec {
  ContainerId id;
  std::uint32_t attempt = 0;
  std::string image;  ///< As resolved by pull_image: "name@sha256:..." or an image id.
  std::vector<std::string> command;  ///< Replaces the image's entrypoint when not empty.
  std::vector<std::string> args;     ///< Replaces the image's command when not empty.
  std::vector<std::pair<std::string, std::string>> env;
  std::string working_directory;  ///< Empty: the image's.
  std::vector<VolumeMount> mounts;
  ResourceLimits resources;
  ContainerSecurity security;
  bool stdin_open = false;
  bool terminal = false;
};

struct PodSpec {
  std::string uid, name_space, name;
  std::string hostname;
  std::vector<Volume> volumes;
  std::vector<std::string> dns_servers;  ///< Empty: the node's.
  std::vector<std::string> dns_searches;
  std::vector<std::string> dns_options;
  std::vector<std::pair<std::string, std::string>> host_aliases;  ///< address, host name
  std::optional<std::uint32_t> fs_group;                          ///< Volumes belong to this group.
  bool host_network = false;
  bool host_users =
      false;  ///< Without a user namespace of its own; needed by privileged containers.
  std::map<std::string, std::string> sysctls;
};

enum class ContainerState : std::uint8_t { Created, Running, Exited };

struct ContainerStatus {
  ContainerId id;
  std::uint32_t attempt = 0;
  ContainerState state = ContainerState::Created;
  std::int32_t pid = 0;        ///< Of the first process, as the machine sees it; 0 unless running.
  std::int32_t exit_code = 0;  ///< 128 + signal for a killed process.
  std::int32_t signal = 0;
  bool out_of_memory = false;  ///< The kernel killed a process of it for its memory limit.
  std::string image;
  std::string message;  ///< Why it could not start, when it could not.
  base::WallTime started{}, finished{};
};

struct PodStatus {
  std::string uid, name_space, name;
  bool ready = false;                       ///< The sandbox (namespaces, addresses) stands.
  std::vector<std::string> addresses;       ///< IPv6 first.
  std::vector<ContainerStatus> containers;  ///< Latest attempt of each.
};

struct ImageStatus {
  std::string reference;  ///< As asked for.
  std::string resolved;   ///< "name@sha256:...": what to put into ContainerSpec::image.
  std::uint64_t bytes = 0;
  std::string user;  ///< The image's User, e.g. "1000:1000" or "web".
};

enum class PullPolicy : std::uint8_t { Always, IfNotPresent, Never };
struct RegistryCredentials {
  std::string user, password;
};

struct OutputChunk {
  bool is_stderr = false;
  base::Bytes data;
};

struct ExecSpec {
  ContainerId container;
  std::vector<std::string> command;
  bool terminal = false;
  bool stdin_open = false;
  std::uint16_t rows = 24, columns = 80;
};

struct LogRecord {
  base::WallTime time;
  bool is_stderr = false;
  bool partial = false;  ///< The line goes on in the next record.
  std::string text;      ///< Without the newline.
};
struct LogQuery {
  ContainerId container;
  bool follow = false;    ///< Goes on until the container's pod is removed.
  bool previous = false;  ///< Of the attempt before the latest.
  std::optional<base::WallTime> since;
  std::optional<std::uint64_t> tail_lines;
};
struct ContainerStats {
  ContainerId id;
  std::uint64_t cpu_nanoseconds = 0;  ///< Since start.
  std::uint64_t memory_bytes = 0;     ///< Working set: usage less inactive file pages.
  std::uint64_t processes = 0;
  std::uint64_t io_read_bytes = 0, io_written_bytes = 0;
};

struct DriverEvent {
  enum class Kind : std::uint8_t { ContainerStarted, ContainerExited, DriverLost, DriverBack } kind;
  ContainerStatus container;
};

}  // namespace nexus
