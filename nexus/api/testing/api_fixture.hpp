#pragma once

// A whole API server on a socket of its own, with objects in memory, and a client of it.

#include <gtest/gtest.h>
#include <unistd.h>

#include <api_client/blocking.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "api/api_server.hpp"
#include "api/testing/fake_images.hpp"
#include "api/testing/scripted_driver.hpp"
#include "objects/object.hpp"
#include "objects/object_store_testing.hpp"
#include "orchestration/event_log.hpp"
#include "orchestration/service_addresses.hpp"
#include "orchestration/testing/sequential_addresses.hpp"

namespace nexus::api {

class ApiTest : public testing::Test {
 protected:
  // To be changed before run().
  Limits limits;
  base::http::ServerLimits http_limits;

  base::Executor executor() { return blocking_.executor(); }
  std::string socket_path() const { return folder_.path() / "api.sock"; }

  static Json deployment(std::string name, Json spec = Json::object()) {
    Json pod = {{"containers", {{{"name", "web"}, {"image", "web:1"}}}}};
    pod.update(spec);
    return {{"apiVersion", "apps/v1"},
            {"kind", "Deployment"},
            {"metadata", {{"name", name}}},
            {"spec",
             {{"replicas", 3},
              {"selector", {{"matchLabels", {{"app", name}}}}},
              {"template", {{"metadata", {{"labels", {{"app", name}}}}}, {"spec", pod}}}}}};
  }
  static Json config_map(std::string name, Json labels = Json::object()) {
    return {{"apiVersion", "v1"},
            {"kind", "ConfigMap"},
            {"metadata", {{"name", name}, {"labels", labels}}},
            {"data", {{"k", "v"}}}};
  }
  static Json pod(std::string name, Json spec = Json::object()) {
    Json whole = {{"containers", {{{"name", "web"}, {"image", "web:1"}}}}};
    whole.update(spec);
    return {{"apiVersion", "v1"},
            {"kind", "Pod"},
            {"metadata", {{"name", name}, {"labels", {{"app", "web"}}}}},
            {"spec", whole}};
  }

  /// Runs `body` with a client beside a server that answers; then stops everything.
  template <class Body>
  void run(Body body) {
    blocking_.run([](ApiTest& test, Body b) -> base::Task<int> {
      co_await test.start();
      {
        api_client::Client client(test.executor(), test.config());
        co_await b(client);
      }
      co_await test.finish();
      co_return 0;
    }(*this, std::move(body)));
  }

  api_client::Config config(std::string role = {}) const {
    api_client::Config config;
    config.endpoints.push_back({.name = "n1", .socket_path = socket_path()});
    config.role = std::move(role);
    return config;
  }

  base::Task<> start() {
    auto opened = co_await store.open(executor());
    BASE_ASSERT(opened.has_value(), opened ? "" : opened.error().describe());
    for (const char* name : {"default", "prod"}) {
      auto made = co_await store.store().create(
          {"system", "system", "node", ""},
          {{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", name}}}});
      BASE_ASSERT(made.has_value(), made ? "" : made.error().describe());
    }
    Backend backend{
        .objects = store.store(),
        .driver = driver,
        .audit = store.audit(),
        .events = events,
        .images = &images,
        .pool = pool_,
        .metrics = store.metrics(),
        .clock = clock,
        .rng = rng_,
        .log = {},
        .node = [this] { return node; },
        .doctor = []() -> base::Task<std::vector<DoctorCheck>> {
          co_return std::vector<DoctorCheck>{
              {DoctorCheck::State::Warning, "disk", "slow", "buy another"}};
        },
        .configuration =
            [] { return std::vector<ConfigItem>{{"nexus", "dns.ttl", "5", "default", ""}}; },
        .allot = [this](Json& service,
                        const Json* previous) { return addresses.assign(service, previous); },
        .settle =
            [this](const ObjectRef& ref, bool) {
              const ObjectPtr stored = store.store().find(ref);
              addresses.settle(ref, stored == nullptr ? nullptr : &stored->json);
            },
        .computed =
            [](std::string_view kind, const std::optional<std::string>& name_space) {
              std::vector<Json> objects;
              for (const char* space : {"prod", "test"}) {
                if (name_space && *name_space != space) continue;
                objects.push_back(
                    {{"kind", kind}, {"metadata", {{"name", "web"}, {"namespace", space}}}});
              }
              return objects;
            },
        .spool = folder_.path() / "spool"};
    auto tokens = TokenTable::parse(std::string(32, 'a') + " admin ana\n" + std::string(32, 'v') +
                                    " view bob\n");
    server = std::make_unique<ApiServer>(executor(), std::move(backend), *std::move(tokens),
                                         getuid(), limits, http_limits);
    server->serve(*base::http::listen_unix(executor(), socket_path(), 0660));
  }
  base::Task<> finish() {
    co_await server->stop();
    server.reset();
    co_await store.close();
  }

  static api_client::Request make(std::string method, std::string path, const Json& body = nullptr,
                                  std::string type = "application/json") {
    return {.method = std::move(method),
            .path = std::move(path),
            .body = body.is_null() ? "" : body.dump(),
            .content_type = std::move(type)};
  }
  /// The answer's status and JSON.
  static base::Task<std::pair<int, Json>> ask(api_client::Client& client, std::string method,
                                              std::string path, const Json& body = nullptr,
                                              std::string type = "application/json") {
    auto response =
        co_await client.request(make(std::move(method), std::move(path), body, std::move(type)));
    if (!response) {
      ADD_FAILURE() << response.error().describe();
      co_return std::pair(0, Json());
    }
    co_return std::pair(response->status, Json::parse(response->body, nullptr, false));
  }

 private:
  TemporaryFolder folder_;
  api_client::Blocking blocking_;
  base::BlockingPool pool_{1};
  base::SeededRng rng_{7};

 protected:
  base::SystemClock clock;
  TestObjectStore store;
  ScriptedDriver driver{blocking_.executor()};
  FakeImages images;
  orchestration::EventLog events;
  orchestration::SequentialAddresses allocator;
  orchestration::ServiceAddresses addresses{allocator};
  NodeInfo node{.name = "n1",
                .state = "Ready",
                .api = "[::1]:8443",
                .version = "0.1.0",
                .addresses = {"::1"}};
  std::unique_ptr<ApiServer> server;
};

}  // namespace nexus::api
