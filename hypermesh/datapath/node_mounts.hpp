#pragma once

#include <base/error.hpp>
#include <filesystem>

namespace hypermesh::datapath {

/// In a new mount namespace: nothing mounted from here on is seen outside; a private tmpfs on /run
/// with `home` bound to kNodeHomeInside; the unified cgroup hierarchy unmounted where version 1
/// controllers are in use beside it (crun refuses such a hybrid). What the machine unmounts still
/// goes away here, so a node pins no disk of the machine.
base::Result<> make_node_mounts(const std::filesystem::path& home);

}  // namespace hypermesh::datapath
