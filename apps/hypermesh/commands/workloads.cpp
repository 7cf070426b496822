// scale, rollback, history, restart: what is done to a Deployment by its name.
#include <fmt/format.h>

#include <charconv>

#include "commands/all.hpp"
#include "commands/rollout.hpp"

namespace cli {
namespace {

using base::Errc;
using base::Result;
using Mark = PlanLine::Mark;

struct Scale {
  ObjectName object;
  std::int64_t replicas = 0;
};

Result<std::int64_t> parse_count(std::string_view text) {
  constexpr std::int64_t kReplicasMax = 100'000;
  std::int64_t count = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || end != text.data() + text.size() || count < 0 ||
      count > kReplicasMax) {
    return base::fail(
        Errc::InvalidArgument,
        fmt::format("\"{}\" is not a number of replicas; want 0 to {}", text, kReplicasMax));
  }
  return count;
}

Result<ObjectName> parse_workload(const std::string& word) {
  const std::string words[] = {word};
  TRY(auto objects, parse_objects(words, &kind_named("Deployment")));
  const std::string_view kind = objects.front().kind->kind;
  if (kind != "Deployment" && kind != "ReplicaSet") {
    return base::fail(Errc::Unsupported,
                      fmt::format("{} has no replicas to scale", objects.front().text()));
  }
  return objects.front();
}

Result<std::vector<Scale>> parse_scales(const std::vector<std::string>& words) {
  std::vector<Scale> scales;
  if (words.size() == 2 && words[0].find('=') == std::string::npos &&
      words[1].find('=') == std::string::npos) {
    TRY(ObjectName object, parse_workload(words[0]));
    TRY(const std::int64_t count, parse_count(words[1]));
    scales.push_back({std::move(object), count});
    return scales;
  }
  for (const std::string& word : words) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos) {
      return std::unexpected(base::with_hint(
          base::make_error(Errc::InvalidArgument,
                           fmt::format("\"{}\": want NAME REPLICAS or NAME=REPLICAS ...", word)),
          "hm scale web 10"));
    }
    TRY(ObjectName object, parse_workload(word.substr(0, equals)));
    TRY(const std::int64_t count, parse_count(std::string_view(word).substr(equals + 1)));
    scales.push_back({std::move(object), count});
  }
  return scales;
}

// What a write answers: its receipt for people, the objects for programs.
Result<int> conclude(Session& session, const std::vector<Json>& written,
                     const std::optional<Receipt>& receipt) {
  session.show_receipt(receipt);
  if (!session.format().for_programs()) return 0;
  Document document;
  document.value = list_json("List", written);
  document.value["receipt"] = receipt_json(receipt);
  for (const Json& object : written) document.names.push_back(object_text(object));
  return session.show(document);
}

Result<int> run_scale(Session& session, const Arguments& arguments) {
  TRY(const std::vector<Scale> scales, parse_scales(arguments.words()));
  TRY(Api * api, session.api());
  TRY(const std::string name_space, session.name_space());
  Plan plan{fmt::format("namespace {}", name_space), "", {}};
  std::vector<Json> before;
  for (const Scale& scale : scales) {
    auto object = api->get(kind_path(*scale.object.kind, name_space, scale.object.name));
    if (!object)
      return std::unexpected(
          with_nearest_name(session, *api, scale.object, name_space, std::move(object).error()));
    const std::int64_t now = number_at(*object, {"spec", "replicas"}, 1);
    const Mark mark = scale.replicas < now    ? Mark::Remove
                      : scale.replicas == now ? Mark::Keep
                                              : Mark::Change;
    plan.lines.push_back(
        {mark, scale.object.text(), fmt::format("{} → {} replicas", now, scale.replicas)});
    before.push_back(*std::move(object));
  }
  TRY(const bool go, session.decide(plan));
  if (!go) return 0;
  std::vector<Rollout> rollouts;
  std::vector<Json> written;
  std::optional<Receipt> receipt;
  for (std::size_t i = 0; i < scales.size(); ++i) {
    const Scale& scale = scales[i];
    const std::string path = kind_path(*scale.object.kind, name_space, scale.object.name);
    TRY(const Answer answer,
        api->send("PATCH", path + "/scale", {{"spec", {{"replicas", scale.replicas}}}},
                  "application/merge-patch+json"));
    if (answer.receipt) receipt = answer.receipt;
    TRY(Json object, api->get(path));
    // Only the number was asked for: whoever changes the template meanwhile does no harm.
    Rollout rollout = rollout_of(object, object);
    rollout.goal.pod_template = nullptr;
    rollouts.push_back(std::move(rollout));
    written.push_back(std::move(object));
  }
  TRY_DO(wait_for_rollouts(session, *api, rollouts));
  return conclude(session, written, receipt);
}

std::string images_of(const Json& deployment) {
  std::string out;
  for (const Json& container : list_at(deployment, {"spec", "template", "spec", "containers"}))
    out += (out.empty() ? "" : ", ") + text_at(container, {"image"});
  return out;
}

Result<ObjectName> parse_deployment(const Arguments& arguments) {
  const std::string words[] = {arguments.word(0)};
  TRY(auto objects, parse_objects(words, &kind_named("Deployment")));
  if (objects.front().kind->kind != "Deployment")
    return base::fail(Errc::Unsupported,
                      fmt::format("{} has no revisions; a deployment has", objects.front().text()));
  return objects.front();
}

Result<Json> get_deployment(Session& session, Api& api, const std::string& name_space,
                            const ObjectName& object) {
  auto json = api.get(kind_path(*object.kind, name_space, object.name));
  if (!json)
    return std::unexpected(
        with_nearest_name(session, api, object, name_space, std::move(json).error()));
  return json;
}

Result<int> run_rollback(Session& session, const Arguments& arguments) {
  TRY(const ObjectName object, parse_deployment(arguments));
  TRY(Api * api, session.api());
  TRY(const std::string name_space, session.name_space());
  std::int64_t to = 0;
  if (arguments.has("to")) {
    TRY(to, parse_count(arguments.text("to")));
  }
  TRY(const Json before, get_deployment(session, *api, name_space, object));
  TRY(const Json history, api->get(own_path({"deployments", name_space, object.name, "history"})));
  const std::int64_t now = revision_of(before);
  const Json* chosen = nullptr;
  for (const Json& item : list_at(history, {"items"})) {
    const std::int64_t revision = number_at(item, {"revision"});
    if (to != 0 ? revision == to : revision < now) {
      chosen = &item;
      break;  // newest first
    }
  }
  if (chosen == nullptr) {
    std::string message = to != 0 ? fmt::format("{} has no revision {}", object.text(), to)
                                  : fmt::format("{} has no revision before {}", object.text(), now);
    return std::unexpected(base::with_hint(base::make_error(Errc::NotFound, std::move(message)),
                                           fmt::format("hm history {}", object.name)));
  }
  to = number_at(*chosen, {"revision"});
  std::string images;
  for (const Json& image : list_at(*chosen, {"images"}))
    images += (images.empty() ? "" : ", ") + (image.is_string() ? image.get<std::string>() : "");
  const std::string has = images_of(before);
  const Plan plan{fmt::format("back to revision {} of {}", to, object.text()),
                  "",
                  {{to == now ? Mark::Keep : Mark::Replace, object.text(),
                    has == images ? fmt::format("revision {} → {}, the same image", now, to)
                                  : fmt::format("{} → {}", has, images)}}};
  TRY(const bool go, session.decide(plan));
  if (!go) return 0;
  TRY(const Answer answer,
      api->send("POST", own_path({"deployments", name_space, object.name, "rollback"}),
                {{"toRevision", to}}));
  const Rollout rollouts[] = {rollout_of(answer.body, before)};
  TRY_DO(wait_for_rollouts(session, *api, rollouts));
  return conclude(session, {answer.body}, answer.receipt);
}

Result<int> run_restart(Session& session, const Arguments& arguments) {
  TRY(const ObjectName object, parse_deployment(arguments));
  TRY(Api * api, session.api());
  TRY(const std::string name_space, session.name_space());
  TRY(const Json before, get_deployment(session, *api, name_space, object));
  const Plan plan{fmt::format("namespace {}", name_space),
                  "",
                  {{Mark::Replace, object.text(),
                    fmt::format("{} pods are replaced one after the other",
                                number_at(before, {"spec", "replicas"}, 1))}}};
  TRY(const bool go, session.decide(plan));
  if (!go) return 0;
  TRY(const Answer answer,
      api->send("POST", own_path({"deployments", name_space, object.name, "restart"})));
  const Rollout rollouts[] = {rollout_of(answer.body, before)};
  if (auto done = wait_for_rollouts(session, *api, rollouts); !done) {
    return std::unexpected(std::move(done).error());
  }
  return conclude(session, {answer.body}, answer.receipt);
}

Result<int> run_history(Session& session, const Arguments& arguments) {
  TRY(const ObjectName object, parse_deployment(arguments));
  TRY(Api * api, session.api());
  TRY(const std::string name_space, session.name_space());
  TRY_DO(get_deployment(session, *api, name_space, object));
  TRY(const Json history, api->get(own_path({"deployments", name_space, object.name, "history"})));
  Document document;
  document.value = history;
  for (const Json& item : list_at(history, {"items"}))
    document.names.push_back(fmt::format("{}@{}", object.text(), number_at(item, {"revision"})));
  document.table = [items = list_at(history, {"items"}), &clock = session.clock()](bool wide) {
    std::vector<std::string> heads = {"REV", "IMAGE", "WHO", "WHEN", "RECEIPT", "STATE"};
    if (wide) heads.emplace_back("REPLICASET");
    Table table(heads);
    for (const Json& item : items) {
      std::string images;
      for (const Json& image : list_at(item, {"images"}))
        images +=
            (images.empty() ? "" : ", ") + (image.is_string() ? image.get<std::string>() : "");
      const std::string when = age_of(clock, text_at(item, {"when"}));
      std::vector<Cell> row = {text_at(item, {"revision"}), images,
                               text_at(item, {"who"}),      when.empty() ? "" : when + " ago",
                               text_at(item, {"receipt"}),  text_at(item, {"state"})};
      if (wide) row.emplace_back(text_at(item, {"replicaSet"}));
      table.row(std::move(row));
    }
    return table;
  };
  return session.show(document);
}

constexpr Argument kScaleArguments[] = {{"NAME", true, false, Completes::Deployment},
                                        {"REPLICAS", false, true}};
constexpr Example kScaleExamples[] = {{"hm scale web 10", ""},
                                      {"hm scale web=10 api=4", "several at once"}};
constexpr Argument kOneDeployment[] = {{"NAME", true, false, Completes::Deployment}};
constexpr Flag kRollbackFlags[] = {
    {"to", '\0', "REVISION",
     "the revision to go back to (hm history NAME); default: the one before"}};
constexpr Example kRollbackExamples[] = {{"hm rollback web", "to the revision before"},
                                         {"hm rollback web --to 3", ""}};
constexpr Example kRestartExamples[] = {{"hm restart web", "every pod anew, as in an update"}};
constexpr Example kHistoryExamples[] = {{"hm history web", ""}};

}  // namespace

constinit const Command kScale = {
    .path = "scale",
    .summary = "change the number of replicas",
    .description = "Waits until they are ready. Fewer replicas are asked about first.",
    .arguments = kScaleArguments,
    .examples = kScaleExamples,
    .run = run_scale};
constinit const Command kRollback = {.path = "rollback",
                                     .summary = "go back to an earlier revision of a deployment",
                                     .description = "",
                                     .arguments = kOneDeployment,
                                     .flags = kRollbackFlags,
                                     .examples = kRollbackExamples,
                                     .run = run_rollback};
constinit const Command kRestart = {.path = "restart",
                                    .summary = "replace every pod of a deployment, rolling",
                                    .description = "",
                                    .arguments = kOneDeployment,
                                    .examples = kRestartExamples,
                                    .run = run_restart};
constinit const Command kHistory = {
    .path = "history",
    .summary = "the revisions of a deployment: image, who, when, receipt",
    .description = "",
    .arguments = kOneDeployment,
    .examples = kHistoryExamples,
    .run = run_history};

}  // namespace cli
