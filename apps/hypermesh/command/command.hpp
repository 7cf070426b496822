#pragma once

// A command as data. The parser, --help, man pages and completion all read the same table, so that
// none of them can forget a flag. The tables are constants: nothing runs before main.

#include <base/error.hpp>
#include <cstdint>
#include <span>
#include <string_view>

namespace cli {

class Session;
class Arguments;

/// What completion offers for a value.
enum class Completes : std::uint8_t {
  Nothing,
  File,
  Folder,
  Kind,        ///< deployment, service, ...
  NameOfKind,  ///< Objects of the kind that the word before names.
  Workload,    ///< Deployments, jobs and pods.
  Deployment,
  Pod,
  Node,
  Namespace,
  Context,
  Image,
  Topic,  ///< Of hm help.
  Command,
  Field,  ///< deployment.spec.replicas
};

struct Flag {
  std::string_view name;  ///< Without the dashes.
  char letter = '\0';
  std::string_view value{};  ///< "DURATION"; empty: a switch.
  std::string_view help{};
  bool repeated = false;  ///< May be given several times.
  std::string_view
      implied{};  ///< The value of a flag given without one: --dry-run is --dry-run=server.
  Completes completes = Completes::Nothing;
  std::string_view choices{};  ///< "bash|zsh|fish": nothing else is allowed.
};

struct Argument {
  std::string_view name;  ///< "NAME"
  bool required = true;
  bool repeated = false;  ///< Takes all words that are left. Only the last argument.
  Completes completes = Completes::Nothing;
  std::string_view choices{};
};

struct Example {
  std::string_view line;
  std::string_view what;
};

struct Command {
  std::string_view path;         ///< "image pull"
  std::string_view summary;      ///< One line, lower case, no full stop.
  std::string_view description;  ///< Paragraphs, separated by empty lines.
  std::span<const Argument> arguments{};
  std::span<const Flag> flags{};
  std::span<const Example> examples{};
  /// What follows "--" is a command for somewhere else: exec.
  bool takes_command = false;
  /// Not shown in lists: for scripts of our own.
  bool hidden = false;
  /// Acts without showing a plan first: --dry-run is refused, not passed over.
  bool acts_at_once = false;
  /// The exit code, or the error that decides it.
  base::Result<int> (*run)(Session& session, const Arguments& arguments) = nullptr;
};

/// Flags that every command takes.
std::span<const Flag> global_flags();

/// Every command, in the order of the overview.
std::span<const Command* const> all_commands();

/// One line for each group of commands: "image" -> "images of this node".
struct Group {
  std::string_view name;
  std::string_view summary;
};
std::span<const Group> command_groups();

/// The flag of `command` or the global one; null when there is none.
const Flag* find_flag(const Command& command, std::string_view name);

}  // namespace cli
