#pragma once

#include <filesystem>
#include <memory>

#include "consensus/log/log_files.hpp"

namespace hypermesh::consensus {

/// Makes `folder` if it is not there, and holds it for this process until the object goes. What an
/// earlier process wrote is brought to disk first, and what is read afterwards comes from there and
/// not from memory: pages whose writing failed are not taken for durable.
///
/// Errors: FailedPrecondition (another process holds the folder), of the system.
base::Result<std::unique_ptr<LogFiles>> open_disk_files(std::filesystem::path folder);

}  // namespace hypermesh::consensus
