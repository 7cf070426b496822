#pragma once

// Which cluster a command talks to: --context, else HM_HOME, else the context of HM_CONTEXT or of
// the contexts file, else the node of this machine (docs/operating/cli.md).

#include <base/error.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cli {

/// An entry of the contexts file. One of `home`, `socket`, `server` is not empty.
struct Context {
  std::string name;
  std::string home;                  ///< Folder of a development cluster.
  std::string socket;                ///< Unix socket of a node.
  std::vector<std::string> servers;  ///< "https://[fd00::1]:8443": nodes of one cluster.
  std::string token_file;            ///< Of `server`.
  std::string certificate_file;
  std::string name_space;  ///< Empty: "default".
};
struct Contexts {
  std::string current;
  std::vector<Context> entries;
  const Context* find(std::string_view name) const;
};
/// `file` is what errors call it. Errors: InvalidArgument (with file and line).
base::Result<Contexts> parse_contexts(std::string_view text, std::string_view file);
std::string format_contexts(const Contexts& contexts);

/// Where the node of this machine answers.
inline constexpr std::string_view kSystemSocket = "/run/hypermesh/api.sock";

struct TargetQuestion {
  std::string context_flag;      ///< --context
  std::string home;              ///< HM_HOME
  std::string context_variable;  ///< HM_CONTEXT
  Contexts contexts;
};
struct Target {
  std::string name;  ///< For messages: "HM_HOME=/tmp/x", "context prod", "this machine".
  Context context;   ///< Where to find it; its namespace.
};
/// Errors: NotFound (no such context, with the nearest), InvalidArgument.
base::Result<Target> resolve_target(const TargetQuestion& question);

/// "https://[fd00::1]:8443" taken apart. Errors: InvalidArgument.
struct ServerAddress {
  std::string address;
  std::uint16_t port = 8443;
};
base::Result<ServerAddress> parse_server(std::string_view text);

}  // namespace cli
