// Logs, exec, attach, port-forward and files of running pods.

#include "api/testing/api_fixture.hpp"

namespace nexus::api {
namespace {

using namespace std::chrono_literals;
using api_client::Client;
using base::Task;

class PodRoutes : public ApiTest {
 protected:
  static constexpr const char* kPods = "/api/v1/namespaces/prod/pods";

  static std::string exec_path(std::initializer_list<const char*> command, std::string pod = "web",
                               std::string more = "&stdin=1&stdout=1&stderr=1") {
    std::string path = std::string(kPods) + "/" + pod + "/exec?" + more.substr(1);
    for (const char* word : command) path += std::string("&command=") + word;
    return path;
  }
  static LogRecord record(std::string text, bool is_stderr = false) {
    return {*base::parse_rfc3339("2026-11-21T12:00:00Z"), is_stderr, false, std::move(text)};
  }

  template <class Body>
  void run_with_pod(Body body) {
    run([body](Client& client) -> Task<> {
      (void)co_await ask(client, "POST", kPods, pod("web"));
      (void)co_await ask(
          client, "POST", kPods,
          pod("two", {{"containers",
                       {{{"name", "a"}, {"image", "a"}}, {{"name", "b"}, {"image", "b"}}}}}));
      (void)co_await ask(client, "POST", kPods,
                         pod("strong", {{"containers",
                                         {{{"name", "web"},
                                           {"image", "a"},
                                           {"securityContext", {{"privileged", true}}}}}}}));
      co_await body(client);
    });
  }
  // Everything that a session prints, standard error in brackets, and how it ends.
  static Task<std::string> outcome(Client& client, std::string path) {
    auto session = co_await client.open_exec(std::move(path));
    if (!session)
      co_return std::string(base::to_string(session.error().code)) + ": " + session.error().message;
    std::string all;
    for (;;) {
      auto output = co_await (*session)->read_output();
      if (!output) co_return "broken";
      if (!*output) break;
      const std::string text(base::as_text((*output)->data));
      all += (*output)->is_stderr ? "[" + text + "]" : text;
    }
    const auto code = (*session)->exit_code();
    co_return all + "=" + (code ? std::to_string(*code) : code.error().message);
  }
};

TEST_F(PodRoutes, LogsComeAsTextOrJson) {
  driver.log = {record("one"), record("two", true), record("three")};
  run_with_pod([&](Client& client) -> Task<> {
    const std::string path = std::string(kPods) + "/web/log";
    EXPECT_EQ((co_await client.request(make("GET", path)))->body, "one\ntwo\nthree\n");
    EXPECT_EQ((co_await client.request(make("GET", path + "?tailLines=1&timestamps=1")))->body,
              "2026-11-21T12:00:00.000000000Z three\n");
    EXPECT_EQ((co_await client.request(make("GET", path + "?limitBytes=6")))->body, "one\ntw");
    EXPECT_EQ((co_await client.request(make("GET", path + "?stream=Stderr")))->body, "two\n");
    auto json = co_await client.stream({.path = path + "?format=json"});
    EXPECT_EQ(Json::parse(**co_await (*json)->next_line())["stream"], "stdout");
    EXPECT_EQ(Json::parse(**co_await (*json)->next_line())["stream"], "stderr");
    (void)co_await client.request(make("GET", path + "?previous=1"));
    EXPECT_EQ(driver.calls.back(), "logs web previous");
  });
}

TEST_F(PodRoutes, FollowedLogsComeLineByLine) {
  run_with_pod([&](Client& client) -> Task<> {
    driver.append_log(record("first"));
    auto log = co_await client.stream({.path = std::string(kPods) + "/web/log?follow=1"});
    EXPECT_EQ(**co_await (*log)->next_line(), "first");
    driver.append_log(record("second"));
    EXPECT_EQ(**co_await (*log)->next_line(), "second");
  });
}

TEST_F(PodRoutes, AContainerMustBeNamedWhereThereAreSeveral) {
  run_with_pod([&](Client& client) -> Task<> {
    auto [a, several] = co_await ask(client, "GET", std::string(kPods) + "/two/log");
    EXPECT_EQ(a, 400);
    EXPECT_NE(several["message"].get<std::string>().find("a, b"), std::string::npos);
    EXPECT_EQ(
        (co_await client.request(make("GET", std::string(kPods) + "/two/log?container=b")))->status,
        200);
    EXPECT_EQ((co_await ask(client, "GET", std::string(kPods) + "/two/log?container=c")).first,
              400);
    EXPECT_EQ((co_await ask(client, "GET", std::string(kPods) + "/absent/log")).first, 404);
    driver.error = base::make_error(base::Errc::FailedPrecondition, "it has not started");
    auto [d, refused] = co_await ask(client, "GET", std::string(kPods) + "/web/log");
    EXPECT_EQ(d, 412);
    EXPECT_EQ(refused["message"], "it has not started");
  });
}

TEST_F(PodRoutes, ExecGivesOutputAndExitCode) {
  run_with_pod([&](Client& client) -> Task<> {
    EXPECT_EQ(co_await outcome(client, exec_path({"echo", "hello"})), "hello=0");
    EXPECT_EQ(co_await outcome(client, exec_path({"both"})), "out[err]=0");
    EXPECT_EQ(co_await outcome(client, exec_path({"both"}, "web", "&stdout=1")), "out=0");
    EXPECT_EQ(co_await outcome(client, exec_path({"fail", "137"})), "=137");
    EXPECT_EQ(co_await outcome(client, exec_path({"echo"}, "absent")),
              "NotFound: pod absent does not exist in namespace prod");
    EXPECT_TRUE(
        (co_await outcome(client, exec_path({}))).starts_with("InvalidArgument: no command"));
    driver.error = base::make_error(base::Errc::FailedPrecondition, "not running");
    EXPECT_EQ(co_await outcome(client, exec_path({"echo"})), "FailedPrecondition: not running");
  });
}

TEST_F(PodRoutes, ExecTakesInputItsEndAndTheTerminalsSize) {
  run_with_pod([&](Client& client) -> Task<> {
    auto session = co_await client.open_exec(exec_path({"cat"}, "web", "&stdin=1&stdout=1&tty=1"));
    EXPECT_TRUE((co_await (*session)->resize(24, 80)).has_value());
    EXPECT_EQ(base::as_text((**co_await (*session)->read_output()).data), "24x80");
    const base::Bytes large(600'000, 'x');
    EXPECT_TRUE((co_await (*session)->write_input(large)).has_value());
    std::size_t back = 0;
    while (back < large.size()) back += (**co_await (*session)->read_output()).data.size();
    EXPECT_EQ(back, large.size());
    EXPECT_TRUE((co_await (*session)->close_input()).has_value());
    EXPECT_EQ(*co_await (*session)->read_output(), std::nullopt);
    EXPECT_EQ((*session)->exit_code(), 0);
  });
}

TEST_F(PodRoutes, AProcessEndsWithItsClient) {
  limits.sessions_max = 1;
  run_with_pod([&](Client& client) -> Task<> {
    auto session = co_await client.open_exec(exec_path({"wait"}));
    EXPECT_TRUE(session.has_value());
    EXPECT_EQ(driver.sessions, 1);
    EXPECT_TRUE((co_await outcome(client, exec_path({"echo"}))).starts_with("ResourceExhausted"));
    session->reset();
    while (driver.sessions > 0) co_await base::asio::post(executor(), base::asio::use_awaitable);
    EXPECT_EQ(co_await outcome(client, exec_path({"echo", "again"})), "again=0");
  });
}

TEST_F(PodRoutes, AttachIsTheContainersOwnStreams) {
  run_with_pod([&](Client& client) -> Task<> {
    Json with_input =
        pod("input", {{"containers", {{{"name", "web"}, {"image", "a"}, {"stdin", true}}}}});
    (void)co_await ask(client, "POST", kPods, with_input);
    auto session = co_await client.open_exec(std::string(kPods) + "/input/attach?stdin=1&stdout=1");
    EXPECT_TRUE((co_await (*session)->write_input(base::as_bytes("hi"))).has_value());
    EXPECT_EQ(base::as_text((**co_await (*session)->read_output()).data), "hi");
    EXPECT_TRUE((co_await outcome(client, std::string(kPods) + "/web/attach?stdin=1&stdout=1"))
                    .starts_with("InvalidArgument: container web has no open"));
  });
}

TEST_F(PodRoutes, APortCarriesBytesBothWaysAndBothEnds) {
  run_with_pod([&](Client& client) -> Task<> {
    auto stream = co_await client.open_port("prod", "web", 8080);
    EXPECT_TRUE(stream.has_value()) << stream.error().message;
    EXPECT_EQ(driver.calls.back(), "connect 8080");
    const base::Bytes large(700'000, 'y');
    EXPECT_TRUE((co_await (*stream)->write(large)).has_value());
    std::size_t back = 0;
    while (back < large.size()) back += (co_await (*stream)->read())->size();
    (*stream)->close_write();
    EXPECT_TRUE((co_await (*stream)->read())->empty());
    driver.error = base::make_error(base::Errc::Unavailable, "nobody listens on port 81");
    auto refused = co_await client.open_port("prod", "web", 81);
    EXPECT_EQ(refused.error().message, "nobody listens on port 81");
    EXPECT_EQ((co_await client.open_port("prod", "web", 0)).error().code,
              base::Errc::InvalidArgument);
  });
}

TEST_F(PodRoutes, FilesComeAndGoAsArchives) {
  driver.files["/etc"] = std::string(100'000, 't');
  run_with_pod([&](Client& client) -> Task<> {
    const std::string path = "/apis/hypermesh.io/v1/pods/prod/web/files?path=";
    EXPECT_EQ((co_await client.request(make("GET", path + "/etc")))->body, driver.files["/etc"]);
    EXPECT_EQ((co_await ask(client, "GET", path + "/absent")).first, 404);
    int pieces = 0;
    auto stored = co_await client.upload(
        {.method = "PUT", .path = path + "/srv", .content_type = "application/x-tar"},
        [&]() -> Task<base::Result<base::Bytes>> {
          co_return base::Bytes(pieces++ < 40 ? 100'000 : 0, 'u');
        });
    EXPECT_TRUE(stored.has_value()) << stored.error().message;
    EXPECT_EQ(driver.files["/srv"].size(), 4'000'000u);
    auto refused = co_await client.upload(
        {.method = "PUT", .path = path + "/srv", .content_type = "application/x-tar"},
        [sent = false]() mutable -> Task<base::Result<base::Bytes>> {
          const auto bad = base::as_bytes("bad");
          co_return std::exchange(sent, true) ? base::Bytes() : base::Bytes(bad.begin(), bad.end());
        });
    EXPECT_EQ(refused.error().message, "not a tar archive");
    // The log tells how each went, newest first.
    auto [code, log] = co_await ask(client, "GET", "/apis/hypermesh.io/v1/audit?kind=pod&name=web");
    std::vector<std::string> results;
    for (const Json& item : log["items"])
      results.push_back(item["action"].get<std::string>() + " " +
                        item["result"].get<std::string>());
    EXPECT_EQ(results, (std::vector<std::string>{"copy-in InvalidArgument", "copy-in ok",
                                                 "copy-out NotFound", "copy-out ok", "create ok"}))
        << log;
  });
}

TEST_F(PodRoutes, WhetherAPathIsAFolderIsToldWithoutARecord) {
  const auto header = [](char type, const char* size) {
    std::string block(512, '\0');
    block.replace(124, std::strlen(size), size);
    block[156] = type;
    return block;
  };
  driver.files["/etc"] = header('5', "00000000000");
  driver.files["/etc/hosts"] = header('0', "00000000003") + std::string(512, 'h');
  // A pax header with a long name comes before what it is about.
  driver.files["/long"] =
      header('x', "00000001001") + std::string(1024, 'n') + header('5', "00000000000");
  driver.files["/cut"] = header('x', "77777777777");
  run_with_pod([&](Client& client) -> Task<> {
    const std::string path = "/apis/hypermesh.io/v1/pods/prod/web/files?kindOnly=true&path=";
    EXPECT_EQ((co_await ask(client, "GET", path + "/etc")).second, Json({{"folder", true}}));
    EXPECT_EQ((co_await ask(client, "GET", path + "/etc/hosts")).second, Json({{"folder", false}}));
    EXPECT_EQ((co_await ask(client, "GET", path + "/long")).second, Json({{"folder", true}}));
    EXPECT_EQ((co_await ask(client, "GET", path + "/cut")).second, Json({{"folder", false}}));
    EXPECT_EQ((co_await ask(client, "GET", path + "/absent")).first, 404);
    auto [code, log] = co_await ask(client, "GET", "/apis/hypermesh.io/v1/audit?verb=copy-out");
    EXPECT_EQ(log["items"], Json::array());
  });
}

TEST_F(PodRoutes, WhatCannotBeStartedIsRecordedAsFailed) {
  driver.error = base::make_error(base::Errc::FailedPrecondition, "not running");
  run_with_pod([&](Client& client) -> Task<> {
    EXPECT_FALSE((co_await outcome(client, exec_path({"echo", "a"}))).ends_with("=0"));
    EXPECT_FALSE((co_await client.open_port("prod", "web", 80)).has_value());
    for (const std::string verb : {"exec", "portforward"}) {
      auto [code, log] = co_await ask(client, "GET", "/apis/hypermesh.io/v1/audit?verb=" + verb);
      EXPECT_EQ(log["items"].size(), 1u) << verb;
      EXPECT_EQ(log["items"][0]["result"], "FailedPrecondition") << verb;
    }
  });
}

TEST_F(PodRoutes, OnlyAnAdministratorEntersAPodWithMoreThanAPodsRights) {
  run_with_pod([&](Client& client) -> Task<> {
    Client edit(executor(), config("edit")), view(executor(), config("view"));
    EXPECT_EQ(co_await outcome(client, exec_path({"echo", "a"}, "strong")), "a=0");
    EXPECT_EQ(co_await outcome(edit, exec_path({"echo", "a"})), "a=0");
    EXPECT_TRUE(
        (co_await outcome(edit, exec_path({"echo", "a"}, "strong"))).starts_with("Forbidden"));
    EXPECT_TRUE((co_await outcome(view, exec_path({"echo", "a"}))).starts_with("Forbidden"));
    EXPECT_EQ((co_await edit.open_port("prod", "strong", 80)).error().code, base::Errc::Forbidden);
    EXPECT_EQ(
        (co_await ask(edit, "GET", "/apis/hypermesh.io/v1/pods/prod/strong/files?path=/etc")).first,
        403);
    auto [code, log] = co_await ask(client, "GET", "/apis/hypermesh.io/v1/audit?verb=exec");
    std::vector<std::string> results;
    for (const Json& item : log["items"])
      results.push_back(item["result"].get<std::string>() + " " + item["role"].get<std::string>());
    EXPECT_EQ(results,
              (std::vector<std::string>{"denied view", "denied edit", "ok edit", "ok admin"}));
  });
}

TEST_F(PodRoutes, WithoutAWebSocketASessionIsRefused) {
  run_with_pod([&](Client& client) -> Task<> {
    auto [code, status] = co_await ask(client, "POST", exec_path({"echo"}));
    EXPECT_EQ(code, 400);
    EXPECT_FALSE(status["hints"].empty());
  });
}

}  // namespace
}  // namespace nexus::api
