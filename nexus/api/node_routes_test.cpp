// What the node tells about itself and its workloads; images; the audit log.

#include "api/testing/api_fixture.hpp"
#include "audit/merkle.hpp"

namespace nexus::api {
namespace {

using namespace std::chrono_literals;
using api_client::Client;
using base::Task;

constexpr const char* kOurs = "/apis/hypermesh.io/v1/";
constexpr const char* kConfigMaps = "/api/v1/namespaces/prod/configmaps";

TEST_F(ApiTest, TheNodeTellsWhatItIs) {
  node.problems = {{"one replica", "hm dev --nodes 4"}};
  run([&](Client& client) -> Task<> {
    auto [a, info] = co_await ask(client, "GET", std::string(kOurs) + "node");
    EXPECT_EQ(info["name"], "n1");
    EXPECT_EQ(info["state"], "Ready");
    EXPECT_EQ(info["pid"], getpid());
    EXPECT_EQ(info["problems"][0]["hint"], "hm dev --nodes 4");
    auto [b, doctor] = co_await ask(client, "GET", std::string(kOurs) + "doctor");
    EXPECT_EQ(doctor["items"][0]["state"], "warning");
    auto [c, config] = co_await ask(client, "GET", std::string(kOurs) + "config/effective");
    EXPECT_EQ(config["items"][0]["value"], 5);
    EXPECT_EQ((co_await client.request(make("GET", "/readyz")))->body, "ok");
    node.state = "Starting";
    EXPECT_EQ((co_await client.request(make("GET", "/readyz")))->status, 503);
    EXPECT_EQ((co_await client.request(make("GET", "/livez")))->status, 200);
    auto [d, version] = co_await ask(client, "GET", "/version");
    EXPECT_EQ(version["major"], "1");
    EXPECT_EQ(version["hypermesh"], "0.1.0");
    auto [e, index] = co_await ask(client, "GET", "/openapi/v3");
    auto [f, document] =
        co_await ask(client, "GET", index["paths"]["apis/apps/v1"]["serverRelativeURL"]);
    EXPECT_TRUE(document["components"]["schemas"].contains("io.k8s.api.apps.v1.Deployment"));
    EXPECT_EQ((co_await ask(client, "GET", "/openapi/v3/apis/none/v1")).first, 404);
  });
}

TEST_F(ApiTest, WhatIsComputedIsServedAndCannotBeWatched) {
  run([&](Client& client) -> Task<> {
    auto [a, everywhere] = co_await ask(client, "GET", "/api/v1/endpoints");
    EXPECT_EQ(everywhere["kind"], "EndpointsList");
    EXPECT_EQ(everywhere["items"].size(), 2u);
    auto [b, here] = co_await ask(client, "GET", "/api/v1/namespaces/prod/endpoints");
    EXPECT_EQ(here["items"].size(), 1u);
    auto [c, one] =
        co_await ask(client, "GET", "/apis/discovery.k8s.io/v1/namespaces/test/endpointslices/web");
    EXPECT_EQ(c, 200);
    EXPECT_EQ(one["metadata"]["namespace"], "test");
    EXPECT_EQ((co_await ask(client, "GET", "/api/v1/namespaces/prod/endpoints/none")).first, 404);
    EXPECT_EQ((co_await ask(client, "GET", "/api/v1/endpoints?watch=true")).first, 405);
  });
}

TEST_F(ApiTest, RequestsAreMeasured) {
  run([&](Client& client) -> Task<> {
    (void)co_await ask(client, "GET", kConfigMaps);
    (void)co_await ask(client, "GET", std::string(kConfigMaps) + "/absent");
    const std::string page = (co_await client.request(make("GET", "/metrics")))->body;
    EXPECT_NE(
        page.find(R"(nexus_api_request_seconds_count{code="200",kind="configmaps",verb="list"} 1)"),
        std::string::npos)
        << page;
    EXPECT_NE(page.find(R"(nexus_api_requests_total{code="404",kind="configmaps",verb="get"} 1)"),
              std::string::npos);
  });
}

TEST_F(ApiTest, PsHasARowForEachPod) {
  run([&](Client& client) -> Task<> {
    auto [a, made] = co_await ask(client, "POST", "/api/v1/namespaces/prod/pods", pod("web"));
    PodStatus running;
    running.uid = made["metadata"]["uid"];
    ContainerStatus container;
    container.id = {running.uid, "web"};
    container.state = ContainerState::Running;
    container.pid = 4711;
    running.containers = {container};
    driver.pods = {running};
    auto [b, rows] = co_await ask(client, "GET", std::string(kOurs) + "ps?namespace=prod");
    EXPECT_EQ(rows["items"].size(), 1u);
    EXPECT_EQ(rows["items"][0]["name"], "web");
    EXPECT_EQ(rows["items"][0]["pid"], 4711);
    EXPECT_EQ(rows["items"][0]["ready"], false);
    for (const char* key :
         {"name", "ready", "state", "restarts", "node", "ip", "workload", "pid", "image"})
      EXPECT_TRUE(rows["items"][0].contains(key)) << key;
    EXPECT_EQ((co_await ask(client, "GET", std::string(kOurs) + "ps?namespace=default"))
                  .second["items"]
                  .size(),
              0u);
    EXPECT_EQ((co_await ask(client, "GET", std::string(kOurs) + "ps?name=absent")).first, 404);
  });
}

TEST_F(ApiTest, WhyReadsTheLastWordsOfACrash) {
  run([&](Client& client) -> Task<> {
    (void)co_await ask(client, "POST", "/api/v1/namespaces/prod/pods", pod("job"));
    const Json status = {
        {"phase", "Running"},
        {"containerStatuses",
         {{{"name", "web"},
           {"ready", false},
           {"restartCount", 5},
           {"state", {{"waiting", {{"reason", "CrashLoopBackOff"}}}}},
           {"lastState",
            {{"terminated",
              {{"exitCode", 1}, {"reason", "Error"}, {"finishedAt", "2026-11-21T12:00:00Z"}}}}}}}}};
    auto [a, patched] = co_await ask(client, "PATCH", "/api/v1/namespaces/prod/pods/job/status",
                                     {{"status", status}}, "application/merge-patch+json");
    EXPECT_EQ(a, 200) << patched;
    driver.log = {{clock.wall(), false, false, "config: missing key DB_URL"}};
    auto [b, why] = co_await ask(client, "GET", std::string(kOurs) + "why/prod/po/job");
    EXPECT_EQ(b, 200) << why;
    EXPECT_EQ(why["object"], "pod/job");
    EXPECT_NE(why.dump().find("missing key DB_URL"), std::string::npos) << why;
    EXPECT_EQ((co_await ask(client, "GET", std::string(kOurs) + "why/prod/pod/absent")).first, 404);
    EXPECT_EQ((co_await ask(client, "GET", std::string(kOurs) + "why/prod/zebra/x")).first, 422);
  });
}

TEST_F(ApiTest, ADeploymentGoesBackToAnEarlierRevision) {
  run([&](Client& client) -> Task<> {
    const std::string path = "/apis/apps/v1/namespaces/prod/deployments";
    auto [a, web] = co_await ask(client, "POST", path, deployment("web"));
    // What the controller makes of two revisions.
    const auto set = [&](int revision, std::string image, std::string hash) {
      Json pod_template = web["spec"]["template"];
      pod_template["metadata"]["labels"]["pod-template-hash"] = hash;
      pod_template["spec"]["containers"][0]["image"] = image;
      return Json{
          {"apiVersion", "apps/v1"},
          {"kind", "ReplicaSet"},
          {"metadata",
           {{"name", "web-" + hash},
            {"annotations", {{"deployment.kubernetes.io/revision", std::to_string(revision)}}},
            {"ownerReferences",
             {{{"apiVersion", "apps/v1"},
               {"kind", "Deployment"},
               {"name", "web"},
               {"uid", web["metadata"]["uid"]},
               {"controller", true}}}}}},
          {"spec",
           {{"replicas", 0},
            {"selector", {{"matchLabels", {{"app", "web"}, {"pod-template-hash", hash}}}}},
            {"template", pod_template}}}};
    };
    const std::string sets = "/apis/apps/v1/namespaces/prod/replicasets";
    auto [b, old_set] = co_await ask(client, "POST", sets, set(1, "web:0", "aaa"));
    EXPECT_EQ(b, 201) << old_set;
    (void)co_await ask(client, "POST", sets, set(2, "web:1", "bbb"));

    auto [c, history] =
        co_await ask(client, "GET", std::string(kOurs) + "deployments/prod/web/history");
    EXPECT_EQ(history["items"].size(), 2u) << history;
    EXPECT_EQ(history["items"][0]["revision"], 2);
    EXPECT_EQ(history["items"][0]["state"], "current");
    EXPECT_EQ(history["items"][1]["images"][0], "web:0");

    const std::string rollback = std::string(kOurs) + "deployments/prod/web/rollback";
    auto [d, none] = co_await ask(client, "POST", rollback, {{"toRevision", 9}});
    EXPECT_EQ(d, 404);
    EXPECT_NE(none["message"].get<std::string>().find("1, 2"), std::string::npos);
    auto [e, same] = co_await ask(client, "POST", rollback, {{"toRevision", 2}});
    EXPECT_EQ(e, 412);
    auto back = co_await client.request(make("POST", rollback));
    EXPECT_EQ(back->status, 200) << back->body;
    EXPECT_TRUE(back->receipt());
    const Json object = Json::parse(back->body);
    EXPECT_EQ(object["spec"]["template"]["spec"]["containers"][0]["image"], "web:0");
    EXPECT_FALSE(object["spec"]["template"]["metadata"]["labels"].contains("pod-template-hash"));

    auto [f, paused] =
        co_await ask(client, "POST", std::string(kOurs) + "deployments/prod/web/pause");
    EXPECT_EQ(paused["spec"]["paused"], true);
    EXPECT_EQ((co_await ask(client, "POST", rollback)).first, 412);
    EXPECT_EQ(
        (co_await ask(client, "POST", std::string(kOurs) + "deployments/prod/web/restart")).first,
        412);
    auto [g, resumed] =
        co_await ask(client, "POST", std::string(kOurs) + "deployments/prod/web/resume");
    EXPECT_NE(resumed["spec"].value("paused", false), true);
    auto [h, restarted] =
        co_await ask(client, "POST", std::string(kOurs) + "deployments/prod/web/restart");
    EXPECT_TRUE(restarted["spec"]["template"]["metadata"]["annotations"].contains(
        "kubectl.kubernetes.io/restartedAt"));
    EXPECT_EQ((co_await ask(client, "POST", std::string(kOurs) + "deployments/prod/absent/restart"))
                  .first,
              404);
  });
}

TEST_F(ApiTest, TopMeasuresOverAWindow) {
  run([&](Client& client) -> Task<> {
    (void)co_await ask(client, "POST", "/api/v1/namespaces/prod/pods", pod("web"));
    auto [a, once] = co_await ask(client, "GET", std::string(kOurs) + "top");
    EXPECT_FALSE(once["items"][0]["containers"][0].contains("cpuMillis"));
    EXPECT_EQ(once["items"][0]["containers"][0]["memoryBytes"], 4096);
    auto [b, twice] =
        co_await ask(client, "GET", std::string(kOurs) + "top?namespace=prod&window=1ms");
    EXPECT_TRUE(twice["items"][0]["containers"][0].contains("cpuMillis"));
    for (const char* bad : {"1", "s", "1h", "-1s", "11s"})
      EXPECT_EQ((co_await ask(client, "GET", std::string(kOurs) + "top?window=" + bad)).first, 400)
          << bad;
  });
}

TEST_F(ApiTest, ImagesComeGoAndAreListed) {
  images.images["web:1"] = std::string(600'000, 'i');
  run([&](Client& client) -> Task<> {
    const std::string path = std::string(kOurs) + "images";
    EXPECT_EQ((co_await ask(client, "GET", path)).second["items"][0]["references"][0], "web:1");
    EXPECT_EQ((co_await client.request(make("GET", path + "/export?reference=web:1")))->body,
              images.images["web:1"]);
    EXPECT_EQ((co_await ask(client, "GET", path + "/export?reference=absent")).first, 404);
    EXPECT_EQ((co_await ask(client, "GET", path + "/inspect?reference=web:1")).first, 200);
    int pieces = 0;
    auto stored = co_await client.upload({.method = "POST",
                                          .path = path + "/import?reference=new:1",
                                          .content_type = "application/x-tar"},
                                         [&]() -> Task<base::Result<base::Bytes>> {
                                           co_return base::Bytes(pieces++ < 40 ? 100'000 : 0, 'n');
                                         });
    EXPECT_TRUE(stored.has_value()) << stored.error().message;
    EXPECT_EQ(images.images["new:1"].size(), 4'000'000u);
    auto [a, missing] =
        co_await ask(client, "POST", path + "/import?reference=x", {{"path", "/no/such/file"}});
    EXPECT_EQ(a, 404);
    EXPECT_EQ((co_await ask(client, "POST", path + "/import", Json::array())).first, 400);
    auto removed = co_await client.request(make("DELETE", path + "?reference=new:1"));
    EXPECT_EQ(removed->status, 200);
    EXPECT_TRUE(removed->receipt());
    EXPECT_EQ((co_await ask(client, "DELETE", path)).first, 400);
    EXPECT_EQ((co_await ask(client, "POST", path + "/gc")).second["bytesFreed"], 10);
  });
}

TEST_F(ApiTest, APullTellsItsProgressAndItsEnd) {
  limits.pull_progress_interval = 1ms;
  driver.pull_time = 20ms;
  images.progress = {{"registry/web:1", 5, 10, 1, 2}};
  run([&](Client& client) -> Task<> {
    const auto lines_of = [&](Json body) -> Task<std::vector<Json>> {
      auto stream = co_await client.stream(make("POST", std::string(kOurs) + "images/pull", body));
      std::vector<Json> lines;
      while (auto line = *co_await (*stream)->next_line()) lines.push_back(Json::parse(*line));
      co_return lines;
    };
    const auto lines = co_await lines_of({{"reference", "web:1"}});
    EXPECT_EQ(lines.front()["type"], "Progress");
    EXPECT_EQ(lines.front()["bytesDone"], 5);
    EXPECT_EQ(lines.back()["type"], "Done");
    EXPECT_EQ(lines.back()["image"]["resolved"], "web:1@sha256:00");
    EXPECT_GT(lines.back()["receipt"]["sequence"], 0);
    driver.error = base::make_error(base::Errc::NotFound, "no such image");
    const auto failed = co_await lines_of({{"reference", "absent"}, {"policy", "Always"}});
    EXPECT_EQ(failed.back()["type"], "Error");
    EXPECT_EQ(failed.back()["status"]["errc"], "NotFound");
    auto [code, log] = co_await ask(client, "GET", std::string(kOurs) + "audit?verb=pull");
    EXPECT_EQ(log["items"][0]["result"], "NotFound") << log;
    EXPECT_EQ(log["items"][1]["result"], "ok") << log;
    EXPECT_EQ(
        (co_await ask(client, "POST", std::string(kOurs) + "images/pull", {{"policy", "Always"}}))
            .first,
        400);
  });
}

// Recomputes the root from an inclusion proof (RFC 9162 section 2.1.3.2), as a stranger would.
base::Digest root_of_proof(std::uint64_t index, std::uint64_t size, base::Digest hash,
                           const Json& path) {
  const auto node = [](const base::Digest& left, const base::Digest& right) {
    base::ByteWriter writer;
    writer.u8(1);
    writer.raw(left);
    writer.raw(right);
    return base::sha256(writer.view());
  };
  std::uint64_t last = size - 1;
  for (const Json& step : path) {
    base::Digest sibling{};
    const auto bytes = *base::from_hex(step.get<std::string>());
    std::ranges::copy(bytes, sibling.begin());
    if ((index & 1) == 1 || index == last) {
      hash = node(sibling, hash);
      while ((index & 1) == 0 && index != 0) {
        index >>= 1;
        last >>= 1;
      }
    } else {
      hash = node(hash, sibling);
    }
    index >>= 1;
    last >>= 1;
  }
  return hash;
}

TEST_F(ApiTest, AReceiptIsProvenByTheAuditLog) {
  run([&](Client& client) -> Task<> {
    std::uint64_t sequence = 0;
    for (int i = 0; i < 5; ++i) {
      auto made =
          co_await client.request(make("POST", kConfigMaps,
                                       Json{{"apiVersion", "v1"},
                                            {"kind", "ConfigMap"},
                                            {"metadata", {{"name", "c" + std::to_string(i)}}}}));
      if (i == 2) sequence = made->receipt()->sequence;
    }
    const std::string path = std::string(kOurs) + "audit";
    auto [a, proof] = co_await ask(client, "GET", path + "/" + std::to_string(sequence) + "/proof");
    EXPECT_EQ(a, 200) << proof;
    EXPECT_EQ(proof["record"]["object"], "configmap/c2");
    base::ByteWriter leaf;
    leaf.u8(0);
    leaf.raw(*base::from_hex(proof["leaf"].get<std::string>()));
    EXPECT_EQ(base::to_hex(root_of_proof(sequence - 1, proof["treeSize"], base::sha256(leaf.view()),
                                         proof["path"])),
              proof["root"].get<std::string>());
    EXPECT_EQ((co_await ask(client, "GET", path + "/99999/proof")).first, 404);
    EXPECT_EQ((co_await ask(client, "GET", path + "/x/proof")).first, 400);
    auto [b, verified] = co_await ask(client, "POST", path + "/verify", Json::object());
    EXPECT_EQ(verified["ok"], true);
    EXPECT_GE(verified["records"].get<std::uint64_t>(), 5u);
    auto [c, found] =
        co_await ask(client, "GET", path + "?kind=cm&name=c2&namespace=prod&verb=create&since=1h");
    EXPECT_EQ(found["items"].size(), 1u);
    EXPECT_EQ(found["items"][0]["sequence"], sequence);
    EXPECT_EQ((co_await ask(client, "GET", path + "?name=c2")).first, 400);
    auto exported = co_await client.stream({.path = path + "/export"});
    std::uint64_t last = 0;
    while (auto line = *co_await (*exported)->next_line()) {
      const std::uint64_t next = Json::parse(*line)["sequence"];
      EXPECT_EQ(next, last + 1);
      last = next;
    }
    EXPECT_EQ(last, verified["records"].get<std::uint64_t>());
  });
}

}  // namespace
}  // namespace nexus::api
