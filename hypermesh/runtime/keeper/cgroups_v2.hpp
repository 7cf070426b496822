#pragma once

#include "runtime/keeper/cgroups.hpp"

namespace hypermesh::keeper {

class CgroupsV2 final : public Cgroups {
 public:
  explicit CgroupsV2(std::string mount_point) : mount_point_(std::move(mount_point)) {}
  CgroupVersion version() const override { return CgroupVersion::V2; }
  base::Result<> create(const std::string& path) override;
  base::Result<> limit(const std::string& path, const std::vector<CgroupWrite>& writes) override;
  base::Result<> confine_devices(const std::string& path) override;
  bool join(const std::string& path) override;
  base::Result<nexus::ContainerStats> stats(const std::string& path) override;
  std::uint64_t oom_kills(const std::string& path) override;
  base::Result<UniqueFd> watch_oom(const std::string& path) override;
  std::vector<pid_t> processes(const std::string& path) override;
  void kill(const std::string& path) override;
  base::Result<> remove(const std::string& path) override;

 private:
  std::string mount_point_;
};

/// Attaches a program to the version 2 group behind `cgroup_fd` that allows the default devices
/// only (version 2 has no files for that).
base::Result<> attach_device_filter(int cgroup_fd, const std::vector<DeviceRule>& rules);

}  // namespace hypermesh::keeper
