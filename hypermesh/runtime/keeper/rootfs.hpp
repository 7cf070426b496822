#pragma once

// A container's root file system: the image's layers below, shared by all containers, a folder of
// its own above.

#include "runtime/core/oci_spec.hpp"
#include "runtime/keeper/os.hpp"

namespace hypermesh::keeper {

/// Of one attempt, all below `folder`: upper, work, lower (for the moment of mounting), rootfs.
struct RootFs {
  std::string folder;               ///< Exists; only root may look into it, except through rootfs.
  std::vector<std::string> layers;  ///< Folders of files, bottom first.
  int ids_fd = -1;                  ///< Maps the ids of layers on disk to the pod's.
  Owner owner;                      ///< The pod's root.
};

/// Mounts it at `folder`/rootfs, in this mount namespace. Containers that are started from there
/// keep it when it is unmounted here. Errors: NotFound (a layer), Unsupported (no idmapped mounts).
base::Result<std::string> mount_rootfs(const RootFs& rootfs);
/// Unmounts what mount_rootfs made or began. Files of the container stay.
void unmount_rootfs(const std::string& folder);

}  // namespace hypermesh::keeper
