#pragma once

// A container as an OCI runtime understands it (OCI runtime spec 1.0.2, config.md and
// config-linux.md).

#include <nexus/workload_types.hpp>
#include <optional>
#include <string>
#include <vector>

#include "runtime/core/capabilities.hpp"
#include "runtime/core/cgroup_plan.hpp"

namespace hypermesh::keeper {

/// Ids of the machine that stand for a container's ids 0 and up.
struct IdRange {
  std::uint32_t first = 0;
  std::uint32_t count = 65'536;
  bool operator==(const IdRange&) const = default;
};

struct OciMount {
  std::string destination, type, source;
  std::vector<std::string> options;
};

struct OciProcess {
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::string cwd = "/";
  std::uint32_t uid = 0, gid = 0;
  std::vector<std::uint32_t> groups;
  CapabilitySet capabilities = 0;
  bool no_new_privileges = true;
  bool terminal = false;
  std::uint16_t rows = 24, columns = 80;
  std::uint64_t files_soft = 0, files_hard = 0;  ///< RLIMIT_NOFILE; 0: as inherited.
};

/// Paths of the pod's namespaces; an empty one is the keeper's own.
struct OciNamespaces {
  std::string user, network, ipc, uts;
};

struct OciContainer {
  std::string root;  ///< Absolute: the mounted root file system.
  bool read_only_root = false;
  bool privileged = false;
  OciProcess process;
  OciNamespaces namespaces;
  std::optional<IdRange> ids;             ///< Of the user namespace; empty without one.
  std::string shared_memory;              ///< The pod's /dev/shm.
  std::string hosts, resolver, hostname;  ///< Files to be /etc/hosts and so on.
  std::vector<OciMount> volumes;          ///< In the order in which they are mounted.
  std::string cgroup;                     ///< "/hypermesh-n1/<pod>/<container>"
  CgroupVersion cgroup_version = CgroupVersion::V1;
  /// Limits that the OCI runtime sets itself. Empty: the keeper has set them, and the runtime is to
  /// leave cgroups alone.
  std::optional<nexus::ResourceLimits> limits;
  std::string io_device;
  bool seccomp = true;
  /// The filter, compiled and in base64, for a runtime that takes it so (crun). Empty: the profile
  /// as rules.
  std::string seccomp_program;
};

/// config.json
std::string make_oci_config(const OciContainer& container);
/// process.json, for exec.
std::string make_oci_process(const OciProcess& process);

/// The container's and the pod's security settings as capabilities, refusing what contradicts
/// itself. Errors: FailedPrecondition (privileged in a pod with a user namespace of its own),
/// InvalidArgument.
base::Result<CapabilitySet> capabilities_of(const nexus::ContainerSecurity& security,
                                            bool host_users);

/// The environment of a process: `env` with a PATH, HOME and, on a terminal, TERM where they are
/// missing, and HOSTNAME.
std::vector<std::string> complete_env(std::vector<std::string> env, std::string_view home,
                                      std::string_view hostname, bool terminal);

}  // namespace hypermesh::keeper
