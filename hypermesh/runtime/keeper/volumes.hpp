#pragma once

// A pod's volumes on the node, and how a container's mounts become of them.
//
//   <pod>/volumes/<name>   emptyDir, on disk or a tmpfs; files of ConfigMaps and Secrets (these in
//   a tmpfs) <named>/<ns>_<name>    named volumes, which outlive pods; on disk they belong to the
//   range of ids of layers
//
// Files change as Kubernetes changes them: a new folder is filled, then the link "..data" is
// exchanged, so a reader sees the old set or the new one.

#include <nexus/workload_types.hpp>

#include "runtime/core/oci_spec.hpp"
#include "runtime/keeper/os.hpp"

namespace hypermesh::keeper {

struct VolumePlace {
  std::string pod_folder;       ///< Volumes lie in <pod_folder>/volumes.
  std::string named_folder;     ///< Of all named volumes.
  Owner root;                   ///< The pod's root as the machine sees it.
  std::uint32_t disk_root = 0;  ///< What stands for root in files of named volumes.
  std::optional<std::uint32_t> fs_group;
  std::vector<std::string> host_paths;  ///< AccessPolicy::host_paths
};

/// Makes what is missing. Errors: NotFound, FailedPrecondition (a host path of the wrong kind),
/// Forbidden (a host path that is not allowed, wherever links lead), ResourceExhausted.
base::Result<> prepare_volumes(const VolumePlace& place, const std::vector<nexus::Volume>& volumes);
/// Gives the named ones to the pod's fsGroup, if it has one, with all that is in them. Takes as
/// long as there are files; what was given already takes none.
base::Result<> give_to_fs_group(const VolumePlace& place,
                                const std::vector<nexus::Volume>& volumes);
/// Unmounts what prepare_volumes mounted. Named volumes and folders stay.
void release_volumes(const std::string& pod_folder, const std::vector<nexus::Volume>& volumes);

/// Replaces the files of a volume. Errors: NotFound (not a volume of files), ResourceExhausted.
base::Result<> write_volume_files(const VolumePlace& place, const nexus::Volume& volume,
                                  const std::vector<nexus::VolumeFile>& files);

/// Id mappings for mounts; -1: ids stay as they are.
struct MountIds {
  int host_paths = -1;  ///< The machine's id n is the container's id n.
  int named = -1;       ///< As for layers.
};
/// Places a mount for each of `mounts` at <folder>/mounts/<number>, and answers how the container
/// is to mount them. Undo with release_mounts. Errors: NotFound (volume, host path), Unsupported
/// (no idmapped mounts there).
base::Result<std::vector<OciMount>> place_mounts(const VolumePlace& place,
                                                 const std::vector<nexus::Volume>& volumes,
                                                 const std::vector<nexus::VolumeMount>& mounts,
                                                 const std::string& folder, const MountIds& ids);
void release_mounts(const std::string& folder);

}  // namespace hypermesh::keeper
