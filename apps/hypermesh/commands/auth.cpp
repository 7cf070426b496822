// auth whoami, auth can-i.
#include <fmt/format.h>

#include "commands/all.hpp"
#include "commands/objects.hpp"

namespace cli {
namespace {

using base::Result;

Result<int> run_whoami(Session& session, const Arguments&) {
  TRY(Api * api, session.api());
  TRY(const Json answer, api->get(own_path({"whoami"})));
  TRY(const Target* target, session.target());
  Document document;
  document.value = answer;
  document.value.emplace("apiVersion", kApiVersion);
  document.value.emplace("kind", "WhoAmI");
  document.names = {text_at(answer, {"user"})};
  document.table = [&](bool) {
    Table table({"USER", "ROLE", "FROM", "CLUSTER"});
    table.row({text_at(answer, {"user"}), text_at(answer, {"role"}), text_at(answer, {"origin"}),
               target->name});
    return table;
  };
  return session.show(document);
}

Result<int> run_can_i(Session& session, const Arguments& arguments) {
  TRY(Api * api, session.api());
  TRY(const std::string name_space, session.name_space());
  std::string kind = arguments.word(1), part;
  if (const std::size_t slash = kind.find('/'); slash != std::string::npos) {
    part = kind.substr(slash + 1);
    kind.resize(slash);
  }
  TRY(const KindInfo* info, nexus::manifest::resolve_kind(kind));
  TRY(const Json answer, api->get(own_path({"can-i"}, {{"verb", arguments.word(0)},
                                                       {"kind", std::string(info->plural)},
                                                       {"namespace", name_space},
                                                       {"subresource", part}})));
  const bool allowed = flag_at(answer, {"allowed"});
  Document document;
  document.value = answer;
  document.value.emplace("apiVersion", kApiVersion);
  document.value.emplace("kind", "Access");
  document.names = {allowed ? "yes" : "no"};
  if (session.format().for_programs()) {
    TRY_DO(session.show(document));
  } else {
    session.console().out(
        fmt::format("{}   {}\n", allowed ? "yes" : "no", printable(text_at(answer, {"reason"}))));
  }
  return allowed ? 0 : 6;
}

constexpr Argument kCanIArguments[] = {
    {"VERB", true, false, Completes::Nothing,
     "get|list|watch|create|update|patch|delete|deletecollection"},
    {"KIND", true, false, Completes::Kind}};
constexpr Example kWhoamiExamples[] = {{"hm auth whoami", ""}};
constexpr Example kCanIExamples[] = {{"hm auth can-i delete secrets -n prod", "exit 6 when not"},
                                     {"hm auth can-i create pods/exec --as view", ""}};

}  // namespace

constinit const Command kAuthWhoami = {.path = "auth whoami",
                                       .summary = "who the node takes one for",
                                       .description = "",
                                       .examples = kWhoamiExamples,
                                       .run = run_whoami};
constinit const Command kAuthCanI = {
    .path = "auth can-i",
    .summary = "whether one may do something",
    .description =
        "KIND may name a part: pods/exec, pods/log, deployments/scale. Exit 0 for yes, 6 for no.",
    .arguments = kCanIArguments,
    .examples = kCanIExamples,
    .run = run_can_i};

}  // namespace cli
