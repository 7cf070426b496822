#pragma once

#include <map>
#include <string>

#include "runtime/core/capabilities.hpp"
#include "runtime/keeper/os.hpp"

namespace hypermesh::keeper {

/// Filters of system calls, compiled once for each set of capabilities: the OCI runtime would
/// otherwise compile the same rules at every start and exec, which takes longer than everything
/// else that it does.
class SeccompCompiler {
 public:
  /// The program for seccomp(2), in base64. Blocks for some milliseconds the first time. Errors:
  /// Internal.
  base::Result<std::string> program(CapabilitySet capabilities);

 private:
  std::map<CapabilitySet, std::string> programs_;
};

}  // namespace hypermesh::keeper
