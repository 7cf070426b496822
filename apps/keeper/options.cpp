#include "options.hpp"

#include <fmt/format.h>
#include <pwd.h>

#include <charconv>

namespace hypermesh::keeper {

const char* const kUsage =
    "usage: hypermesh-keeper [cleanup] --node-home DIR [options]\n"
    "\n"
    "Keeps the containers of one node. Runs as root until SIGTERM, which ends the containers as "
    "well.\n"
    "\n"
    "  cleanup             end what a keeper of this node left on the machine, and stop\n"
    "  --node-home DIR     the node's folder, which holds node.json\n"
    "  --isolate           give the node network and mounts of its own (a development node);\n"
    "                      without it a link hm-... of this keeper holds the node's addresses\n"
    "  --daemon-uid UID    who besides root may speak to the keeper (default: user hypermesh, else "
    "root)\n"
    "  --daemon-gid GID    who may read logs (default: that user's group, else UID)\n"
    "  --state DIR         records, layers, volumes, logs (default: DIR/keeper in the node's "
    "home)\n"
    "  --run DIR           what need not outlive the machine (default: /run/hypermesh-keeper)\n"
    "  --socket PATH       where to listen (default: run/keeper.sock in the node's home)\n"
    "  --oci-runtime NAME  crun, runc or a path; may be given again (default: crun, then runc)\n"
    "  --allow-host-users  pods may have the machine's users instead of their own\n"
    "  --allow-privileged  with the machine's users, containers may be privileged: root of the "
    "machine\n"
    "  --allow-host-path DIR  hostPath volumes may lie in DIR; may be given again\n"
    "  --id-base N         first of 16,777,216 ids of users that belong to containers (default: "
    "1342177280)\n"
    "  --log-levels SPEC   debug, info, warning, error, or component=level,... (default: info)\n"
    "  --help, --version\n";

namespace {

std::unexpected<base::Error> wrong(std::string message) {
  return std::unexpected(
      base::with_hint(base::make_error(base::Errc::InvalidArgument, std::move(message)),
                      "see hypermesh-keeper --help"));
}

base::Result<std::uint32_t> number(const std::string& option, const std::string& text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc{} && end == text.data() + text.size() && !text.empty()) return value;
  return wrong(fmt::format("{} is \"{}\"; must be a number", option, text));
}

/// Ids of containers must be nobody else's: above what distributions give to people, below what
/// they call invalid.
constexpr std::uint32_t kIdBaseMin = 1u << 20, kIdBaseMax = 0x7e00'0000;

base::Result<> complete(CommandLine& line, bool uid_given, bool gid_given, bool oci_given) {
  if (!oci_given) line.oci_runtimes = {"crun", "runc"};
  if (line.node_home.empty()) return wrong("--node-home is missing");
  if (!line.node_home.is_absolute())
    return wrong(
        fmt::format("--node-home is \"{}\"; must be an absolute path", line.node_home.string()));
  for (const auto& [option, path] :
       {std::pair{"--state", &line.state}, std::pair{"--run", &line.run},
        std::pair{"--socket", &line.socket}}) {
    // Folders are made and emptied there: never a whole top-level one.
    if (path->empty() ||
        (path->is_absolute() && path->has_filename() && path->parent_path() != path->root_path()))
      continue;
    return wrong(
        fmt::format("{} is \"{}\"; must be an absolute path below a top-level folder, "
                    "without a slash at its end",
                    option, path->string()));
  }
  if (line.id_base < kIdBaseMin || line.id_base > kIdBaseMax || line.id_base % 65'536 != 0) {
    return wrong(fmt::format("--id-base is {}; must be a multiple of 65536 from {} to {}",
                             line.id_base, kIdBaseMin, kIdBaseMax));
  }
  const passwd* user = uid_given ? nullptr : ::getpwnam("hypermesh");
  if (user) {
    line.daemon_uid = user->pw_uid;
    if (!gid_given) line.daemon_gid = user->pw_gid;
  } else if (!gid_given) {
    line.daemon_gid = line.daemon_uid;
  }
  return {};
}

}  // namespace

base::Result<CommandLine> parse_command_line(const std::vector<std::string>& arguments) {
  CommandLine line;
  line.oci_runtimes.clear();
  bool uid_given = false, gid_given = false;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& option = arguments[i];
    if (option == "cleanup" && i == 0) {
      line.action = CommandLine::Action::Cleanup;
      continue;
    }
    if (option == "--help" || option == "--version") {
      line.action = option == "--help" ? CommandLine::Action::Help : CommandLine::Action::Version;
      return line;
    }
    if (option == "--isolate") {
      line.isolate = true;
      continue;
    }
    if (option == "--allow-host-users" || option == "--allow-privileged") {
      (option == "--allow-host-users" ? line.access.host_users : line.access.privileged) = true;
      continue;
    }
    if (i + 1 >= arguments.size())
      return wrong(fmt::format("\"{}\" is unknown or lacks its value", option));
    const std::string& value = arguments[++i];
    if (option == "--node-home") {
      line.node_home = value;
    } else if (option == "--daemon-uid") {
      TRY(line.daemon_uid, number(option, value));
      uid_given = true;
    } else if (option == "--daemon-gid") {
      TRY(line.daemon_gid, number(option, value));
      gid_given = true;
    } else if (option == "--state") {
      line.state = value;
    } else if (option == "--run") {
      line.run = value;
    } else if (option == "--socket") {
      line.socket = value;
    } else if (option == "--oci-runtime") {
      line.oci_runtimes.push_back(value);
    } else if (option == "--allow-host-path") {
      if (!value.starts_with('/'))
        return wrong(fmt::format("{} is \"{}\"; must be an absolute path", option, value));
      line.access.host_paths.push_back(value);
    } else if (option == "--id-base") {
      TRY(line.id_base, number(option, value));
    } else if (option == "--log-levels") {
      line.log_levels = value;
    } else {
      return wrong(fmt::format("\"{}\" is no option of hypermesh-keeper", option));
    }
  }
  TRY_DO(complete(line, uid_given, gid_given, !line.oci_runtimes.empty()));
  return line;
}

}  // namespace hypermesh::keeper
