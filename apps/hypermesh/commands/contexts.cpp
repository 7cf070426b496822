// context ls, use, add, rm.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "commands/all.hpp"
#include "output/suggest.hpp"
#include "session/session.hpp"

namespace cli {
namespace {

using base::Errc;
using base::Result;

std::string where_of(const Context& context) {
  if (!context.home.empty()) return context.home;
  if (!context.socket.empty()) return "unix:" + context.socket;
  return fmt::format("{}", fmt::join(context.servers, " "));
}

std::unexpected<base::Error> no_such_context(const Contexts& contexts, const std::string& name) {
  std::vector<std::string_view> names;
  for (const Context& context : contexts.entries) names.push_back(context.name);
  std::string message = fmt::format("no context \"{}\"", name);
  if (const std::string near = suggest(name, names); !near.empty())
    message += fmt::format("; did you mean \"{}\"?", near);
  return std::unexpected(
      base::with_hint(base::make_error(Errc::NotFound, std::move(message)), "hm context ls"));
}

Result<int> run_ls(Session& session, const Arguments&) {
  TRY(const Contexts contexts, session.load_contexts());
  const auto target = session.target();
  Json::array_t items;
  for (const Context& context : contexts.entries) {
    items.push_back({{"name", context.name},
                     {"current", target && (*target)->context.name == context.name},
                     {"where", where_of(context)},
                     {"namespace", context.name_space}});
  }
  // What is used without any context is shown as well, so that the list always says where commands
  // go.
  if (target && contexts.find((*target)->context.name) == nullptr) {
    items.push_back({{"name", (*target)->context.name},
                     {"current", true},
                     {"where", where_of((*target)->context)},
                     {"namespace", ""}});
  }
  Document document;
  document.value = list_json("ContextList", items);
  for (const Json& item : items) document.names.push_back(text_at(item, {"name"}));
  document.table = [items](bool) {
    Table table({"CURRENT", "NAME", "WHERE", "NAMESPACE"});
    for (const Json& item : items) {
      table.row({flag_at(item, {"current"}) ? "*" : "", text_at(item, {"name"}),
                 text_at(item, {"where"}), text_at(item, {"namespace"})});
    }
    return table;
  };
  return session.show(document);
}

Result<int> run_use(Session& session, const Arguments& arguments) {
  TRY(Contexts contexts, session.load_contexts());
  if (contexts.find(arguments.word(0)) == nullptr)
    return no_such_context(contexts, arguments.word(0));
  contexts.current = arguments.word(0);
  TRY_DO(session.save_contexts(contexts));
  session.console().say(Outcome::Done, fmt::format("context {}", contexts.current));
  if (!session.environment().get("HM_HOME").empty())
    session.console().say(Outcome::Note, "HM_HOME is set and comes before any context");
  return 0;
}

Result<int> run_add(Session& session, const Arguments& arguments) {
  TRY(Contexts contexts, session.load_contexts());
  Context context;
  context.name = arguments.word(0);
  if (contexts.find(context.name) != nullptr) {
    return std::unexpected(base::with_hint(
        base::make_error(Errc::AlreadyExists, fmt::format("context \"{}\" exists", context.name)),
        fmt::format("hm context rm {}", context.name)));
  }
  const auto absolute = [](const std::string& path) {
    return path.empty() ? path : std::filesystem::absolute(path).lexically_normal().string();
  };
  context.home = absolute(arguments.text("home"));
  context.token_file = absolute(arguments.text("token-file"));
  context.certificate_file = absolute(arguments.text("certificate-file"));
  context.name_space = arguments.text("default-namespace");
  for (const std::string& server : arguments.all("server")) {
    if (server.starts_with("unix:")) {
      context.socket = absolute(server.substr(5));
      continue;
    }
    TRY_DO(parse_server(server));
    context.servers.push_back(server);
  }
  const int ways =
      int{!context.home.empty()} + int{!context.socket.empty()} + int{!context.servers.empty()};
  if (ways != 1)
    return base::fail(
        Errc::InvalidArgument,
        "want one of --server https://[ADDRESS]:8443, --server unix:PATH and --home FOLDER");
  if (!context.servers.empty() &&
      (context.token_file.empty() || context.certificate_file.empty())) {
    return base::fail(Errc::InvalidArgument,
                      "a server over HTTPS wants --token-file and --certificate-file (api.token "
                      "and api.crt of the node)");
  }
  if (contexts.current.empty()) contexts.current = context.name;
  contexts.entries.push_back(context);
  TRY_DO(session.save_contexts(contexts));
  session.console().say(Outcome::Done,
                        fmt::format("context {} added{}", context.name,
                                    contexts.current == context.name ? " and in use" : ""));
  return 0;
}

Result<int> run_rm(Session& session, const Arguments& arguments) {
  TRY(Contexts contexts, session.load_contexts());
  if (contexts.find(arguments.word(0)) == nullptr)
    return no_such_context(contexts, arguments.word(0));
  const Plan plan{session.contexts_file(),
                  "",
                  {{PlanLine::Mark::Remove, "context/" + arguments.word(0),
                    where_of(*contexts.find(arguments.word(0)))}}};
  TRY(const bool go, session.decide(plan));
  if (!go) return 0;
  std::erase_if(contexts.entries,
                [&](const Context& context) { return context.name == arguments.word(0); });
  if (contexts.current == arguments.word(0)) contexts.current.clear();
  TRY_DO(session.save_contexts(contexts));
  session.console().say(Outcome::Done, fmt::format("context {} removed", arguments.word(0)));
  return 0;
}

constexpr Argument kName[] = {{"NAME", true, false, Completes::Context}};
constexpr Argument kNewName[] = {{"NAME"}};
constexpr Flag kAddFlags[] = {
    {"server", '\0', "ADDRESS",
     "https://[ADDRESS]:8443 or unix:PATH of a node; several for several nodes", true},
    {"home", '\0', "FOLDER", "folder of a development cluster", false, {}, Completes::Folder},
    {"token-file", '\0', "FILE", "file with the token", false, {}, Completes::File},
    {"certificate-file",
     '\0',
     "FILE",
     "the node's certificate, which is the only one accepted",
     false,
     {},
     Completes::File},
    {"default-namespace", '\0', "NS", "namespace of commands without -n"},
};
constexpr Example kLsExamples[] = {{"hm context ls", ""}};
constexpr Example kUseExamples[] = {{"hm context use prod", ""}};
constexpr Example kAddExamples[] = {
    {"hm context add prod --server https://[2001:db8::11]:8443 --token-file prod.token "
     "--certificate-file prod.crt",
     ""}};
constexpr Example kRmExamples[] = {{"hm context rm prod", ""}};

}  // namespace

constinit const Command kContextLs = {.path = "context ls",
                                      .summary = "known clusters, and which one is used",
                                      .description = "",
                                      .examples = kLsExamples,
                                      .run = run_ls};
constinit const Command kContextUse = {.path = "context use",
                                       .summary = "choose the cluster of later commands",
                                       .description = "",
                                       .arguments = kName,
                                       .examples = kUseExamples,
                                       .acts_at_once = true,
                                       .run = run_use};
constinit const Command kContextAdd = {.path = "context add",
                                       .summary = "make a cluster known",
                                       .description =
                                           "The order is --context, HM_HOME, HM_CONTEXT or the "
                                           "context in use, and then the node of this machine.",
                                       .arguments = kNewName,
                                       .flags = kAddFlags,
                                       .examples = kAddExamples,
                                       .acts_at_once = true,
                                       .run = run_add};
constinit const Command kContextRm = {.path = "context rm",
                                      .summary = "forget a cluster",
                                      .description = "",
                                      .arguments = kName,
                                      .examples = kRmExamples,
                                      .run = run_rm};

}  // namespace cli
