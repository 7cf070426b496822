#pragma once

#include "runtime/keeper/cgroups.hpp"

namespace hypermesh::keeper {

/// One mounted version 1 hierarchy.
struct CgroupHierarchy {
  std::string mount_point;
  std::vector<std::string> controllers;  ///< "name=systemd" for one that has none.
};

class CgroupsV1 final : public Cgroups {
 public:
  explicit CgroupsV1(std::vector<CgroupHierarchy> hierarchies);
  CgroupVersion version() const override { return CgroupVersion::V1; }
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
  const CgroupHierarchy* of(std::string_view controller) const;
  std::string file(std::string_view controller, const std::string& path,
                   std::string_view name) const;
  std::uint64_t usage_of(const std::string& path) const;

  std::vector<CgroupHierarchy> hierarchies_;  ///< Those that we make groups in.
  std::vector<CgroupHierarchy> all_;          ///< An OCI runtime may have made some in others.
};

}  // namespace hypermesh::keeper
