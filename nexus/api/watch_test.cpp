// Watches of objects and of events, and tables in the place of objects.

#include "api/testing/api_fixture.hpp"

namespace nexus::api {
namespace {

using namespace std::chrono_literals;
using api_client::Client;
using base::Task;

constexpr const char* kConfigMaps = "/api/v1/namespaces/prod/configmaps";
constexpr const char* kPods = "/api/v1/namespaces/prod/pods";

TEST_F(ApiTest, AWatchTellsEveryChangeAndNothingElse) {
  run([&](Client& client) -> Task<> {
    (void)co_await ask(client, "POST", kConfigMaps, config_map("old", {{"app", "web"}}));
    auto watch = co_await client.stream(
        {.path = std::string(kConfigMaps) + "?watch=1&labelSelector=app%3Dweb"});
    const auto next = [&]() -> Task<std::string> {
      const auto line = co_await (*watch)->next_line();
      if (!line || !*line) co_return "end";
      const Json event = Json::parse(**line);
      co_return event["type"].get<std::string>() + " " +
          event["object"]["metadata"].value("name", "");
    };
    EXPECT_EQ(co_await next(), "ADDED old");
    (void)co_await ask(client, "POST", kConfigMaps, config_map("other", {{"app", "db"}}));
    (void)co_await ask(client, "POST", kConfigMaps, config_map("new", {{"app", "web"}}));
    EXPECT_EQ(co_await next(), "ADDED new");
    (void)co_await ask(client, "PATCH", std::string(kConfigMaps) + "/new", {{"data", {{"k", "w"}}}},
                       "application/merge-patch+json");
    EXPECT_EQ(co_await next(), "MODIFIED new");
    (void)co_await ask(client, "PATCH", std::string(kConfigMaps) + "/new",
                       {{"metadata", {{"labels", {{"app", "db"}}}}}},
                       "application/merge-patch+json");
    EXPECT_EQ(co_await next(), "DELETED new");
    (void)co_await ask(client, "PATCH", std::string(kConfigMaps) + "/other",
                       {{"metadata", {{"labels", {{"app", "web"}}}}}},
                       "application/merge-patch+json");
    EXPECT_EQ(co_await next(), "ADDED other");
    (void)co_await ask(client, "DELETE", std::string(kConfigMaps) + "/old");
    EXPECT_EQ(co_await next(), "DELETED old");
  });
}

TEST_F(ApiTest, AWatchGoesOnFromARevisionAndEndsInTime) {
  run([&](Client& client) -> Task<> {
    (void)co_await ask(client, "POST", kConfigMaps, config_map("a"));
    auto [code, list] = co_await ask(client, "GET", kConfigMaps);
    const std::string version = list["metadata"]["resourceVersion"];
    (void)co_await ask(client, "POST", kConfigMaps, config_map("b"));
    auto watch = co_await client.stream(
        {.path = std::string(kConfigMaps) +
                 "?watch=1&allowWatchBookmarks=1&timeoutSeconds=1&resourceVersion=" + version});
    const auto added = Json::parse(**co_await (*watch)->next_line());
    EXPECT_EQ(added["object"]["metadata"]["name"], "b");
    const auto bookmark = Json::parse(**co_await (*watch)->next_line());
    EXPECT_EQ(bookmark["type"], "BOOKMARK");
    EXPECT_EQ(bookmark["object"]["kind"], "ConfigMap");
    EXPECT_GE(std::stoull(bookmark["object"]["metadata"]["resourceVersion"].get<std::string>()),
              std::stoull(version));
    EXPECT_EQ(*co_await (*watch)->next_line(), std::nullopt);
  });
}

TEST_F(ApiTest, BookmarksComeWhileNothingHappens) {
  limits.bookmark_interval = 5ms;
  run([&](Client& client) -> Task<> {
    auto watch = co_await client.stream(
        {.path = std::string(kConfigMaps) + "?watch=1&allowWatchBookmarks=1"});
    for (int i = 0; i < 3; ++i)
      EXPECT_EQ(Json::parse(**co_await (*watch)->next_line())["type"], "BOOKMARK");
    (void)co_await ask(client, "POST", kConfigMaps, config_map("a"));
    std::string type;
    while ((type = Json::parse(**co_await (*watch)->next_line())["type"]) == "BOOKMARK") {
    }
    EXPECT_EQ(type, "ADDED");
  });
}

TEST_F(ApiTest, BookmarksTellHowFarTheStoreIsNotTheKind) {
  limits.bookmark_interval = 5ms;
  run([&](Client& client) -> Task<> {
    auto [code, kept] = co_await ask(client, "POST", kConfigMaps, config_map("a"));
    auto watch = co_await client.stream(
        {.path = std::string(kConfigMaps) + "?watch=1&allowWatchBookmarks=1&resourceVersion=" +
                 kept["metadata"]["resourceVersion"].get<std::string>()});
    auto [made, other] = co_await ask(
        client, "POST", "/api/v1/namespaces",
        {{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", "other"}}}});
    EXPECT_EQ(made, 201) << other;
    const auto revision_of = [](const Json& object) {
      return std::stoull(object["metadata"]["resourceVersion"].get<std::string>());
    };
    for (;;) {
      const auto bookmark = Json::parse(**co_await (*watch)->next_line());
      EXPECT_EQ(bookmark["type"], "BOOKMARK");
      if (revision_of(bookmark["object"]) >= revision_of(other)) break;
    }
  });
}

TEST_F(ApiTest, AClientThatGoesAwayEndsItsWatch) {
  limits.watches_max = 1;
  run([&](Client& client) -> Task<> {
    auto watch = co_await client.stream({.path = std::string(kConfigMaps) + "?watch=1"});
    EXPECT_TRUE(watch.has_value());
    auto [busy, status] = co_await ask(client, "GET", std::string(kConfigMaps) + "?watch=1");
    EXPECT_EQ(busy, 429);
    EXPECT_EQ(status["reason"], "TooManyRequests");
    watch->reset();
    // The seat is free as soon as the server has seen the end.
    for (;;) {
      auto again = co_await client.stream({.path = std::string(kConfigMaps) + "?watch=1"});
      if (again) break;
      EXPECT_EQ(again.error().code, base::Errc::ResourceExhausted);
    }
  });
}

TEST_F(ApiTest, EventsAreServedLikeObjects) {
  run([&](Client& client) -> Task<> {
    const auto record = [&](std::string name, std::string reason) {
      events.record({{"Pod", "prod", std::move(name)}, "u1", true, std::move(reason), "it failed"},
                    "node", clock.wall());
    };
    record("web-1", "Failed");
    record("web-2", "Killed");
    auto [a, all] = co_await ask(client, "GET", "/api/v1/namespaces/prod/events");
    EXPECT_EQ(all["kind"], "EventList");
    EXPECT_EQ(all["items"].size(), 2u);
    auto [b, one] =
        co_await ask(client, "GET", "/api/v1/events?fieldSelector=involvedObject.name%3Dweb-2");
    EXPECT_EQ(one["items"].size(), 1u);
    EXPECT_EQ(one["items"][0]["reason"], "Killed");
    auto [c, named] = co_await ask(
        client, "GET",
        "/api/v1/namespaces/prod/events/" + one["items"][0]["metadata"]["name"].get<std::string>());
    EXPECT_EQ(c, 200);
    auto [d, forbidden] =
        co_await ask(client, "POST", "/api/v1/namespaces/prod/events", one["items"][0]);
    EXPECT_EQ(d, 405);
    auto watch =
        co_await client.stream({.path = "/api/v1/namespaces/prod/events?watch=1&resourceVersion=" +
                                        all["metadata"]["resourceVersion"].get<std::string>()});
    record("web-1", "Failed");
    record("elsewhere", "Started");
    EXPECT_EQ(Json::parse(**co_await (*watch)->next_line())["type"], "MODIFIED");
    EXPECT_EQ(Json::parse(**co_await (*watch)->next_line())["type"], "ADDED");
  });
}

TEST_F(ApiTest, ListsAndWatchesComeAsTablesToWhoAsksForThem) {
  run([&](Client& client) -> Task<> {
    (void)co_await ask(client, "POST", kPods, pod("p"));
    api_client::Request request{.path = kPods};
    request.headers.add("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json");
    const Json table = Json::parse((co_await client.request(request))->body);
    EXPECT_EQ(table["kind"], "Table");
    EXPECT_EQ(table["rows"][0]["cells"][0], "p");
    request.path = std::string(kPods) + "?watch=1";
    auto watch = co_await client.stream(request);
    const auto next = [&]() -> Task<std::string> {
      const Json event = Json::parse(**co_await (*watch)->next_line());
      EXPECT_EQ(event["object"]["kind"], "Table") << event;
      co_return event["type"].get<std::string>() + " " +
          event["object"]["rows"][0]["cells"][0].get<std::string>();
    };
    EXPECT_EQ(co_await next(), "ADDED p");
    (void)co_await ask(client, "POST", kPods, pod("q"));
    EXPECT_EQ(co_await next(), "ADDED q");
    events.record({{"Pod", "prod", "p"}, "u1", true, "Failed", "it failed"}, "node", clock.wall());
    request.path = "/api/v1/namespaces/prod/events?watch=1&resourceVersion=0";
    auto event_watch = co_await client.stream(request);
    const Json told = Json::parse(**co_await (*event_watch)->next_line());
    EXPECT_EQ(told["object"]["kind"], "Table") << told;
  });
}

TEST_F(ApiTest, InitialEventsAreRefusedAsByServersThatDoNotKnowThem) {
  run([&](Client& client) -> Task<> {
    auto [code, status] = co_await ask(
        client, "GET",
        std::string(kPods) + "?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan");
    // What client-go falls back to listing on.
    EXPECT_EQ(code, 422) << status;
    EXPECT_EQ(status["reason"], "Invalid");
    EXPECT_NE(status["message"].get<std::string>().find("sendInitialEvents"), std::string::npos);
  });
}

}  // namespace
}  // namespace nexus::api
