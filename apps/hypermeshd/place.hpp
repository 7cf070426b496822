#pragma once

#include <datapath/addressing.hpp>
#include <filesystem>

#include "daemon/daemon.hpp"

namespace apps {

/// Where a node is: who it is in its cluster, and its folders.
struct Place {
  hypermesh::datapath::NodeIdentity identity;
  std::filesystem::path state;  ///< The daemon's own; private.
  std::filesystem::path run;    ///< Sockets.
};

/// From node.json in the daemon's home. A development node has its folders there too. Errors:
/// NotFound (says how a node is made), InvalidArgument (the member that is wrong).
base::Result<Place> find_place(const DaemonContext& daemon);

}  // namespace apps
