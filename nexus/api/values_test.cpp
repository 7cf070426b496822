// Options, selectors, answers' forms, deletion, scale, watch lines and log lines: functions over
// values.

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "api/deletion.hpp"
#include "api/discovery.hpp"
#include "api/log_text.hpp"
#include "api/media.hpp"
#include "api/options.hpp"
#include "api/scale.hpp"
#include "api/watch_line.hpp"

namespace nexus::api {
namespace {

using namespace std::chrono_literals;

Query query(std::string_view text) {
  return parse_target("/?" + std::string(text))->query;
}
const manifest::KindInfo& kind(std::string_view name) {
  return *manifest::find_kind(name);
}
const base::WallTime kNow = *base::parse_rfc3339("2026-11-21T12:00:00Z");

TEST(Options, AListIsReadWhole) {
  const ListPosition position{42, {"prod", "web-1"}};
  const auto options = parse_list_options(
      "Pod",
      query(
          "labelSelector=app%3Dweb&fieldSelector=status.phase!%3DRunning&limit=5&resourceVersion=7"
          "&resourceVersionMatch=Exact&allowWatchBookmarks=true&timeoutSeconds=9&continue=" +
          encode_position(position)));
  ASSERT_TRUE(options) << options.error().error.message;
  EXPECT_EQ(options->limit, 5u);
  EXPECT_EQ(options->revision, 7u);
  EXPECT_TRUE(options->exact);
  EXPECT_TRUE(options->bookmarks);
  EXPECT_EQ(options->timeout, 9s);
  EXPECT_EQ(options->position, position);
  EXPECT_TRUE(options->selection.matches(
      {{"metadata", {{"labels", {{"app", "web"}}}}}, {"status", {{"phase", "Pending"}}}}));
  EXPECT_FALSE(options->selection.matches(
      {{"metadata", {{"labels", {{"app", "web"}}}}}, {"status", {{"phase", "Running"}}}}));
  EXPECT_FALSE(options->selection.matches({{"metadata", {{"labels", {{"app", "db"}}}}}}));
}

TEST(Options, WhatIsWrongIsNamed) {
  for (const char* text : {"labelSelector=a%20in", "fieldSelector=spec.x%3D1", "fieldSelector=x",
                           "limit=-1", "limit=x", "resourceVersion=abc",
                           "resourceVersionMatch=Perhaps", "timeoutSeconds=999999999"}) {
    const auto options = parse_list_options("Pod", query(text));
    ASSERT_FALSE(options) << text;
    EXPECT_EQ(http_status(options.error()), 400) << text;
  }
  EXPECT_EQ(http_status(parse_list_options("Pod", query("continue=00ff")).error()), 410);
  EXPECT_EQ(http_status(parse_write_options(query("dryRun=Some")).error()), 400);
  EXPECT_EQ(http_status(parse_write_options(query("fieldValidation=Loose")).error()), 400);
  EXPECT_EQ(
      http_status(
          parse_log_options(query("sinceSeconds=1&sinceTime=2026-11-21T12:00:00Z"), kNow).error()),
      400);
  EXPECT_EQ(http_status(parse_exec_options(query("command=sh")).error()), 400);
}

TEST(Options, TheBodyOfADeleteWins) {
  const Json body = {{"kind", "DeleteOptions"},
                     {"gracePeriodSeconds", 3},
                     {"propagationPolicy", "Orphan"},
                     {"preconditions", {{"uid", "u"}, {"resourceVersion", "9"}}},
                     {"dryRun", {"All"}}};
  const auto options =
      parse_delete_options(query("gracePeriodSeconds=7&propagationPolicy=Foreground"), body);
  ASSERT_TRUE(options);
  EXPECT_EQ(options->grace_seconds, 3);
  EXPECT_EQ(options->propagation, Propagation::Orphan);
  EXPECT_EQ(options->precondition.uid, "u");
  EXPECT_EQ(options->precondition.revision, 9u);
  EXPECT_TRUE(options->dry_run);
  EXPECT_FALSE(parse_delete_options(query(""), {{"gracePeriodSeconds", -1}}));
  EXPECT_FALSE(parse_delete_options(query(""), Json::array()));
}

TEST(Options, AMomentIsAnAgeOrATime) {
  EXPECT_EQ(**parse_moment("since", query("since=1h30m"), kNow), kNow - 90min);
  EXPECT_EQ(**parse_moment("since", query("since=2d"), kNow), kNow - 48h);
  EXPECT_EQ(**parse_moment("since", query("since=2026-11-21T11:00:00Z"), kNow), kNow - 1h);
  EXPECT_EQ(*parse_moment("since", query(""), kNow), std::nullopt);
  for (const char* bad : {"since=10", "since=x", "since=-1h", "since=1y", "since=999999999d"})
    EXPECT_FALSE(parse_moment("since", query(bad), kNow)) << bad;
}

TEST(FieldSelector, EscapesAndEqualSigns) {
  const auto selector = FieldSelector::parse("Pod", R"(metadata.name==a\,b,spec.nodeName!=n1)");
  ASSERT_TRUE(selector);
  EXPECT_TRUE(selector->matches({{"metadata", {{"name", "a,b"}}}}));
  EXPECT_FALSE(
      selector->matches({{"metadata", {{"name", "a,b"}}}, {"spec", {{"nodeName", "n1"}}}}));
  EXPECT_NE(
      FieldSelector::parse("Service", "status.phase=x").error().error.message.find("metadata.name"),
      std::string::npos);
}

TEST(Media, OnlyJsonIsMade) {
  EXPECT_EQ(*choose_answer_form(""), AnswerForm::Json);
  EXPECT_EQ(*choose_answer_form("*/*"), AnswerForm::Json);
  EXPECT_EQ(*choose_answer_form("application/json;as=Table;v=v1;g=meta.k8s.io,application/json"),
            AnswerForm::Table);
  EXPECT_EQ(
      *choose_answer_form(
          "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"),
      AnswerForm::Json);
  EXPECT_EQ(*choose_answer_form("application/vnd.kubernetes.protobuf, application/json"),
            AnswerForm::Json);
  EXPECT_EQ(http_status(choose_answer_form("application/yaml").error()), 406);
  EXPECT_EQ(*patch_type_of("application/merge-patch+json; charset=utf-8"), PatchType::Merge);
  EXPECT_EQ(http_status(patch_type_of("application/apply-patch+yaml").error()), 415);
  EXPECT_EQ(warning_value("a \"b\"\nc"), "299 - \"a \\\"b\\\" c\"");
}

Object make(Json json) {
  return Object{std::move(json), 5};
}

TEST(Deletion, APodIsMarkedAndItsGraceOnlyShrinks) {
  const Object pod = make({{"metadata", {{"name", "p"}, {"uid", "u"}}},
                           {"spec", {{"terminationGracePeriodSeconds", 10}}}});
  const auto plan = plan_deletion(kind("Pod"), pod, {}, kNow);
  ASSERT_TRUE(plan);
  const Json& marked = std::get<MarkForDeletion>(*plan).object;
  EXPECT_EQ(marked["metadata"]["deletionTimestamp"], "2026-11-21T12:00:10Z");
  EXPECT_EQ(marked["metadata"]["deletionGracePeriodSeconds"], 10);
  EXPECT_TRUE(
      std::holds_alternative<AlreadyMarked>(*plan_deletion(kind("Pod"), make(marked), {}, kNow)));
  EXPECT_TRUE(std::holds_alternative<AlreadyMarked>(
      *plan_deletion(kind("Pod"), make(marked), {.grace_seconds = 20}, kNow)));
  const auto faster = plan_deletion(kind("Pod"), make(marked), {.grace_seconds = 0}, kNow);
  EXPECT_EQ(std::get<MarkForDeletion>(*faster).object["metadata"]["deletionTimestamp"],
            "2026-11-21T12:00:00Z");
}

TEST(Deletion, OthersGoAtOnceUnlessSomebodyWaits) {
  const Object plain = make({{"metadata", {{"name", "w"}, {"uid", "u"}}}});
  EXPECT_TRUE(
      std::holds_alternative<RemoveNow>(*plan_deletion(kind("Deployment"), plain, {}, kNow)));
  const auto foreground =
      plan_deletion(kind("Deployment"), plain, {.propagation = Propagation::Foreground}, kNow);
  const Json& marked = std::get<MarkForDeletion>(*foreground).object;
  EXPECT_EQ(marked["metadata"]["finalizers"], Json::array({"foregroundDeletion"}));
  EXPECT_FALSE(goes_with_its_last_finalizer(kind("Deployment"), marked));
  Json freed = marked;
  freed["metadata"]["finalizers"] = Json::array();
  EXPECT_TRUE(goes_with_its_last_finalizer(kind("Deployment"), freed));
  EXPECT_FALSE(goes_with_its_last_finalizer(kind("Pod"), freed));
  EXPECT_FALSE(goes_with_its_last_finalizer(kind("Deployment"), plain.json));
  EXPECT_TRUE(
      std::holds_alternative<MarkForDeletion>(*plan_deletion(kind("Namespace"), plain, {}, kNow)));
}

TEST(Deletion, WhatLostItsLastFinalizerButStayedGoesWithTheNextDelete) {
  const Object left = make({{"metadata",
                             {{"name", "w"},
                              {"uid", "u"},
                              {"deletionTimestamp", "2026-11-21T11:00:00Z"},
                              {"finalizers", Json::array()}}}});
  for (const Propagation each :
       {Propagation::Background, Propagation::Foreground, Propagation::Orphan}) {
    EXPECT_TRUE(std::holds_alternative<RemoveNow>(
        *plan_deletion(kind("Deployment"), left, {.propagation = each}, kNow)));
  }
  EXPECT_TRUE(
      std::holds_alternative<AlreadyMarked>(*plan_deletion(kind("Namespace"), left, {}, kNow)));
}

TEST(Deletion, PreconditionsAndTheDefaultNamespaceHold) {
  const Object plain = make({{"metadata", {{"name", "default"}, {"uid", "u"}}}});
  EXPECT_EQ(
      http_status(
          plan_deletion(kind("Service"), plain, {.precondition = {.uid = "x"}}, kNow).error()),
      409);
  EXPECT_EQ(
      http_status(
          plan_deletion(kind("Service"), plain, {.precondition = {.revision = 4}}, kNow).error()),
      409);
  EXPECT_TRUE(
      plan_deletion(kind("Service"), plain, {.precondition = {.uid = "u", .revision = 5}}, kNow));
  EXPECT_EQ(http_status(plan_deletion(kind("Namespace"), plain, {}, kNow).error()), 403);
}

TEST(Scale, ReadsAndWritesTheReplicas) {
  const Json deployment = {
      {"metadata", {{"name", "web"}, {"namespace", "prod"}, {"resourceVersion", "5"}}},
      {"spec", {{"replicas", 3}, {"selector", {{"matchLabels", {{"app", "web"}}}}}}},
      {"status", {{"replicas", 2}}}};
  Json scale = scale_of(deployment);
  EXPECT_EQ(scale["spec"]["replicas"], 3);
  EXPECT_EQ(scale["status"]["replicas"], 2);
  EXPECT_EQ(scale["status"]["selector"], "app=web");
  scale["spec"]["replicas"] = 10;
  EXPECT_EQ((*with_scale(deployment, scale))["spec"]["replicas"], 10);
  scale["spec"]["replicas"] = -1;
  EXPECT_EQ(http_status(with_scale(deployment, scale).error()), 422);
  EXPECT_EQ(http_status(with_scale(deployment, {{"kind", "Pod"}}).error()), 400);
}

TEST(WatchLine, ASelectorTurnsChangesIntoComingAndGoing) {
  const auto object = [](const char* app) {
    return Json{{"metadata", {{"labels", {{"app", app}}}}}};
  };
  const Json web = object("web"), db = object("db");
  Selection selection;
  selection.labels = *manifest::LabelSelector::parse("app=web");
  const auto type = [&](Change change, const Json& now, const Json* before) -> std::string {
    return std::string(watch_type_of(change, now, before, selection).value_or(""));
  };
  EXPECT_EQ(type(Change::Added, web, nullptr), "ADDED");
  EXPECT_EQ(type(Change::Added, db, nullptr), "");
  EXPECT_EQ(type(Change::Modified, web, &web), "MODIFIED");
  EXPECT_EQ(type(Change::Modified, web, &db), "ADDED");
  EXPECT_EQ(type(Change::Modified, db, &web), "DELETED");
  EXPECT_EQ(type(Change::Modified, db, &db), "");
  EXPECT_EQ(type(Change::Deleted, web, &web), "DELETED");
  EXPECT_EQ(type(Change::Deleted, db, &db), "");
  EXPECT_EQ(type(Change::Deleted, db, nullptr), "DELETED");
  EXPECT_EQ(watch_line("ADDED", {{"kind", "Pod"}}),
            "{\"type\":\"ADDED\",\"object\":{\"kind\":\"Pod\"}}\n");
}

TEST(LogText, JoinsPartsAndKeepsItsLimit) {
  const LogRecord first{kNow, false, true, "one "}, second{kNow + 1s, false, false, "line"},
      error{kNow, true, false, "bad"};
  LogText plain({});
  EXPECT_EQ(plain.next(first) + plain.next(second) + plain.next(error), "one line\nbad\n");
  LogText timed(LogOptions{.timestamps = true, .error_output = false});
  EXPECT_EQ(timed.next(first) + timed.next(second) + timed.next(error),
            "2026-11-21T12:00:00.000000000Z one line\n");
  LogText bounded(LogOptions{.bytes_max = 6});
  EXPECT_EQ(bounded.next(first) + bounded.next(second), "one li");
  EXPECT_TRUE(bounded.full());
  LogText json(LogOptions{.as_json = true});
  EXPECT_EQ(
      json.next(error),
      R"({"partial":false,"stream":"stderr","text":"bad","time":"2026-11-21T12:00:00.000000000Z"})"
      "\n");
}

TEST(Refusal, BecomesAStatus) {
  Refusal refusal(base::with_hint(base::make_error(base::Errc::NotFound, "no web"), "look"));
  refusal.group = "apps";
  refusal.resource = "deployments";
  refusal.name = "web";
  refusal.causes = {{"FieldValueInvalid", "spec.x", "is 5"}};
  EXPECT_EQ(
      to_status(refusal, "t1"),
      Json::parse(
          R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"no web",
    "reason":"NotFound","code":404,"errc":"NotFound","hints":["look"],
    "details":{"traceId":"t1","kind":"deployments","group":"apps","name":"web","causes":[{"reason":"FieldValueInvalid","field":"spec.x","message":"is 5"}]}})"));
}

// The documents that clients build their view of the server from change only on purpose. Run with
// HM_REWRITE_GOLDEN=1 to write them anew.
TEST(Discovery, DocumentsAreGolden) {
  const std::vector<std::pair<std::string, Json>> documents = {
      {"api.json", api_versions()},
      {"apis.json", api_groups()},
      {"apis_apps.json", *api_group("apps")},
      {"core_v1.json", api_resources("v1")},
      {"apps_v1.json", api_resources("apps/v1")},
      {"batch_v1.json", api_resources("batch/v1")}};
  for (const auto& [name, document] : documents) {
    const std::string path = std::string(TEST_SOURCE_DIR) + "/testdata/discovery/" + name;
    const std::string text = document.dump(2) + "\n";
    if (std::getenv("HM_REWRITE_GOLDEN") != nullptr) std::ofstream(path) << text;
    std::stringstream golden;
    golden << std::ifstream(path).rdbuf();
    EXPECT_EQ(text, golden.str()) << name;
  }
  EXPECT_EQ(http_status(api_group("nothing").error()), 404);
}

}  // namespace
}  // namespace nexus::api
