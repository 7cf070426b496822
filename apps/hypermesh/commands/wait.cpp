#include <fmt/format.h>

#include <algorithm>

#include "commands/all.hpp"
#include "commands/objects.hpp"
#include "output/jsonpath.hpp"
#include "output/units.hpp"

namespace cli {
namespace {

using namespace std::chrono_literals;
using base::Errc;
using base::Result;

// --for=condition=NAME[=VALUE] | delete | create | jsonpath=PATH[=VALUE]
struct Goal {
  enum class Kind { Condition, Delete, Create, Path } kind = Kind::Condition;
  std::string name, value = "True";
  bool any_value = false;
  JsonPath path;
};

bool equal_without_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(
      a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

Result<Goal> parse_goal(const std::string& text) {
  Goal goal;
  if (text == "delete" || text == "create") {
    goal.kind = text == "delete" ? Goal::Kind::Delete : Goal::Kind::Create;
    return goal;
  }
  const std::size_t equals = text.find('=');
  const std::string word = text.substr(0, equals);
  std::string rest = equals == std::string::npos ? "" : text.substr(equals + 1);
  if ((word != "condition" && word != "jsonpath") || rest.empty()) {
    return base::fail(
        Errc::InvalidArgument,
        fmt::format("--for is \"{}\"; want delete, create, condition=NAME or jsonpath=PATH=VALUE",
                    text));
  }
  if (word == "condition") {
    const std::size_t value = rest.find('=');
    goal.name = rest.substr(0, value);
    if (value != std::string::npos) goal.value = rest.substr(value + 1);
    return goal;
  }
  goal.kind = Goal::Kind::Path;
  // The value follows the last "=" outside of braces.
  const std::size_t brace = rest.rfind('}');
  const std::size_t value = rest.find('=', brace == std::string::npos ? 0 : brace);
  goal.any_value = value == std::string::npos;
  if (!goal.any_value) goal.value = rest.substr(value + 1);
  TRY(goal.path, JsonPath::parse(std::string_view(rest).substr(0, value)));
  return goal;
}

Result<bool> is_reached(const Goal& goal, const Result<Json>& object) {
  if (!object && object.error().code != Errc::NotFound) return std::unexpected(object.error());
  switch (goal.kind) {
    case Goal::Kind::Delete:
      return !object;
    case Goal::Kind::Create:
      return object.has_value();
    case Goal::Kind::Condition: {
      TRY_DO(object);
      for (const Json& condition : list_at(*object, {"status", "conditions"})) {
        if (equal_without_case(text_at(condition, {"type"}), goal.name))
          return equal_without_case(text_at(condition, {"status"}), goal.value);
      }
      return false;
    }
    case Goal::Kind::Path: {
      TRY_DO(object);
      TRY(const std::string value, goal.path.render(*object));
      return goal.any_value ? !value.empty() : value == goal.value;
    }
  }
  return false;
}

Result<int> run(Session& session, const Arguments& arguments) {
  TRY(auto objects, parse_objects(arguments.words()));
  if (!arguments.has("for"))
    return std::unexpected(
        base::with_hint(base::make_error(Errc::InvalidArgument, "--for says what to wait for"),
                        "hm wait deployment/web --for=condition=Available"));
  TRY(const Goal goal, parse_goal(arguments.text("for")));
  TRY(Api * api, session.api());
  TRY(const std::string name_space, session.name_space());
  const auto start = session.clock().now();
  const base::Duration limit = session.timeout();
  // A kind alone means every object that there is now.
  std::vector<ObjectName> all;
  for (const ObjectName& object : objects) {
    if (!object.name.empty()) {
      all.push_back(object);
      continue;
    }
    TRY(const auto items,
        list_all(*api, *object.kind, name_space, {{"labelSelector", arguments.text("selector")}}));
    for (const Json& item : items)
      all.push_back({object.kind, text_at(item, {"metadata", "name"})});
  }
  if (all.empty())
    return base::fail(Errc::NotFound, fmt::format("no {} to wait for in namespace {}",
                                                  objects.front().kind->plural, name_space));
  std::optional<base::MonotonicTime> away;  // since the node does not answer
  for (const ObjectName& object : all) {
    for (std::string version;;) {
      auto listed = list_version(*api, *object.kind, name_space);
      auto reached =
          listed ? is_reached(goal, api->get(kind_path(*object.kind, name_space, object.name)))
                 : Result<bool>(std::unexpected(listed.error()));
      if (reached && *reached) break;
      if (reached) {
        version = *std::move(listed);
        away.reset();
      } else {
        if (!away) away = session.clock().now();
        if (reached.error().code != Errc::Unavailable || session.clock().now() - *away > kAwayMax)
          return std::unexpected(std::move(reached).error());
      }
      const auto left = start + limit - session.clock().now();
      if (left <= base::Duration::zero()) {
        return std::unexpected(base::with_hint(
            base::make_error(Errc::TimedOut, fmt::format("{}: {} not within {}", object.text(),
                                                         arguments.text("for"), show_took(limit))),
            fmt::format("hm why {}", object.name)));
      }
      session.console().board().update(object.text(), "waiting for " + arguments.text("for"));
      TRY_DO(api->wait_change(kind_path(*object.kind, name_space, "",
                                        {{"fieldSelector", "metadata.name=" + object.name}}),
                              version, left));
    }
    session.console().board().remove(object.text());
    if (!session.format().for_programs())
      session.console().out(fmt::format("{} {}\n", object.text(),
                                        goal.kind == Goal::Kind::Delete   ? "deleted"
                                        : goal.kind == Goal::Kind::Create ? "exists"
                                                                          : "condition met"));
  }
  if (!session.format().for_programs()) return 0;
  Document document;
  Json::array_t items;
  for (const ObjectName& object : all) {
    items.push_back({{"object", object.text()}, {"met", true}});
    document.names.push_back(object.text());
  }
  document.value = list_json("WaitList", std::move(items));
  return session.show(document);
}

constexpr Argument kArguments[] = {{"KIND", true, false, Completes::Kind},
                                   {"NAME", false, true, Completes::NameOfKind}};
constexpr Flag kFlags[] = {
    {"for", '\0', "GOAL", "condition=NAME[=VALUE], delete, create, or jsonpath=PATH[=VALUE]"},
    {"selector", 'l', "SELECTOR", "of a kind without names: only objects with these labels"},
};
constexpr Example kExamples[] = {
    {"hm wait deployment/web --for=condition=Available --timeout 2m", ""},
    {"hm wait pod/job-1 --for=jsonpath='{.status.phase}'=Succeeded", ""}};

}  // namespace

constinit const Command kWait = {.path = "wait",
                                 .summary = "wait until objects are in a state",
                                 .description = "Exit 5 when --timeout (5m) passes first.",
                                 .arguments = kArguments,
                                 .flags = kFlags,
                                 .examples = kExamples,
                                 .run = run};

}  // namespace cli
