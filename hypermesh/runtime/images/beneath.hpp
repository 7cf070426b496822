#pragma once

// Files named by others, beneath a folder that we hold open.

#include <base/error.hpp>
#include <cstdint>
#include <string>

#include "runtime/images/fd.hpp"

namespace hypermesh {

/// Opens `name` in `folder_fd` without following a link and without leaving the folder or its
/// mount. -1 and errno on failure.
int open_beneath(int folder_fd, const char* name, std::uint64_t flags);

/// Removes `name`, and all it holds if it is a folder. Errors: NotFound and those of the file
/// system.
base::Result<> remove_beneath(int folder_fd, const std::string& name);

}  // namespace hypermesh
