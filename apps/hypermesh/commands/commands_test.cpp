// Commands as they are typed, against a node that a test plays.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "output/json_access.hpp"
#include "testing/commands_fixture.hpp"
#include "testing/golden.hpp"

namespace cli {
namespace {

using testing::Commands;
using testing::FakeAnswer;
using testing::FakeRequest;
using ::testing::HasSubstr;
using testing::kApp;
using ::testing::Not;
using testing::Ran;
using testing::refuse;
using testing::with_image;

TEST_F(Commands, DeployCreatesWaitsAndGivesAReceipt) {
  const std::string file = home_.file("app.yaml", kApp);
  const Ran ran = run({"deploy", "-f", file, "-y"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("service/web created\ndeployment/web created\n"));
  EXPECT_THAT(ran.out, HasSubstr("receipt 2  log bbbb…  signed by 1/1   (hm audit verify 2)"));
  EXPECT_THAT(ran.err, HasSubstr("+ deployment/web   3 × web:1"));
  EXPECT_THAT(ran.err, HasSubstr("✔ deployment/web  3/3 ready"));
  EXPECT_THAT(ran.out, Not(HasSubstr("http://"))) << "nobody answered there";
  const Ran again = run({"deploy", "-f", file});
  EXPECT_EQ(again.exit, 0) << again.err;
  EXPECT_THAT(again.out, HasSubstr("service/web unchanged\ndeployment/web unchanged\n"));
}

TEST_F(Commands, DeployReadsStandardInputAndFolders) {
  EXPECT_EQ(run({"apply", "-f", "-"}, kApp).exit, 0);
  EXPECT_TRUE(node_.find("Deployment", "web"));
  home_.file("many/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: v}\n");
  home_.file("many/b.json", R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b"}})");
  home_.file("many/notes.txt", "not a manifest");
  const Ran ran = run({"apply", "-f", home_.path() + "/many"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_TRUE(node_.find("ConfigMap", "a") && node_.find("ConfigMap", "b"));
}

TEST_F(Commands, AMistakeInAFileIsNamedWithItsLineAndNothingIsWritten) {
  const std::string file = home_.file(
      "odd.yaml",
      std::string(kApp) + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndatta: {}\n");
  const Ran ran = run({"deploy", "-f", file, "-y"});
  EXPECT_EQ(ran.exit, 2);
  EXPECT_THAT(ran.err, HasSubstr("odd.yaml:23"));
  EXPECT_THAT(ran.err, HasSubstr("datta"));
  EXPECT_FALSE(node_.find("Deployment", "web"));
  EXPECT_THAT(run({"deploy", "-f", "https://example.org/app.yaml"}).err,
              HasSubstr("is not fetched"));
  EXPECT_EQ(run({"deploy", "-f", home_.path() + "/absent.yaml"}).exit, 3);
  EXPECT_EQ(run({"deploy"}).exit, 2);
}

TEST_F(Commands, WhatReplacesPodsNeedsAYes) {
  deploy();
  const std::string file = home_.file("app2.yaml", with_image("web:2"));
  const Ran refused = run({"deploy", "-f", file});
  EXPECT_EQ(refused.exit, 2);
  EXPECT_THAT(refused.err, HasSubstr("~ deployment/web"));
  EXPECT_THAT(refused.err, HasSubstr("nothing was done"));
  EXPECT_EQ(text_at(*node_.find("Deployment", "web"), {"metadata", "generation"}), "1");
  const Ran dry = run({"deploy", "-f", file, "--dry-run"});
  EXPECT_EQ(dry.exit, 0) << dry.err;
  EXPECT_THAT(dry.out, HasSubstr("~ deployment/web"));
  EXPECT_EQ(text_at(*node_.find("Deployment", "web"), {"metadata", "generation"}), "1");
  const Ran plan = run({"deploy", "-f", file, "--dry-run", "-o", "json"});
  EXPECT_TRUE(Json::parse(plan.out).at("destructive"));
  const Ran done = run({"deploy", "-f", file, "-y"});
  EXPECT_EQ(done.exit, 0) << done.err;
  EXPECT_THAT(done.out, HasSubstr("service/web unchanged\ndeployment/web configured\n"));
}

TEST_F(Commands, WhatLeavesTheFileLeavesTheObjectAndWhatOthersSetStays) {
  const std::string one = home_.file(
      "c.yaml",
      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, labels: {a: b}}\ndata: {k: v, l: w}\n");
  ASSERT_EQ(run({"apply", "-f", one}).exit, 0);
  Json stored = *node_.find("ConfigMap", "c");
  stored["metadata"]["labels"]["theirs"] = "x";
  node_.put(stored);
  const std::string two =
      home_.file("c.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {k: v2}\n");
  ASSERT_EQ(run({"apply", "-f", two}).exit, 0);
  stored = *node_.find("ConfigMap", "c");
  EXPECT_EQ(stored["data"], Json({{"k", "v2"}}));
  EXPECT_EQ(stored["metadata"]["labels"], Json({{"theirs", "x"}}));
}

TEST_F(Commands, ASecretIsNotRememberedInTheOpen) {
  const std::string file = home_.file(
      "s.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {k: c2VjcmV0}\n");
  ASSERT_EQ(run({"apply", "-f", file}).exit, 0);
  EXPECT_THAT(node_.find("Secret", "s")->at("metadata").dump(), Not(HasSubstr("c2VjcmV0")));
  EXPECT_THAT(run({"describe", "secret", "s"}).out, Not(HasSubstr("c2VjcmV0")));
  ASSERT_EQ(
      run({"apply", "-f",
           home_.file("s.yaml",
                      "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {l: eA==}\n")})
          .exit,
      0);
  EXPECT_EQ(node_.find("Secret", "s")->at("data"), Json({{"l", "eA=="}}));
}

TEST_F(Commands, ARolloutThatMissesItsTimeoutIsRolledBack) {
  deploy();
  const std::string file = home_.file("bad.yaml", with_image("bad:1"));
  const Ran ran = run({"deploy", "-f", file, "-y", "--timeout", "300ms"});
  EXPECT_EQ(ran.exit, 5) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("↩ deployment/web rolled back"));
  EXPECT_THAT(ran.err, HasSubstr("CrashLoopBackOff: exited 1 twice"));
  EXPECT_THAT(ran.err, HasSubstr("hm why web"));
  EXPECT_EQ(count("POST /apis/hypermesh.io/v1/deployments/default/web/rollback"), 1u);
  EXPECT_THAT(node_.find("Deployment", "web")->at("spec").dump(), HasSubstr("web:1"));
  const Ran kept =
      run({"update", "web", "--image", "bad:2", "-y", "--timeout", "200ms", "--no-rollback"});
  EXPECT_EQ(kept.exit, 5);
  EXPECT_THAT(node_.find("Deployment", "web")->at("spec").dump(), HasSubstr("bad:2"));
}

TEST_F(Commands, ARolloutThatIsNewStaysToBeLookedAt) {
  const Ran ran = run(
      {"deploy", "-f", home_.file("bad.yaml", with_image("bad:1")), "-y", "--timeout", "200ms"});
  EXPECT_EQ(ran.exit, 5);
  EXPECT_THAT(ran.err, HasSubstr("there is no revision to go back to"));
  EXPECT_TRUE(node_.find("Deployment", "web"));
}

TEST_F(Commands, DetachReturnsAtOnce) {
  const Ran ran = run({"deploy", "-f", home_.file("bad.yaml", with_image("bad:1")), "--detach"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
}

TEST_F(Commands, AConflictIsTakenUpAgainUnlessSomebodyElseWrote) {
  deploy();
  int refusals = 0;
  node_.on_request([&](const FakeRequest& request) -> std::optional<FakeAnswer> {
    if (request.method == "PUT" && !request.query.contains("dryRun") && refusals++ < 2)
      return refuse(409, "Conflict", "deployment/web changed");
    return std::nullopt;
  });
  EXPECT_EQ(run({"update", "web", "--image", "web:2", "-y"}).exit, 0);
  EXPECT_EQ(refusals, 3);
  node_.on_request([&](const FakeRequest& request) -> std::optional<FakeAnswer> {
    if (request.method != "PUT") return std::nullopt;
    return refuse(409, "Conflict", "deployment/web changed");
  });
  EXPECT_EQ(run({"update", "web", "--image", "web:3", "-y"}).exit, 9);
}

TEST_F(Commands, UpdateChangesWhatIsAskedForAndNothingElse) {
  deploy();
  const Ran ran = run({"update", "web", "--image", "web:2", "--env", "LOG=debug", "--memory",
                       "64Mi", "--surge", "25%", "--unavailable", "0", "-y"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  const Json spec = node_.find("Deployment", "web")->at("spec");
  const Json& container = spec["template"]["spec"]["containers"][0];
  EXPECT_EQ(container["image"], "web:2");
  EXPECT_EQ(container["env"], Json::parse(R"([{"name":"LOG","value":"debug"}])"));
  EXPECT_EQ(container["resources"]["limits"]["memory"], "64Mi");
  EXPECT_EQ(spec["strategy"]["rollingUpdate"]["maxSurge"], "25%");
  EXPECT_EQ(spec["strategy"]["rollingUpdate"]["maxUnavailable"], 0);
  EXPECT_THAT(ran.err, HasSubstr("image web:1 → web:2"));
  EXPECT_THAT(ran.err, Not(HasSubstr("debug"))) << "a value may be a secret";
  EXPECT_EQ(run({"update", "web", "--image", "web:2"}).exit, 0)
      << "nothing changes, so nothing is asked";
  EXPECT_EQ(run({"update", "web"}).exit, 2);
  EXPECT_EQ(run({"update", "wbe", "--image", "x"}).exit, 3);
}

TEST_F(Commands, ScaleUpAsksNothingScaleDownDoes) {
  deploy();
  const Ran up = run({"scale", "web", "5"});
  EXPECT_EQ(up.exit, 0) << up.err;
  EXPECT_THAT(up.err, HasSubstr("✔ deployment/web  5/5 ready"));
  EXPECT_EQ(number_at(*node_.find("Deployment", "web"), {"spec", "replicas"}), 5);
  EXPECT_EQ(run({"scale", "web", "1"}).exit, 2);
  EXPECT_EQ(run({"scale", "web=1", "-y"}).exit, 0);
  EXPECT_EQ(run({"scale", "web", "many"}).exit, 2);
  EXPECT_EQ(run({"scale", "web"}).exit, 2);
}

TEST_F(Commands, RollbackRestartAndHistory) {
  deploy();
  ASSERT_EQ(run({"update", "web", "--image", "web:2", "-y"}).exit, 0);
  EXPECT_THAT(run({"history", "web"}).out,
              HasSubstr("REV   IMAGE   WHO   WHEN      RECEIPT   STATE\n2     web:2   ana   30m "
                        "ago   41        current\n1     web:1   bob"));
  EXPECT_EQ(run({"rollback", "web"}).exit, 2);
  const Ran back = run({"rollback", "web", "-y"});
  EXPECT_EQ(back.exit, 0) << back.err;
  EXPECT_THAT(back.err, HasSubstr("web:2 → web:1"));
  EXPECT_EQ(run({"rollback", "web", "--to", "9", "-y"}).exit, 3);
  EXPECT_EQ(run({"restart", "web", "-y"}).exit, 0);
}

TEST_F(Commands, RunMakesADeploymentAndAService) {
  const Ran ran = run({"run", "old", "--image", "old:1", "--port", "8080", "-y"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(node_.find("Deployment", "old")->at("spec").at("selector").at("matchLabels"),
            Json({{"app", "old"}}));
  EXPECT_EQ(node_.find("Service", "old")->at("spec").at("ports")[0].at("port"), 8080);
  EXPECT_EQ(run({"run", "old", "--image", "old:1"}).exit, 9);
  EXPECT_EQ(run({"run", "x"}).exit, 2);
  EXPECT_EQ(run({"run", "x", "--image", "y", "--port", "99999"}).exit, 2);
  EXPECT_EQ(run({"run", "Not_A_Name", "--image", "y"}).exit, 2);
  EXPECT_THAT(run({"run", "x", "--image", "y", "--print", "--", "sleep", "60"}).out,
              HasSubstr("- args:\n        - sleep\n        - \"60\"\n"));
}

TEST_F(Commands, DeleteAsksAndWaits) {
  deploy();
  EXPECT_EQ(run({"delete", "deployment,service", "web"}).exit, 2);
  const Ran ran = run({"delete", "deployment,service", "web", "-y"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("deployment/web deleted\nservice/web deleted\n"));
  EXPECT_FALSE(node_.find("Deployment", "web") || node_.find("Service", "web"));
  EXPECT_EQ(run({"delete", "deployment", "web", "-y"}).exit, 3);
  EXPECT_EQ(run({"delete", "deployment", "web", "-y", "--ignore-not-found"}).exit, 0);
  deploy();
  EXPECT_EQ(run({"delete", "-f", home_.path() + "/app.yaml", "-y"}).exit, 0);
  EXPECT_FALSE(node_.find("Service", "web"));
  EXPECT_EQ(run({"delete", "-f", home_.path() + "/app.yaml", "-y"}).exit, 3);
  EXPECT_EQ(run({"delete", "deployments", "-y"}).exit, 2) << "all of a kind has to be said";
}

TEST_F(Commands, DeleteOfSeveralIsAllOrNothingWhenOneIsMissing) {
  deploy();
  EXPECT_EQ(run({"delete", "deployment,service,configmap", "web", "-y"}).exit, 3);
  EXPECT_TRUE(node_.find("Deployment", "web") && node_.find("Service", "web"));
}

TEST_F(Commands, PsShowsRowsAndOneName) {
  deploy();
  testing::Golden golden(std::string(TEST_SOURCE_DIR) + "/commands/testdata/ps.txt");
  golden.expect("table", run({"ps"}).out);
  golden.expect("wide", run({"ps", "-o", "wide"}).out);
  golden.expect("all namespaces", run({"ps", "-A"}).out);
  golden.expect("names", run({"ps", "-q"}).out);
  const Ran one = run({"ps", "web-1-b", "-o", "json"});
  ASSERT_EQ(Json::parse(one.out).at("items").size(), 1u);
  EXPECT_EQ(Json::parse(one.out)["items"][0]["workload"], "web");
  EXPECT_EQ(Json::parse(run({"ps", "web", "-o", "json"}).out).at("items").size(), 3u);
  EXPECT_EQ(run({"ps", "nobody"}).exit, 3);
  const Ran empty = run({"ps", "-n", "other"});
  EXPECT_EQ(empty.exit, 0);
  EXPECT_EQ(empty.out, "");
  EXPECT_EQ(empty.err, "nothing runs in namespace other\n");
  node_.put(
      {{"apiVersion", "apps/v1"},
       {"kind", "Deployment"},
       {"metadata", {{"name", "sad"}}},
       {"spec",
        {{"replicas", 1}, {"template", {{"spec", {{"containers", {{{"image", "bad"}}}}}}}}}}});
  golden.expect("in trouble", run({"ps", "sad"}).out);
}

TEST_F(Commands, GetPrintsTheObjectAsStored) {
  deploy();
  EXPECT_EQ(Json::parse(run({"get", "deployment", "web", "-o", "json"}).out),
            *node_.find("Deployment", "web"));
  EXPECT_EQ(Json::parse(run({"get", "deploy/web", "-o", "json"}).out),
            *node_.find("Deployment", "web"));
  EXPECT_EQ(run({"get", "deployments"}).out, "NAME   AGE\nweb    1d\n");
  EXPECT_EQ(run({"get", "deploy,svc", "-o", "name"}).out, "deployment/web\nservice/web\n");
  EXPECT_EQ(run({"get", "deployment", "web", "-o", "jsonpath={.spec.replicas}"}).out, "3");
  EXPECT_EQ(Json::parse(run({"get", "svc", "-o", "json"}).out).at("items").size(), 1u);
  const Ran missing = run({"get", "deployment", "wbe"});
  EXPECT_EQ(missing.exit, 3);
  EXPECT_THAT(missing.err, HasSubstr("did you mean \"web\"?"));
  EXPECT_EQ(run({"get", "statefulsets"}).exit, 1) << "understood, but not served";
  EXPECT_EQ(run({"get", "frobs"}).exit, 2);
  EXPECT_THAT(run({"get", "configmaps"}).err, HasSubstr("no configmaps in namespace default"));
  // What get prints can be applied again.
  const std::string yaml =
      home_.file("again.yaml", run({"get", "deployment", "web", "-o", "yaml"}).out);
  const Ran again = run({"apply", "-f", yaml});
  EXPECT_EQ(again.exit, 0) << again.err;
}

TEST_F(Commands, DiffSaysWithItsExitCode) {
  deploy();
  EXPECT_EQ(run({"diff", "-f", home_.path() + "/app.yaml"}).exit, 0);
  const Ran ran = run({"diff", "-f", home_.file("app2.yaml", with_image("web:2"))});
  EXPECT_EQ(ran.exit, 10);
  EXPECT_THAT(ran.out, HasSubstr("deployment/web\n"));
  EXPECT_THAT(ran.out, HasSubstr("web:2"));
  EXPECT_THAT(ran.out, Not(HasSubstr("service/web")));
}

TEST_F(Commands, LogsMergesReplicasByTime) {
  deploy();
  for (const char* pod : {"web-1-a", "web-1-b"}) {
    node_.put({{"apiVersion", "v1"},
               {"kind", "Pod"},
               {"metadata", {{"name", pod}}},
               {"spec", {{"containers", {{{"name", "web"}}}}}}});
  }
  node_.put({{"apiVersion", "v1"},
             {"kind", "Pod"},
             {"metadata", {{"name", "web-1-c"}}},
             {"spec", {{"containers", Json::array()}}}});
  node_.on_request([](const FakeRequest& request) -> std::optional<FakeAnswer> {
    if (!request.path.ends_with("/log")) return std::nullopt;
    FakeAnswer answer;
    answer.content_type = "application/x-ndjson";
    const bool a = request.path.find("web-1-a") != std::string::npos;
    const auto line = [](const char* time, const char* text) {
      return Json{{"time", time}, {"stream", "stdout"}, {"partial", false}, {"text", text}}.dump() +
             "\n";
    };
    answer.text = a ? line("2026-11-21T12:00:01Z", "first") + line("2026-11-21T12:00:03Z", "third")
                    : line("2026-11-21T12:00:02Z", "second");
    return answer;
  });
  EXPECT_EQ(run({"logs", "web"}).out,
            "web-1-a@n1 │ first\nweb-1-b@n1 │ second\nweb-1-a@n1 │ third\n");
  EXPECT_EQ(run({"logs", "web-1-a"}).out, "first\nthird\n");
  EXPECT_EQ(run({"logs", "web", "--grep", "^se"}).out, "web-1-b@n1 │ second\n");
  EXPECT_EQ(Json::parse(run({"logs", "web-1-b", "-o", "json"}).out).at("node"), "n1");
  EXPECT_EQ(run({"logs", "web", "--node", "n9"}).out, "");
  const Ran missing = run({"logs", "no-such-thing"});
  EXPECT_EQ(missing.exit, 3);
  EXPECT_EQ(run({"logs", "web", "--tail", "x"}).exit, 2);
}

TEST_F(Commands, ExecPassesStreamsAndTheExitCodeOn) {
  deploy();
  std::vector<std::string> command;
  node_.on_request([&](const FakeRequest& request) -> std::optional<FakeAnswer> {
    if (!request.path.ends_with("/exec")) return std::nullopt;
    command = request.command;
    FakeAnswer answer;
    answer.exec = FakeAnswer::Exec{"to out\n", "to err\n", 137, request.query.contains("stdin")};
    return answer;
  });
  const Ran ran = run({"exec", "web-1-a", "--", "sh", "-c", "exit 3", ""});
  EXPECT_EQ(ran.exit, 137);
  EXPECT_EQ(ran.out, "to out\n");
  EXPECT_EQ(ran.err, "to err\n");
  EXPECT_EQ(command, (std::vector<std::string>{"sh", "-c", "exit 3", ""}));
  EXPECT_THAT(run({"exec", "web", "--", "ls"}).err, HasSubstr("web-1-a of web"))
      << "which replica is said";
  EXPECT_EQ(run({"exec", "-i", "web-1-a", "--", "cat"}, "typed\n").out, "to out\ntyped\n");
  EXPECT_EQ(run({"exec", "web"}).exit, 2);
  EXPECT_EQ(run({"exec", "nobody", "--", "ls"}).exit, 3);
}

TEST_F(Commands, CpCarriesFilesBothWays) {
  deploy();
  std::string stored;
  node_.on_request([&](const FakeRequest& request) -> std::optional<FakeAnswer> {
    if (!request.path.ends_with("/files")) return std::nullopt;
    if (request.method == "PUT") {
      stored = request.body;
      return FakeAnswer{.body = {{"kind", "Status"}, {"status", "Success"}}};
    }
    if (stored.empty() || request.query.at("path") == "/srv/there.txt")
      return refuse(404, "NotFound", "no such file");
    if (request.query.contains("kindOnly")) return FakeAnswer{.body = {{"folder", true}}};
    return FakeAnswer{.text = stored, .content_type = "application/x-tar"};
  });
  home_.file("src/site/index.html", "hello");
  home_.file("src/site/deep/er.txt", std::string(300'000, 'x'));
  const Ran up = run({"cp", home_.path() + "/src/site", "web:/srv/there.txt"});
  EXPECT_EQ(up.exit, 0) << up.err;
  EXPECT_THAT(stored, HasSubstr("there.txt/index.html"));
  EXPECT_EQ(run({"cp", home_.path() + "/src/site", "web:/srv"}).exit, 0);
  EXPECT_THAT(stored, HasSubstr("site/index.html")) << "into the folder that is there";
  home_.file("back/keep", "");
  const Ran down = run({"cp", "web-1-a:/srv/site", home_.path() + "/back/copy"});
  EXPECT_EQ(down.exit, 0) << down.err;
  std::ifstream index(home_.path() + "/back/copy/index.html");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(index), {}), "hello");
  EXPECT_EQ(run({"cp", "a", "b"}).exit, 2);
  EXPECT_EQ(run({"cp", "web:/x", "web:/y"}).exit, 2);
}

TEST_F(Commands, FollowingALogGoesOnWhenTheDaemonStartsAnew) {
  deploy();
  node_.put({{"apiVersion", "v1"},
             {"kind", "Pod"},
             {"metadata", {{"name", "web-1-a"}}},
             {"spec", {{"containers", {{{"name", "web"}}}}}}});
  std::vector<std::string> asked;
  node_.on_request([&](const FakeRequest& request) -> std::optional<FakeAnswer> {
    if (!request.path.ends_with("/log")) return std::nullopt;
    const auto line = [](const char* time, const char* text) {
      return Json{{"time", time}, {"stream", "stdout"}, {"partial", false}, {"text", text}}.dump() +
             "\n";
    };
    const auto since = request.query.find("sinceTime");
    asked.push_back(since == request.query.end() ? "" : since->second);
    if (asked.size() == 2) return refuse(503, "Unavailable", "starting");
    FakeAnswer answer;
    answer.content_type = "application/x-ndjson";
    answer.cut = asked.size() == 1;
    answer.text = line("2026-11-21T12:00:02Z", "second") + line("2026-11-21T12:00:02Z", "second");
    if (answer.cut) {
      answer.text = line("2026-11-21T12:00:01Z", "first") + answer.text;
    } else {
      answer.text += line("2026-11-21T12:00:02Z", "third") + line("2026-11-21T12:00:03Z", "last");
    }
    return answer;
  });
  const Ran ran = run({"logs", "web-1-a", "-f", "--tail", "3"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.out, "first\nsecond\nsecond\nthird\nlast\n");
  EXPECT_EQ(asked, (std::vector<std::string>{"", "2026-11-21T12:00:02Z", "2026-11-21T12:00:02Z"}));
}

TEST_F(Commands, PsGoesOnWatchingWhenTheDaemonStartsAnew) {
  int asked = 0;
  node_.on_request([&](const FakeRequest& request) -> std::optional<FakeAnswer> {
    if (!request.path.ends_with("/ps")) return std::nullopt;
    if (++asked == 2) return refuse(503, "Unavailable", "starting");
    if (asked == 4) return refuse(403, "Forbidden", "enough");
    const Json item = {
        {"namespace", "default"}, {"name", "web-" + std::to_string(asked)}, {"state", "Running"}};
    return FakeAnswer{.body = {{"kind", "ReplicaList"}, {"items", {item}}}};
  });
  const Ran ran = run({"ps", "-w"});
  EXPECT_EQ(asked, 4);
  EXPECT_THAT(ran.out, HasSubstr("web-3"));
  EXPECT_THAT(ran.err, HasSubstr("enough"));
}

TEST_F(Commands, ImagesArePulledWithTheirNameAtTheEnd) {
  node_.on_request([](const FakeRequest& request) -> std::optional<FakeAnswer> {
    if (!request.path.ends_with("/images/pull")) return std::nullopt;
    FakeAnswer answer;
    answer.content_type = "application/x-ndjson";
    if (Json::parse(request.body).at("reference") == "gone") {
      answer.text =
          Json{{"type", "Error"}, {"status", refuse(404, "NotFound", "no image gone").body}}
              .dump() +
          "\n";
    } else {
      answer.text =
          Json{{"type", "Progress"}, {"bytesDone", 1}, {"bytesTotal", 2}}.dump() + "\n" +
          Json{{"type", "Done"},
               {"image", {{"resolved", "web@sha256:aa"}, {"bytes", 2}}},
               {"receipt", {{"sequence", 7}, {"root", "bbbb"}, {"signatures", 1}, {"voters", 1}}}}
              .dump() +
          "\n";
    }
    return answer;
  });
  const Ran ran = run({"image", "pull", "web:1"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.out, "web@sha256:aa\n");
  EXPECT_THAT(ran.err, HasSubstr("receipt 7  log bbbb…"));
  const Ran gone = run({"image", "pull", "gone"});
  EXPECT_EQ(gone.exit, 3);
  EXPECT_THAT(gone.err, HasSubstr("no image gone"));
  EXPECT_THAT(run({"image", "ls"}).out, HasSubstr("web:1"));
}

TEST_F(Commands, ADryRunDoesNothingWhateverTheCommand) {
  deploy();
  for (const auto& words : std::vector<std::vector<std::string>>{
           {"image", "gc"}, {"image", "pull", "web:1"}, {"dev", "stop"}, {"context", "use", "x"}}) {
    std::vector<std::string> dry = words;
    dry.emplace_back("--dry-run");
    const Ran ran = run(dry);
    EXPECT_EQ(ran.exit, 2) << words.back();
    EXPECT_THAT(ran.err, HasSubstr("nothing was done"));
  }
  EXPECT_EQ(run({"update", "web", "--pause", "--dry-run"}).exit, 0);
  EXPECT_FALSE(flag_at(*node_.find("Deployment", "web"), {"spec", "paused"}));
  EXPECT_EQ(run({"update", "web", "--pause"}).exit, 0);
  EXPECT_TRUE(flag_at(*node_.find("Deployment", "web"), {"spec", "paused"}));
}

TEST_F(Commands, AnExportDoesNotReplaceADevice) {
  node_.on_request([](const FakeRequest& request) -> std::optional<FakeAnswer> {
    if (request.path.find("/images/export") == std::string::npos) return std::nullopt;
    FakeAnswer answer;
    answer.content_type = "application/x-tar";
    answer.text = "archive";
    return answer;
  });
  const std::string device = home_.path() + "/null";
  std::filesystem::create_symlink("/dev/null", device);
  const Ran ran = run({"image", "export", "web:1", device});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_TRUE(std::filesystem::is_symlink(device));
  EXPECT_EQ(run({"image", "export", "web:1", home_.path() + "/web.tar"}).exit, 0);
  EXPECT_EQ(std::filesystem::file_size(home_.path() + "/web.tar"), 7u);
}

TEST_F(Commands, AFileThatIsNoConfigurationIsAProblemForProgramsToo) {
  const std::string file = home_.file("broken.yaml", "dns: [\n");
  const Ran ran = run({"config", "check", file, "-o", "json"});
  EXPECT_EQ(ran.exit, 10);
  EXPECT_EQ(Json::parse(ran.out).at("items").size(), 1u);
}

TEST_F(Commands, WaitReachesItsGoalOrTimesOut) {
  deploy();
  EXPECT_EQ(run({"wait", "deployment/web", "--for", "jsonpath={.spec.replicas}=3"}).exit, 0);
  const Ran late =
      run({"wait", "deployment/web", "--for", "condition=Never", "--timeout", "200ms"});
  EXPECT_EQ(late.exit, 5);
  EXPECT_EQ(run({"wait", "configmap/none", "--for", "delete"}).exit, 0);
  EXPECT_EQ(run({"wait", "deployment/web", "--for", "nonsense"}).exit, 2);
}

}  // namespace
}  // namespace cli
