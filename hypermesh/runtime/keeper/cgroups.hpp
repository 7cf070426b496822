#pragma once

// Control groups of version 1 and 2 behind one face. The keeper makes them, limits them, reads them
// and removes them; it asks the OCI runtime for none of that.

#include <memory>
#include <string>
#include <vector>

#include "runtime/core/cgroup_plan.hpp"
#include "runtime/keeper/os.hpp"

namespace hypermesh::keeper {

/// Paths begin with "/" and count from the root of each hierarchy:
/// "/hypermesh-n1/<pod>/<container>".
///
/// Implementations: CgroupsV1 (each controller a hierarchy of its own), CgroupsV2.
class Cgroups {
 public:
  virtual ~Cgroups() = default;
  virtual CgroupVersion version() const = 0;

  /// Makes the group and those above it. Errors: Unsupported (a controller that limits need is
  /// missing).
  virtual base::Result<> create(const std::string& path) = 0;
  virtual base::Result<> limit(const std::string& path, const std::vector<CgroupWrite>& writes) = 0;
  /// From now on processes of the group can open the default devices only.
  virtual base::Result<> confine_devices(const std::string& path) = 0;
  /// Moves the calling process, for children before they become another program. Allocates little.
  virtual bool join(const std::string& path) = 0;

  virtual base::Result<nexus::ContainerStats> stats(const std::string& path) = 0;
  virtual std::uint64_t oom_kills(const std::string& path) = 0;
  /// Readable (EPOLLIN) after the kernel killed for memory in the group; read_oom_watch() clears
  /// it.
  virtual base::Result<UniqueFd> watch_oom(const std::string& path) = 0;

  virtual std::vector<pid_t> processes(const std::string& path) = 0;
  /// SIGKILL to everything in the group and below, also to what forks meanwhile.
  virtual void kill(const std::string& path) = 0;
  /// Removes the group and those below it. Not an error when there is none. Errors:
  /// FailedPrecondition (a process is left in it: kill, then try again).
  virtual base::Result<> remove(const std::string& path) = 0;
};

void read_oom_watch(int fd);

/// In a mount namespace of our own: takes version 2 out of sight where version 1 has the
/// controllers. crun refuses to work beside both. Not an error where there is one version only.
base::Result<> hide_hybrid_cgroups();

/// What this mount namespace shows: version 1 hierarchies if there are any with controllers, else
/// version 2 at /sys/fs/cgroup. Errors: Unsupported.
base::Result<std::unique_ptr<Cgroups>> open_cgroups();
/// A version 2 hierarchy that lies elsewhere.
std::unique_ptr<Cgroups> open_cgroups_v2(std::string mount_point);

/// "8:0": the whole disk that `path` lies on, as limits of I/O name it. Empty when there is none.
std::string disk_of(const std::string& path);

}  // namespace hypermesh::keeper
