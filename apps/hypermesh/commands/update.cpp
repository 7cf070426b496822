#include <fmt/format.h>

#include <algorithm>
#include <manifest/quantity.hpp>

#include "commands/all.hpp"
#include "commands/rollout.hpp"
#include "commands/writes.hpp"
#include "output/suggest.hpp"

namespace cli {
namespace {

using base::Errc;
using base::Result;
using Mark = PlanLine::Mark;

// Change of one container of a template; what it says becomes a part of the plan.
class Editor {
 public:
  Editor(Json& deployment, std::string object)
      : deployment_(deployment), object_(std::move(object)) {}

  const std::vector<std::string>& changes() const { return changes_; }

  Result<Json*> container(const std::string& name) {
    Json& containers = deployment_["spec"]["template"]["spec"]["containers"];
    if (!containers.is_array() || containers.empty())
      return base::fail(Errc::DataLoss, fmt::format("{} has no containers", object_));
    if (name.empty() && containers.size() == 1) return &containers[0];
    std::vector<std::string> owned;
    for (Json& container : containers) {
      owned.push_back(text_at(container, {"name"}));
      if (owned.back() == name) return &container;
    }
    if (name.empty()) {
      return base::fail(Errc::InvalidArgument,
                        fmt::format("{} has {} containers; name one with --container: {}", object_,
                                    owned.size(), fmt::join(owned, ", ")));
    }
    const std::vector<std::string_view> names(owned.begin(), owned.end());
    const std::string near = suggest(name, names);
    return base::fail(Errc::NotFound,
                      fmt::format("{} has no container \"{}\"; {}", object_, name,
                                  near.empty() ? fmt::format("it has {}", fmt::join(owned, ", "))
                                               : fmt::format("did you mean \"{}\"?", near)));
  }

  void set(Json& place, const char* key, const Json& value, std::string_view what) {
    const std::string before = text_at(place, {key});
    const std::string after = value.is_string() ? value.get<std::string>() : value.dump();
    if (before == after) return;
    place[key] = value;
    changes_.push_back(before.empty() ? fmt::format("{} {}", what, after)
                                      : fmt::format("{} {} → {}", what, before, after));
  }

  Result<> set_env(Json& container, const std::string& word) {
    const std::size_t equals = word.find('=');
    Json& env = container["env"];
    if (!env.is_array()) env = Json::array();
    if (equals == std::string::npos) {
      if (!word.ends_with('-') || word.size() < 2)
        return base::fail(
            Errc::InvalidArgument,
            fmt::format("--env \"{}\": want NAME=VALUE, or NAME- to remove it", word));
      const std::string name = word.substr(0, word.size() - 1);
      const auto found =
          std::ranges::find_if(env, [&](const Json& e) { return text_at(e, {"name"}) == name; });
      if (found == env.end())
        return base::fail(Errc::NotFound,
                          fmt::format("{} has no environment variable {}", object_, name));
      env.erase(found);
      changes_.push_back(fmt::format("env -{}", name));
      return {};
    }
    if (equals == 0)
      return base::fail(Errc::InvalidArgument, fmt::format("--env \"{}\": want NAME=VALUE", word));
    const Json entry = {{"name", word.substr(0, equals)}, {"value", word.substr(equals + 1)}};
    const auto found = std::ranges::find_if(
        env, [&](const Json& e) { return text_at(e, {"name"}) == text_at(entry, {"name"}); });
    if (found == env.end()) {
      env.push_back(entry);
    } else if (*found == entry) {
      return {};
    } else {
      *found = entry;
    }
    // Values may be secrets: the plan names the variable only.
    changes_.push_back(fmt::format("env {}", word.substr(0, equals)));
    return {};
  }

  Result<> set_resource(Json& container, const char* resource, const std::string& amount) {
    TRY(const auto quantity, nexus::manifest::Quantity::parse(amount));
    if (quantity.is_negative() || quantity.is_zero())
      return base::fail(Errc::InvalidArgument,
                        fmt::format("--{} is {}; want more than nothing", resource, amount));
    const std::string before = text_at(container, {"resources", "limits", resource});
    container["resources"]["limits"][resource] = quantity.text();
    container["resources"]["requests"][resource] = quantity.text();
    changes_.push_back(before.empty()
                           ? fmt::format("{} {}", resource, quantity.text())
                           : fmt::format("{} {} → {}", resource, before, quantity.text()));
    return {};
  }

  // A whole number stays one, "25%" stays text.
  void set_bound(const char* key, const std::string& text, std::string_view what) {
    const bool number =
        !text.empty() && text.size() < 10 &&
        std::ranges::all_of(text, [](unsigned char c) { return std::isdigit(c) != 0; });
    set(deployment_["spec"]["strategy"]["rollingUpdate"], key,
        number ? Json(std::stol(text)) : Json(text), what);
  }

 private:
  Json& deployment_;
  std::string object_;
  std::vector<std::string> changes_;
};

Result<> edit_containers(Editor& editor, const Arguments& arguments) {
  const std::string named = arguments.text("container");
  for (const std::string& word : arguments.all("image")) {
    // "IMAGE" or "CONTAINER=IMAGE": an image's name has no "=".
    const std::size_t equals = word.find('=');
    TRY(Json * container,
        editor.container(equals == std::string::npos ? named : word.substr(0, equals)));
    editor.set(*container, "image", equals == std::string::npos ? word : word.substr(equals + 1),
               "image");
  }
  if (!arguments.has("env") && !arguments.has("cpu") && !arguments.has("memory")) return {};
  TRY(Json * container, editor.container(named));
  for (const std::string& word : arguments.all("env")) TRY_DO(editor.set_env(*container, word));
  for (const char* resource : {"cpu", "memory"}) {
    if (arguments.has(resource))
      TRY_DO(editor.set_resource(*container, resource, arguments.text(resource)));
  }
  return {};
}

Result<> edit_strategy(Editor& editor, Json& deployment, const Arguments& arguments) {
  if (arguments.has("strategy")) {
    const bool rolling = arguments.text("strategy") == "rolling";
    if (!rolling && (arguments.has("surge") || arguments.has("unavailable"))) {
      return base::fail(Errc::InvalidArgument,
                        "--surge and --unavailable are for --strategy rolling");
    }
    if (!rolling && deployment["spec"]["strategy"].is_object())
      deployment["spec"]["strategy"].erase("rollingUpdate");
    editor.set(deployment["spec"]["strategy"], "type", rolling ? "RollingUpdate" : "Recreate",
               "strategy");
  }
  if (arguments.has("surge")) editor.set_bound("maxSurge", arguments.text("surge"), "surge");
  if (arguments.has("unavailable"))
    editor.set_bound("maxUnavailable", arguments.text("unavailable"), "unavailable");
  return {};
}

std::string strategy_words(const Json& deployment) {
  if (text_at(deployment, {"spec", "strategy", "type"}) == "Recreate")
    return "all pods stop before new ones start";
  return fmt::format("surge {}, unavailable {}",
                     text_at(deployment, {"spec", "strategy", "rollingUpdate", "maxSurge"}),
                     text_at(deployment, {"spec", "strategy", "rollingUpdate", "maxUnavailable"}));
}

Result<int> finish(Session& session, const Json& object, const std::optional<Receipt>& receipt) {
  session.show_receipt(receipt);
  if (!session.format().for_programs()) return 0;
  Document document;
  document.value = object;
  document.names = {object_text(object)};
  return session.show(document);
}

Result<int> run(Session& session, const Arguments& arguments) {
  const std::string words[] = {arguments.word(0)};
  TRY(const auto objects, parse_objects(words, &kind_named("Deployment")));
  const ObjectName& object = objects.front();
  if (object.kind->kind != "Deployment")
    return base::fail(
        Errc::Unsupported,
        fmt::format("{} cannot be updated in steps; a deployment can", object.text()));
  TRY(Api * api, session.api());
  TRY(const std::string name_space, session.name_space());
  const std::string path = kind_path(*object.kind, name_space, object.name);
  auto before = api->get(path);
  if (!before)
    return std::unexpected(
        with_nearest_name(session, *api, object, name_space, std::move(before).error()));

  for (const char* verb : {"pause", "resume"}) {
    if (!arguments.has(verb)) continue;
    const Plan plan{
        fmt::format("namespace {}", name_space), "", {{Mark::Change, object.text(), verb}}};
    TRY(const bool go, session.decide(plan));
    if (!go) return 0;
    TRY(const Answer answer,
        api->send("POST", own_path({"deployments", name_space, object.name, verb})));
    session.console().say(Outcome::Done, fmt::format("{} {}d", object.text(), verb));
    return finish(session, answer.body, answer.receipt);
  }

  Json wanted = *before;
  wanted.erase("status");
  Editor editor(wanted, object.text());
  TRY_DO(edit_containers(editor, arguments));
  TRY_DO(edit_strategy(editor, wanted, arguments));
  if (editor.changes().empty()) {
    const bool asked = arguments.has("image") || arguments.has("env") || arguments.has("cpu") ||
                       arguments.has("memory") || arguments.has("strategy") ||
                       arguments.has("surge") || arguments.has("unavailable");
    if (!asked)
      return std::unexpected(
          base::with_hint(base::make_error(Errc::InvalidArgument, "nothing to change is given"),
                          fmt::format("hm update {} --image IMAGE", object.name)));
    session.console().say(Outcome::Done, fmt::format("{} unchanged", object.text()));
    return finish(session, *before, std::nullopt);
  }
  const bool rolls = at(wanted, {"spec", "template"}) != at(*before, {"spec", "template"});
  const std::int64_t revision = revision_of(*before);
  Plan plan;
  plan.headline =
      rolls ? fmt::format("revision {} → {}   {}{}", revision, revision + 1, strategy_words(wanted),
                          arguments.has("no-rollback") ? "" : ", roll back on failure")
            : fmt::format("namespace {}", name_space);
  plan.lines.push_back({rolls ? Mark::Replace : Mark::Change, object.text(),
                        fmt::format("{}", fmt::join(editor.changes(), "   "))});
  if (session.dry_run() == DryRun::Server) {
    TRY(const Answer checked, api->send("PUT", path + "?dryRun=All", wanted));
    session.show_warnings(checked);
  }
  TRY(const bool go, session.decide(plan));
  if (!go) return 0;
  TRY(const Answer answer, put_unless_changed(*api, *object.kind, *before,
                                              [&](const Json&) -> Result<Json> { return wanted; }));
  session.show_warnings(answer);
  const Rollout rollouts[] = {rollout_of(answer.body, *before)};
  if (auto done = wait_for_rollouts(session, *api, rollouts); !done) {
    session.show_receipt(answer.receipt);
    if (arguments.has("no-rollback")) return std::unexpected(std::move(done).error());
    return std::unexpected(roll_back(session, *api, rollouts, std::move(done).error()));
  }
  return finish(session, answer.body, answer.receipt);
}

constexpr Argument kArguments[] = {{"NAME", true, false, Completes::Deployment}};
constexpr Flag kFlags[] = {
    {"image",
     '\0',
     "IMAGE",
     "the new image; CONTAINER=IMAGE where the pods have several containers",
     true,
     {},
     Completes::Image},
    {"env", '\0', "NAME=VALUE", "set an environment variable; NAME- removes it", true},
    {"cpu", '\0', "AMOUNT", "request and limit, such as 250m or 2"},
    {"memory", '\0', "AMOUNT", "request and limit, such as 512Mi"},
    {"container", 'c', "NAME", "the container that --image, --env, --cpu and --memory speak of"},
    {"strategy",
     '\0',
     "NAME",
     "how pods are replaced",
     false,
     {},
     Completes::Nothing,
     "rolling|recreate"},
    {"surge", '\0', "COUNT", "pods above the wanted number while rolling: 1 or 25%"},
    {"unavailable", '\0', "COUNT", "pods that may be missing while rolling: 0 or 25%"},
    {"no-rollback", '\0', "", "leave a failed update as it is"},
    {"pause", '\0', "", "stop the rollout where it stands"},
    {"resume", '\0', "", "go on with a paused rollout"},
};
constexpr Example kExamples[] = {
    {"hm update web --image nginx:1.28",
     "roll to a new image; back by itself when it does not become ready"},
    {"hm update web --env LOG=debug --memory 256Mi", ""}};

}  // namespace

constinit const Command kUpdate = {
    .path = "update",
    .summary = "change a deployment and roll its pods to it",
    .description =
        "Waits until every replica is new and ready. A rollout that misses --timeout or its "
        "progress deadline is\n"
        "rolled back, and the command fails. Edit the file and deploy it again for other changes.",
    .arguments = kArguments,
    .flags = kFlags,
    .examples = kExamples,
    .run = run};

}  // namespace cli
