// dev, dev status|start|stop|reset, uninstall: the development node of this machine.
#include "commands/development.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <filesystem>

#include "commands/all.hpp"
#include "commands/objects.hpp"
#include "output/units.hpp"
#include "session/loop.hpp"

namespace cli {
namespace {

using base::Errc;
using base::Result;
using dev::DevNode;
using dev::DevOptions;

constexpr std::string_view kDevContext = "dev";
// What this program itself keeps in a development home.
const char* const kOwnFiles[] = {"config.yaml", "completion.cache"};

Json node_json(const DevNode& node) {
  Json out = {{"name", node.name},         {"pid", node.pid},   {"state", node.state},
              {"api", node.api},           {"stoq", node.stoq}, {"dns", node.dns},
              {"home", node.home.string()}};
  if (!node.reason.empty()) out["reason"] = node.reason;
  return out;
}

Result<int> show_nodes(Session& session, const std::vector<DevNode>& nodes) {
  Document document;
  Json::array_t list;
  for (const DevNode& node : nodes) {
    list.push_back(node_json(node));
    document.names.push_back("node/" + node.name);
  }
  document.value = {
      {"apiVersion", kApiVersion}, {"kind", "DevelopmentCluster"}, {"nodes", std::move(list)}};
  document.table = [&nodes](bool wide) {
    std::vector<std::string> heads = {"NAME", "STATE", "PID", "API", "STOQ", "DNS"};
    if (wide) heads.emplace_back("HOME");
    Table table(heads);
    for (const DevNode& node : nodes) {
      std::vector<Cell> row = {node.name,
                               {node.state, node.state == "Ready" ? Tone::Good : Tone::Warn},
                               node.pid > 0 ? std::to_string(node.pid) : "",
                               node.api,
                               node.stoq,
                               node.dns};
      if (wide) row.emplace_back(node.home.string());
      table.row(std::move(row));
    }
    return table;
  };
  document.when_empty = fmt::format("no development node in {}", session.development_home());
  return session.show(document);
}

// Without HM_HOME the cluster becomes a context, so that other commands find it.
Result<> remember_context(Session& session) {
  if (!session.environment().get("HM_HOME").empty()) return {};
  TRY(Contexts contexts, session.load_contexts());
  if (contexts.find(kDevContext) != nullptr) return {};
  contexts.entries.push_back(
      Context{.name = std::string(kDevContext), .home = session.development_home()});
  if (contexts.current.empty()) contexts.current = kDevContext;
  return session.save_contexts(contexts);
}

Result<> forget_context(Session& session) {
  if (!session.environment().get("HM_HOME").empty()) return {};
  TRY(Contexts contexts, session.load_contexts());
  const Context* found = contexts.find(kDevContext);
  if (found == nullptr || found->home != session.development_home()) return {};
  std::erase_if(contexts.entries,
                [](const Context& context) { return context.name == kDevContext; });
  if (contexts.current == kDevContext) contexts.current.clear();
  return session.save_contexts(contexts);
}

void greet(Session& session, const std::vector<DevNode>& nodes) {
  Console& console = session.console();
  for (const DevNode& node : nodes) {
    console.say(Outcome::Done, fmt::format("{}   api {}   stoq {}   dns {}", node.name, node.api,
                                           node.stoq, node.dns));
  }
  if (console.quiet()) return;
  console.say(Outcome::Note, "one replica: no fault is tolerated (f=0)");
  const std::string state = session.development_home();
  console.err(fit(
      console.err_look(),
      fmt::format("\n  Try         hm deploy demo      first application, no download\n  Watch     "
                  "  hm top\n  Stop        {} (state is kept in {})\n  Remove      hm dev reset\n",
                  session.detach() ? "hm dev stop" : "Ctrl-C", state)));
}

Result<int> run_up(Session& session, const Arguments&) {
  DevOptions options = development_options(session);
  options.progress = [&](std::string_view step, std::chrono::milliseconds took) {
    session.console().say(Outcome::Done, fmt::format("{}   ready   {} ms", step, took.count()));
  };
  TRY(const std::vector<DevNode> nodes, dev::dev_up(options));
  TRY_DO(remember_context(session));
  greet(session, nodes);
  if (session.format().for_programs()) TRY_DO(show_nodes(session, nodes));
  session.console().flush();
  if (session.detach()) return 0;
  // In the foreground until Ctrl-C; the node itself does not need us.
  watch_for_interrupt();
  while (!interrupted()) poll(nullptr, 0, 500);
  session.console().err("\n");
  TRY_DO(dev::dev_stop_all(options, false));
  session.console().say(Outcome::Done,
                        fmt::format("stopped; state is kept in {}", options.home.string()));
  return 0;
}

Result<int> run_status(Session& session, const Arguments&) {
  TRY(const std::vector<DevNode> nodes, dev::dev_status(development_options(session)));
  return show_nodes(session, nodes);
}

Result<int> run_start(Session& session, const Arguments& arguments) {
  const DevOptions options = development_options(session);
  std::vector<DevNode> nodes;
  if (arguments.words().empty()) {
    TRY(nodes, dev::dev_up(options));
  } else {
    TRY(DevNode node, dev::dev_start(options, arguments.word(0)));
    nodes.push_back(std::move(node));
  }
  for (const DevNode& node : nodes)
    session.console().say(Outcome::Done,
                          fmt::format("{}   {}   api {}", node.name, node.state, node.api));
  return session.format().for_programs() ? show_nodes(session, nodes) : Result<int>(0);
}

Result<int> run_stop(Session& session, const Arguments& arguments) {
  const DevOptions options = development_options(session);
  const bool power_off = arguments.has("power-off");
  if (arguments.words().empty()) {
    TRY_DO(dev::dev_stop_all(options, power_off));
  } else {
    TRY_DO(dev::dev_stop(options, arguments.word(0), power_off));
  }
  session.console().say(
      Outcome::Done,
      fmt::format("{}stopped; state is kept in {}",
                  arguments.words().empty() ? "" : arguments.word(0) + " ", options.home.string()));
  return 0;
}

Result<> reset_development(Session& session, const DevOptions& options) {
  TRY_DO(dev::dev_reset(options, {std::begin(kOwnFiles), std::end(kOwnFiles)}));
  TRY_DO(forget_context(session));
  if (session.environment().get("HM_HOME").empty()) {
    // The default home is ours alone.
    std::error_code ignored;
    std::filesystem::remove(options.home, ignored);
    std::filesystem::remove(options.home.parent_path(), ignored);
  }
  return {};
}

Result<int> run_reset(Session& session, const Arguments&) {
  const DevOptions options = development_options(session);
  TRY(const std::vector<DevNode> nodes, dev::dev_status(options));
  Plan plan{options.home.string(), "everything that hm dev made on this machine", {}};
  for (const DevNode& node : nodes)
    plan.lines.push_back(
        {PlanLine::Mark::Remove, "node/" + node.name, "its containers, images and state"});
  TRY(const bool go, session.decide(plan));
  if (!go) return 0;
  // Also without a node in sight: what a kill left behind has no name in the home.
  TRY_DO(reset_development(session, options));
  session.console().say(Outcome::Done, "nothing is left");
  return 0;
}

Result<int> run_uninstall(Session& session, const Arguments&) {
  const DevOptions options = development_options(session);
  const std::string contexts = session.contexts_file();
  const std::string cache = session.cache_file();
  Plan plan{"this user on this machine",
            "",
            {{PlanLine::Mark::Remove, "development", options.home.string()}}};
  for (const std::string& file : {contexts, cache}) {
    if (std::filesystem::exists(file)) plan.lines.push_back({PlanLine::Mark::Remove, "file", file});
  }
  TRY(const bool go, session.decide(plan));
  if (!go) return 0;
  TRY_DO(reset_development(session, options));
  for (const std::string& file : {contexts, cache}) {
    std::error_code ignored;
    std::filesystem::remove(file, ignored);
    std::filesystem::remove(std::filesystem::path(file).parent_path(),
                            ignored);  // only when it is empty
  }
  session.console().say(
      Outcome::Done,
      fmt::format("nothing is left but the programs: {}",
                  std::filesystem::path(session.environment().executable).parent_path().string()));
  if (std::filesystem::exists("/etc/hypermesh") || std::filesystem::exists("/var/lib/hypermesh")) {
    session.console().say(
        Outcome::Note,
        "the node of this machine stays: its package removes it (apt purge hypermesh)");
  }
  return 0;
}

constexpr Argument kNode[] = {{"NODE", false, false, Completes::Node}};
constexpr Flag kStopFlags[] = {
    {"power-off", '\0', "",
     "end everything at once, containers included, as a loss of power would"}};
constexpr Example kUpExamples[] = {{"hm dev", "in the foreground; Ctrl-C stops it"},
                                   {"hm dev --detach", "returns when the node is ready"}};
constexpr Example kStatusExamples[] = {{"hm dev status -o json", ""}};
constexpr Example kStartExamples[] = {{"hm dev start", "what was stopped or killed"}};
constexpr Example kStopExamples[] = {{"hm dev stop", "state stays"},
                                     {"hm dev stop n1 --power-off", "what a power failure does"}};
constexpr Example kResetExamples[] = {{"hm dev reset -y", ""}};
constexpr Example kUninstallExamples[] = {{"hm uninstall", ""}};

}  // namespace

DevOptions development_options(const Session& session) {
  DevOptions options;
  options.home = session.development_home();
  if (session.timeout_given())
    options.ready_limit = std::chrono::duration_cast<std::chrono::milliseconds>(session.timeout());
  for (const auto& [name, value] : session.environment().variables)
    options.environment.push_back(fmt::format("{}={}", name, value));
  return options;
}

constinit const Command kDevUp = {.path = "dev",
                                  .summary = "start a development node on this machine",
                                  .description =
                                      "The node is a host of its own: network and mount namespace, "
                                      "addresses that this machine has a route to.\n"
                                      "What was killed is started again. State lies in HM_HOME, "
                                      "else in ~/.local/state/hypermesh/dev; logs go to\n"
                                      "files there. Needs root and no network.",
                                  .examples = kUpExamples,
                                  .acts_at_once = true,
                                  .run = run_up};
constinit const Command kDevStatus = {.path = "dev status",
                                      .summary = "the development node: state, process, addresses",
                                      .description = "",
                                      .examples = kStatusExamples,
                                      .run = run_status};
constinit const Command kDevStart = {.path = "dev start",
                                     .summary = "start what was stopped or killed",
                                     .description = "",
                                     .arguments = kNode,
                                     .examples = kStartExamples,
                                     .acts_at_once = true,
                                     .run = run_start};
constinit const Command kDevStop = {.path = "dev stop",
                                    .summary = "stop the development node, with its containers",
                                    .description = "State stays; hm dev starts it again.",
                                    .arguments = kNode,
                                    .flags = kStopFlags,
                                    .examples = kStopExamples,
                                    .acts_at_once = true,
                                    .run = run_stop};
constinit const Command kDevReset = {.path = "dev reset",
                                     .summary = "remove everything that hm dev made",
                                     .description =
                                         "Processes, containers, state, mounts, namespaces, links, "
                                         "routes, tables and cgroups; also after a kill.",
                                     .examples = kResetExamples,
                                     .run = run_reset};
constinit const Command kUninstall = {.path = "uninstall",
                                      .summary = "remove every trace of this program but itself",
                                      .description =
                                          "The development node with everything it made, contexts "
                                          "and caches. The programs belong to their package.",
                                      .examples = kUninstallExamples,
                                      .run = run_uninstall};

}  // namespace cli
