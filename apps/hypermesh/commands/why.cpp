#include <fmt/format.h>

#include <algorithm>

#include "commands/all.hpp"
#include "commands/objects.hpp"

namespace cli {
namespace {

using base::Errc;
using base::Result;

// The first kind that has an object of this name; pods first, since they are what people ask about.
constexpr std::string_view kOrder[] = {"Pod", "Deployment", "Job", "ReplicaSet", "Service", "Node"};

Result<Json> ask(Api& api, const std::string& name_space, const std::string& kind,
                 const std::string& name) {
  return api.get(own_path({"why", name_space, kind, name}));
}

Result<Json> find_answer(Session& session, Api& api, const std::string& name_space,
                         const Arguments& arguments) {
  const auto& words = arguments.words();
  if (words.size() == 2 || words[0].find('/') != std::string::npos) {
    TRY(const auto objects, parse_objects(words));
    if (objects.size() != 1 || objects.front().name.empty())
      return base::fail(Errc::InvalidArgument, "hm why explains one object at a time");
    auto answer =
        ask(api, name_space, std::string(objects.front().kind->plural), objects.front().name);
    if (!answer)
      return std::unexpected(
          with_nearest_name(session, api, objects.front(), name_space, std::move(answer).error()));
    return answer;
  }
  for (const std::string_view kind : kOrder) {
    auto answer = ask(api, name_space, std::string(kind_named(kind).plural), words[0]);
    if (answer || answer.error().code != Errc::NotFound) return answer;
  }
  // Says what there is instead.
  const auto pods = pods_of(session, api, name_space, words[0]);
  return std::unexpected(
      pods ? base::make_error(
                 Errc::NotFound,
                 fmt::format("nothing is known about \"{}\" in namespace {}", words[0], name_space))
           : pods.error());
}

std::string render(const Json& answer, const Look& look, const base::Clock& clock) {
  const std::string state = text_at(answer, {"state"});
  std::string out = printable(text_at(answer, {"object"})) +
                    (state.empty() ? "" : "  " + paint(look, Tone::Bold, printable(state)));
  if (const std::string since = age_of(clock, text_at(answer, {"since"})); !since.empty())
    out += fmt::format("  for {}", since);
  out += "\n";
  if (const std::string summary = text_at(answer, {"summary"}); !summary.empty())
    out += fit(look, printable(summary)) + "\n";
  for (const Json& reason : list_at(answer, {"reasons"})) {
    if (reason.is_string()) out += "  " + fit(look, printable(reason.get<std::string>())) + "\n";
  }
  std::string hints;
  for (const Json& hint : list_at(answer, {"hints"})) {
    if (hint.is_string())
      hints +=
          (hints.empty() ? "try   " : "   or   ") + fit(look, printable(hint.get<std::string>()));
  }
  return hints.empty() ? out : out + hints + "\n";
}

Result<int> run(Session& session, const Arguments& arguments) {
  TRY(Api * api, session.api());
  TRY(const std::string name_space, session.name_space());
  TRY(const Json answer, find_answer(session, *api, name_space, arguments));
  if (!session.format().for_programs()) {
    session.console().out(render(answer, session.console().out_look(), session.clock()));
    return 0;
  }
  Document document;
  document.value = answer;
  document.value.emplace("apiVersion", kApiVersion);
  document.names = {text_at(answer, {"object"})};
  return session.show(document);
}

constexpr Argument kArguments[] = {{"NAME", true, true, Completes::Workload}};
constexpr Example kExamples[] = {{"hm why web", "a pod, a workload or a service by its name"},
                                 {"hm why pod job-9-q2ww", ""}};

}  // namespace

constinit const Command kWhy = {
    .path = "why",
    .summary = "why something is pending, restarting, not ready or gone",
    .description =
        "Says in words what holds the object up, since when, and what to do about it. NAME may be "
        "KIND/NAME, or\n"
        "KIND NAME; a name alone is looked for among pods, deployments, jobs, replica sets, "
        "services and nodes.",
    .arguments = kArguments,
    .examples = kExamples,
    .run = run};

}  // namespace cli
