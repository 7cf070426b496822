#pragma once

#include <sys/types.h>

#include <base/error.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "runtime/core/access_policy.hpp"

namespace hypermesh::keeper {

/// The command line of hypermesh-keeper.
struct CommandLine {
  enum class Action { Run, Cleanup, Help, Version } action = Action::Run;
  std::filesystem::path
      node_home;         ///< Holds node.json; the keeper's own files lie in its folder "keeper".
  bool isolate = false;  ///< Enter namespaces of the node's own (a development node).
  uid_t daemon_uid = 0;
  gid_t daemon_gid = 0;
  std::filesystem::path state, run, socket;  ///< Empty: the defaults that kUsage names.
  std::vector<std::string> oci_runtimes{"crun", "runc"};
  AccessPolicy access;
  std::uint32_t id_base = 0x5000'0000;
  std::string log_levels = "info";
};

extern const char* const kUsage;

/// Errors: InvalidArgument (names the argument and what is allowed).
base::Result<CommandLine> parse_command_line(const std::vector<std::string>& arguments);

}  // namespace hypermesh::keeper
