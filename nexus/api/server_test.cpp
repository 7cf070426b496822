// The API as its clients see it: objects and refusals over a real unix socket.

#include <base/http/certificate.hpp>

#include "api/testing/api_fixture.hpp"

namespace nexus::api {
namespace {

using namespace std::chrono_literals;
using api_client::Client;
using base::Task;

constexpr const char* kDeployments = "/apis/apps/v1/namespaces/prod/deployments";
constexpr const char* kConfigMaps = "/api/v1/namespaces/prod/configmaps";

TEST_F(ApiTest, AnObjectIsMadeReadReplacedAndDeleted) {
  run([&](Client& client) -> Task<> {
    auto made = co_await client.request(make("POST", kDeployments, deployment("web")));
    EXPECT_EQ(made->status, 201) << made->body;
    EXPECT_GT(made->receipt()->sequence, 0u);
    EXPECT_FALSE(made->trace_id().empty());
    Json object = Json::parse(made->body);
    EXPECT_EQ(object["metadata"]["namespace"], "prod");
    EXPECT_FALSE(object["metadata"]["uid"].get<std::string>().empty());
    EXPECT_EQ(object["spec"]["strategy"]["type"], "RollingUpdate");  // Kubernetes' default.

    object["spec"]["replicas"] = 5;
    auto [put, replaced] = co_await ask(client, "PUT", std::string(kDeployments) + "/web", object);
    EXPECT_EQ(put, 200);
    EXPECT_EQ(replaced["spec"]["replicas"], 5);
    EXPECT_EQ(replaced["metadata"]["generation"], 2);
    auto [stale, conflict] =
        co_await ask(client, "PUT", std::string(kDeployments) + "/web", object);
    EXPECT_EQ(stale, 409);
    EXPECT_EQ(conflict["reason"], "Conflict");

    auto same = co_await client.request(make("PUT", std::string(kDeployments) + "/web", replaced));
    EXPECT_FALSE(same->changed());
    EXPECT_FALSE(same->receipt());

    auto deleted = co_await client.request(make("DELETE", std::string(kDeployments) + "/web"));
    EXPECT_EQ(deleted->status, 200);
    EXPECT_EQ(Json::parse(deleted->body)["status"], "Success");
    EXPECT_TRUE(deleted->receipt());
    auto [gone, status] = co_await ask(client, "GET", std::string(kDeployments) + "/web");
    EXPECT_EQ(gone, 404);
    EXPECT_EQ(status["kind"], "Status");
    EXPECT_EQ(status["reason"], "NotFound");
    EXPECT_EQ(status["details"]["kind"], "deployments");
    EXPECT_EQ(status["details"]["group"], "apps");
    EXPECT_FALSE(status["details"]["traceId"].get<std::string>().empty());
  });
}

TEST_F(ApiTest, WhatIsWrongIsRefusedByName) {
  struct Case {
    const char* method;
    std::string path;
    Json body;
    const char* type;
    int status;
    const char* reason;
  };
  const Json odd =
      deployment("web", {{"volumes", {{{"name", "v"}, {"flexVolume", {{"driver", "d"}}}}}}});
  Json nameless = config_map("x");
  nameless["metadata"].erase("name");
  const std::vector<Case> cases = {
      {"POST", kDeployments, odd, "application/json", 422, "Invalid"},
      {"POST", kDeployments, config_map("x"), "application/json", 400, "BadRequest"},
      {"POST", kDeployments, Json::array(), "application/json", 400, "BadRequest"},
      {"POST", kDeployments, deployment("web"), "application/yaml", 415, "UnsupportedMediaType"},
      {"POST", kConfigMaps, nameless, "application/json", 422, "Invalid"},
      {"POST", "/api/v1/namespaces/nowhere/configmaps", config_map("x"), "application/json", 404,
       "NotFound"},
      {"POST",
       "/api/v1/namespaces/default/configmaps",
       {{"metadata", {{"name", "x"}, {"namespace", "prod"}}}},
       "application/json",
       400,
       "BadRequest"},
      {"POST", std::string(kConfigMaps) + "?dryRun=Some", config_map("x"), "application/json", 400,
       "BadRequest"},
      {"PUT", std::string(kConfigMaps) + "/absent", config_map("absent"), "application/json", 404,
       "NotFound"},
      {"PUT", std::string(kConfigMaps) + "/other", config_map("x"), "application/json", 404,
       "NotFound"},
      {"PATCH", std::string(kConfigMaps) + "/absent", Json::object(),
       "application/merge-patch+json", 404, "NotFound"},
      {"PATCH", std::string(kConfigMaps) + "/absent", Json::object(),
       "application/apply-patch+yaml", 415, "UnsupportedMediaType"},
      {"DELETE", std::string(kConfigMaps) + "/absent", nullptr, "application/json", 404,
       "NotFound"},
      {"DELETE", "/api/v1/namespaces/default", nullptr, "application/json", 403, "Forbidden"},
      {"GET", "/api/v1/namespaces/prod/ingresses", nullptr, "application/json", 404, "NotFound"},
      {"GET", std::string(kConfigMaps) + "?fieldSelector=data.k%3Dv", nullptr, "application/json",
       400, "BadRequest"},
      {"GET", std::string(kConfigMaps) + "?continue=00", nullptr, "application/json", 410,
       "Expired"},
  };
  run([&](Client& client) -> Task<> {
    for (const Case& c : cases) {
      auto [code, status] = co_await ask(client, c.method, c.path, c.body, c.type);
      EXPECT_EQ(code, c.status) << c.method << " " << c.path << " " << status;
      EXPECT_EQ(status["reason"], c.reason) << c.path;
      EXPECT_EQ(status["code"], c.status);
    }
    auto [code, status] = co_await ask(client, "POST", kDeployments, odd);
    EXPECT_EQ(status["details"]["causes"][0]["field"], "spec.template.spec.volumes[0].flexVolume");
    EXPECT_FALSE(status["hints"].empty());
  });
}

TEST_F(ApiTest, UnknownFieldsAreRefusedWarnedAboutOrDropped) {
  Json odd = config_map("x");
  odd["colour"] = "red";
  run([&](Client& client) -> Task<> {
    auto strict = co_await client.request(make("POST", kConfigMaps, odd));
    EXPECT_EQ(strict->status, 422);
    auto warn = co_await client.request(
        make("POST", std::string(kConfigMaps) + "?fieldValidation=Warn", odd));
    EXPECT_EQ(warn->status, 201) << warn->body;
    EXPECT_EQ(warn->warnings().size(), 1u);
    EXPECT_NE(warn->warnings().at(0).find("colour"), std::string::npos);
    EXPECT_FALSE(Json::parse(warn->body).contains("colour"));
    odd["metadata"]["name"] = "y";
    auto ignore = co_await client.request(
        make("POST", std::string(kConfigMaps) + "?fieldValidation=Ignore", odd));
    EXPECT_EQ(ignore->status, 201);
    EXPECT_TRUE(ignore->warnings().empty());
  });
}

TEST_F(ApiTest, ADryRunAnswersAndChangesNothing) {
  run([&](Client& client) -> Task<> {
    auto dry = co_await client.request(
        make("POST", std::string(kDeployments) + "?dryRun=All", deployment("web")));
    EXPECT_EQ(dry->status, 201);
    EXPECT_FALSE(dry->receipt());
    EXPECT_EQ(Json::parse(dry->body)["spec"]["strategy"]["type"], "RollingUpdate");
    EXPECT_EQ((co_await ask(client, "GET", std::string(kDeployments) + "/web")).first, 404);
    (void)co_await ask(client, "POST", kDeployments, deployment("web"));
    EXPECT_EQ(
        (co_await ask(client, "POST", std::string(kDeployments) + "?dryRun=All", deployment("web")))
            .first,
        409);
    (void)co_await ask(client, "PATCH", std::string(kDeployments) + "/web?dryRun=All",
                       {{"spec", {{"replicas", 9}}}}, "application/merge-patch+json");
    (void)co_await ask(client, "DELETE", std::string(kDeployments) + "/web?dryRun=All");
    EXPECT_EQ((co_await ask(client, "GET", std::string(kDeployments) + "/web"))
                  .second["spec"]["replicas"],
              3);
  });
}

TEST_F(ApiTest, ThreeKindsOfPatch) {
  run([&](Client& client) -> Task<> {
    (void)co_await ask(client, "POST", kDeployments, deployment("web"));
    const std::string path = std::string(kDeployments) + "/web";
    auto [a, merged] =
        co_await ask(client, "PATCH", path, {{"metadata", {{"labels", {{"tier", "front"}}}}}},
                     "application/merge-patch+json");
    EXPECT_EQ(a, 200) << merged;
    EXPECT_EQ(merged["metadata"]["labels"]["tier"], "front");
    auto [b, patched] =
        co_await ask(client, "PATCH", path,
                     {{{"op", "test"}, {"path", "/spec/replicas"}, {"value", 3}},
                      {{"op", "replace"}, {"path", "/spec/replicas"}, {"value", 4}}},
                     "application/json-patch+json");
    EXPECT_EQ(b, 200) << patched;
    EXPECT_EQ(patched["spec"]["replicas"], 4);
    auto [c, refused] = co_await ask(client, "PATCH", path,
                                     {{{"op", "test"}, {"path", "/spec/replicas"}, {"value", 3}}},
                                     "application/json-patch+json");
    EXPECT_EQ(c, 422) << refused;
    auto [d, strategic] = co_await ask(
        client, "PATCH", path,
        {{"spec",
          {{"template", {{"spec", {{"containers", {{{"name", "web"}, {"image", "web:2"}}}}}}}}}}},
        "application/strategic-merge-patch+json");
    EXPECT_EQ(d, 200) << strategic;
    EXPECT_EQ(strategic["spec"]["template"]["spec"]["containers"].size(), 1u);
    EXPECT_EQ(strategic["spec"]["template"]["spec"]["containers"][0]["image"], "web:2");
    auto [e, wrong] = co_await ask(client, "PATCH", path, {{"spec", {{"replicas", -1}}}},
                                   "application/merge-patch+json");
    EXPECT_EQ(e, 422) << wrong;
    auto [f, renamed] = co_await ask(client, "PATCH", path, {{"metadata", {{"name", "other"}}}},
                                     "application/merge-patch+json");
    EXPECT_EQ(f, 400) << renamed;
  });
}

TEST_F(ApiTest, APatchIsReadLikeEveryBody) {
  run([&](Client& client) -> Task<> {
    (void)co_await ask(client, "POST", kDeployments, deployment("web"));
    const std::string path = std::string(kDeployments) + "/web";
    const std::string long_text(200'000, 'x');  // Read on the pool.
    auto [a, large] =
        co_await ask(client, "PATCH", path, {{"metadata", {{"annotations", {{"n", long_text}}}}}},
                     "application/merge-patch+json");
    EXPECT_EQ(a, 200);
    EXPECT_EQ(large["metadata"]["annotations"]["n"], long_text);
    for (const std::string body : {"null", "{\"a\":"}) {
      const auto refused =
          co_await client.request({.method = "PATCH",
                                   .path = path,
                                   .body = body,
                                   .content_type = "application/merge-patch+json"});
      EXPECT_EQ(refused->status, 400) << body;
    }
  });
}

TEST_F(ApiTest, StatusAndScaleAreWrittenApart) {
  run([&](Client& client) -> Task<> {
    (void)co_await ask(client, "POST", kDeployments, deployment("web"));
    const std::string path = std::string(kDeployments) + "/web";
    auto [a, status] = co_await ask(client, "PATCH", path + "/status",
                                    {{"status", {{"replicas", 2}}}, {"spec", {{"replicas", 99}}}},
                                    "application/merge-patch+json");
    EXPECT_EQ(a, 200) << status;
    EXPECT_EQ(status["status"]["replicas"], 2);
    EXPECT_EQ(status["spec"]["replicas"], 3);
    auto [b, scale] = co_await ask(client, "GET", path + "/scale");
    EXPECT_EQ(b, 200);
    EXPECT_EQ(scale["kind"], "Scale");
    EXPECT_EQ(scale["status"]["selector"], "app=web");
    scale["spec"]["replicas"] = 7;
    auto [c, scaled] = co_await ask(client, "PUT", path + "/scale", scale);
    EXPECT_EQ(c, 200) << scaled;
    EXPECT_EQ(scaled["spec"]["replicas"], 7);
    auto [d, again] = co_await ask(client, "PATCH", path + "/scale", {{"spec", {{"replicas", 1}}}},
                                   "application/merge-patch+json");
    EXPECT_EQ(d, 200) << again;
    auto [e, object] = co_await ask(client, "GET", path);
    EXPECT_EQ(object["spec"]["replicas"], 1);
    EXPECT_EQ(object["status"]["replicas"], 2);
  });
}

TEST_F(ApiTest, ListsAreSelectedAndPaged) {
  limits.slice_bytes = 700;  // Several slices for one list.
  run([&](Client& client) -> Task<> {
    for (int i = 0; i < 7; ++i)
      (void)co_await ask(client, "POST", kConfigMaps,
                         config_map("c" + std::to_string(i), {{"odd", i % 2 == 1 ? "yes" : "no"}}));
    auto [a, all] = co_await ask(client, "GET", "/api/v1/configmaps");
    EXPECT_EQ(all["kind"], "ConfigMapList");
    EXPECT_EQ(all["items"].size(), 7u);
    auto [b, odd] =
        co_await ask(client, "GET", std::string(kConfigMaps) + "?labelSelector=odd%3Dyes");
    EXPECT_EQ(odd["items"].size(), 3u);
    auto [c, one] =
        co_await ask(client, "GET", std::string(kConfigMaps) + "?fieldSelector=metadata.name%3Dc3");
    EXPECT_EQ(one["items"][0]["metadata"]["name"], "c3");
    std::vector<std::string> names;
    std::string token, version;
    do {
      auto [d, page] =
          co_await ask(client, "GET", std::string(kConfigMaps) + "?limit=3&continue=" + token);
      EXPECT_EQ(d, 200);
      for (const Json& item : page["items"]) names.push_back(item["metadata"]["name"]);
      if (!version.empty()) EXPECT_EQ(page["metadata"]["resourceVersion"], version);
      version = page["metadata"]["resourceVersion"];
      token = page["metadata"].value("continue", "");
      if (names.size() == 3) EXPECT_EQ(page["metadata"]["remainingItemCount"], 4);
      // What is written between two pages is seen as it is then.
      if (names.size() == 3) (void)co_await ask(client, "DELETE", std::string(kConfigMaps) + "/c4");
    } while (!token.empty());
    EXPECT_EQ(names, (std::vector<std::string>{"c0", "c1", "c2", "c3", "c5", "c6"}));
    auto [e, elsewhere] = co_await ask(client, "GET", "/api/v1/namespaces/default/configmaps");
    EXPECT_TRUE(elsewhere["items"].empty());
    auto [f, chosen] =
        co_await ask(client, "DELETE", std::string(kConfigMaps) + "?labelSelector=odd%3Dyes");
    EXPECT_EQ(chosen["items"].size(), 3u);
    auto [g, left] = co_await ask(client, "GET", kConfigMaps);
    EXPECT_EQ(left["items"].size(), 3u);
  });
}

TEST_F(ApiTest, NewObjectsStandWhereNobodyHasLookedAtThem) {
  run([&](Client& client) -> Task<> {
    Json wanted = pod("p");
    wanted["status"] = {{"phase", "Running"}};
    auto [a, made] = co_await ask(client, "POST", "/api/v1/namespaces/prod/pods", wanted);
    EXPECT_EQ(a, 201) << made;
    EXPECT_EQ(made["status"], Json({{"phase", "Pending"}}));
    auto [b, space] = co_await ask(
        client, "POST", "/api/v1/namespaces",
        {{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", "fresh"}}}});
    EXPECT_EQ(b, 201) << space;
    EXPECT_EQ(space["status"]["phase"], "Active");
  });
}

TEST_F(ApiTest, APodIsMarkedANamespaceTerminates) {
  run([&](Client& client) -> Task<> {
    (void)co_await ask(client, "POST", "/api/v1/namespaces/prod/pods",
                       pod("p", {{"terminationGracePeriodSeconds", 9}}));
    auto [a, marked] = co_await ask(client, "DELETE", "/api/v1/namespaces/prod/pods/p");
    EXPECT_EQ(a, 200);
    EXPECT_EQ(marked["kind"], "Pod");
    EXPECT_EQ(marked["metadata"]["deletionGracePeriodSeconds"], 9);
    auto [b, sooner] = co_await ask(client, "DELETE", "/api/v1/namespaces/prod/pods/p",
                                    {{"kind", "DeleteOptions"}, {"gracePeriodSeconds", 0}});
    EXPECT_EQ(sooner["metadata"]["deletionGracePeriodSeconds"], 0);
    auto [c, name_space] = co_await ask(client, "DELETE", "/api/v1/namespaces/prod");
    EXPECT_EQ(c, 200);
    EXPECT_TRUE(name_space["metadata"].contains("deletionTimestamp"));
    auto [d, shown] = co_await ask(client, "GET", "/api/v1/namespaces/prod");
    EXPECT_EQ(shown["status"]["phase"], "Terminating");
    auto [e, refused] = co_await ask(client, "POST", kConfigMaps, config_map("late"));
    EXPECT_EQ(e, 409) << refused;
  });
}

TEST_F(ApiTest, AnObjectGoesWithItsLastFinalizer) {
  run([&](Client& client) -> Task<> {
    Json held = config_map("held");
    held["metadata"]["finalizers"] = {"example.org/hold"};
    (void)co_await ask(client, "POST", kConfigMaps, held);
    auto [a, marked] = co_await ask(client, "DELETE", std::string(kConfigMaps) + "/held");
    EXPECT_EQ(a, 200);
    EXPECT_TRUE(marked["metadata"].contains("deletionTimestamp"));
    auto [b, freed] =
        co_await ask(client, "PATCH", std::string(kConfigMaps) + "/held",
                     {{"metadata", {{"finalizers", nullptr}}}}, "application/merge-patch+json");
    EXPECT_EQ(b, 200) << freed;
    EXPECT_EQ((co_await ask(client, "GET", std::string(kConfigMaps) + "/held")).first, 404);
  });
}

TEST_F(ApiTest, AServiceThatIsNotStoredTakesNoAddress) {
  run([this](api_client::Client& client) -> base::Task<> {
    const std::string path = "/api/v1/namespaces/prod/services";
    Json web = {{"apiVersion", "v1"},
                {"kind", "Service"},
                {"metadata", {{"name", "web"}}},
                {"spec", {{"ports", {{{"port", 80}}}}}}};
    EXPECT_EQ((co_await ask(client, "POST", path, web)).first, 201);
    EXPECT_EQ(allocator.used(), 1u);
    for (const char* address : {"10.0.240.7", "10.0.240.8"}) {
      web["spec"]["clusterIP"] = address;
      EXPECT_EQ((co_await ask(client, "POST", path, web)).first, 409);
    }
    EXPECT_EQ(allocator.used(), 1u);
    web["metadata"]["name"] = "other";
    EXPECT_EQ((co_await ask(client, "POST", path, web)).first, 201);
    EXPECT_EQ(allocator.used(), 2u);
  });
}

TEST_F(ApiTest, RolesHoldAndDenialsAreRecorded) {
  run([&](Client& admin) -> Task<> {
    Client view(executor(), config("view")), edit(executor(), config("edit"));
    auto [a, denied] = co_await ask(view, "POST", kConfigMaps, config_map("x"));
    EXPECT_EQ(a, 403);
    EXPECT_EQ(denied["reason"], "Forbidden");
    EXPECT_EQ((co_await ask(view, "GET", kConfigMaps)).first, 200);
    EXPECT_EQ((co_await ask(view, "GET", "/api/v1/namespaces/prod/secrets")).first, 403);
    EXPECT_EQ((co_await ask(edit, "POST", kConfigMaps, config_map("x"))).first, 201);
    EXPECT_EQ((co_await ask(edit, "DELETE", "/api/v1/namespaces/prod")).first, 403);
    const Json host =
        deployment("web", {{"volumes", {{{"name", "v"}, {"hostPath", {{"path", "/"}}}}}}});
    auto [b, refused] = co_await ask(edit, "POST", kDeployments, host);
    EXPECT_EQ(b, 403) << refused;
    EXPECT_EQ(refused["details"]["causes"][0]["field"], "spec.template.spec.volumes[0].hostPath");
    EXPECT_EQ((co_await ask(admin, "POST", kDeployments, host)).first, 201);
    // Scaling such a workload is no new privilege, another image is.
    EXPECT_EQ((co_await ask(edit, "PATCH", std::string(kDeployments) + "/web/scale",
                            {{"spec", {{"replicas", 1}}}}, "application/merge-patch+json"))
                  .first,
              200);
    auto [c, image] = co_await ask(edit, "PATCH", std::string(kDeployments) + "/web",
                                   {{{"op", "replace"},
                                     {"path", "/spec/template/spec/containers/0/image"},
                                     {"value", "evil:1"}}},
                                   "application/json-patch+json");
    EXPECT_EQ(c, 403) << image;
    auto [d, who] = co_await ask(view, "GET", "/apis/hypermesh.io/v1/whoami");
    EXPECT_EQ(who["role"], "view");
    auto [e, can] = co_await ask(
        view, "GET", "/apis/hypermesh.io/v1/can-i?verb=delete&kind=deploy&namespace=prod");
    EXPECT_EQ(can["allowed"], false);
    auto [f, log] = co_await ask(admin, "GET", "/apis/hypermesh.io/v1/audit?result=denied");
    EXPECT_EQ(log["items"].size(), 5u) << log;
    EXPECT_EQ(log["items"][4]["action"], "create");
    EXPECT_EQ(log["items"][4]["role"], "view");
    EXPECT_EQ((co_await ask(view, "GET", "/apis/hypermesh.io/v1/audit")).first, 403);
  });
}

TEST_F(ApiTest, ATokenOverTlsIsAskedFor) {
  const auto now = clock.wall();
  const auto certificate = base::http::make_self_signed({.common_name = "n1",
                                                         .addresses = {"127.0.0.1"},
                                                         .not_before = now - 1h,
                                                         .not_after = now + 24h});
  ASSERT_TRUE(certificate);
  const auto identity =
      base::http::TlsIdentity::from_pem(certificate->certificate_pem, certificate->key_pem);
  run([&](Client&) -> Task<> {
    auto listener = *base::http::listen_tcp(executor(), "127.0.0.1", 0, &*identity);
    const std::uint16_t port = listener->port();
    server->serve(std::move(listener));
    const auto with = [&](std::string token) {
      api_client::Config config;
      config.endpoints.push_back({.name = "n1",
                                  .address = "127.0.0.1",
                                  .port = port,
                                  .token = std::move(token),
                                  .certificate_pem = certificate->certificate_pem});
      return config;
    };
    Client ana(executor(), with(std::string(32, 'a'))), bob(executor(), with(std::string(32, 'v'))),
        stranger(executor(), with("guess")), nobody(executor(), with(""));
    EXPECT_EQ((co_await ask(ana, "POST", kConfigMaps, config_map("x"))).first, 201);
    EXPECT_EQ((co_await ask(bob, "GET", kConfigMaps)).first, 200);
    EXPECT_EQ((co_await ask(bob, "POST", kConfigMaps, config_map("y"))).first, 403);
    EXPECT_EQ((co_await ask(stranger, "GET", kConfigMaps)).first, 401);
    auto [code, status] = co_await ask(nobody, "GET", "/no/such/path");
    EXPECT_EQ(code, 401);
    EXPECT_EQ(status["reason"], "Unauthorized");
    EXPECT_EQ((co_await ask(nobody, "GET", "/livez")).first, 200);
    Client raised(executor(), [&] {
      auto config = with(std::string(32, 'v'));
      config.role = "admin";
      return config;
    }());
    EXPECT_EQ((co_await ask(raised, "GET", kConfigMaps)).first, 403);
  });
}

TEST_F(ApiTest, SecretsComeBackButStayOutOfTheAuditLog) {
  run([&](Client& client) -> Task<> {
    const Json secret = {{"apiVersion", "v1"},
                         {"kind", "Secret"},
                         {"metadata", {{"name", "s"}}},
                         {"stringData", {{"password", "hunter2"}}}};
    auto [a, made] = co_await ask(client, "POST", "/api/v1/namespaces/prod/secrets", secret);
    EXPECT_EQ(a, 201) << made;
    EXPECT_EQ(made["data"]["password"], "aHVudGVyMg==");
    auto exported = co_await client.request(make("GET", "/apis/hypermesh.io/v1/audit/export"));
    EXPECT_EQ(exported->body.find("hunter2"), std::string::npos);
    EXPECT_EQ(exported->body.find("aHVudGVyMg"), std::string::npos);
    EXPECT_NE(exported->body.find("secret/s"), std::string::npos);
  });
}

TEST_F(ApiTest, TheTraceIdIsTheClients) {
  run([&](Client&) -> Task<> {
    auto traced = config();
    traced.trace_id = "my-trace.1";
    Client client(executor(), traced);
    auto made = co_await client.request(make("POST", kConfigMaps, config_map("x")));
    EXPECT_EQ(made->trace_id(), "my-trace.1");
    auto [a, refused] = co_await ask(client, "POST", kConfigMaps, config_map("x"));
    EXPECT_EQ(a, 409);
    EXPECT_EQ(refused["details"]["traceId"], "my-trace.1");
    auto [b, log] = co_await ask(client, "GET", "/apis/hypermesh.io/v1/audit?limit=1");
    EXPECT_EQ(log["items"][0]["traceId"], "my-trace.1");
    traced.trace_id = "bad id";
    Client odd(executor(), traced);
    auto other = co_await odd.request(make("GET", "/livez"));
    EXPECT_NE(other->trace_id(), "bad id");
  });
}

TEST_F(ApiTest, AFullDiskRefusesWritesAndServesReads) {
  run([&](Client& client) -> Task<> {
    (void)co_await ask(client, "POST", kConfigMaps, config_map("a"));
    store.set_full(true);
    auto [a, refused] = co_await ask(client, "POST", kConfigMaps, config_map("b"));
    EXPECT_EQ(a, 429) << refused;
    EXPECT_EQ(refused["errc"], "ResourceExhausted");
    EXPECT_EQ((co_await ask(client, "GET", std::string(kConfigMaps) + "/a")).first, 200);
    store.set_full(false);
    EXPECT_EQ((co_await ask(client, "POST", kConfigMaps, config_map("b"))).first, 201);
  });
}

}  // namespace
}  // namespace nexus::api
