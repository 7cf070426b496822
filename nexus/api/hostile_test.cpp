// Peers that do not keep to the rules: the server holds its limits and goes on serving others.

#include <base/http/client_connection.hpp>

#include "api/testing/api_fixture.hpp"

namespace nexus::api {
namespace {

using namespace std::chrono_literals;
using api_client::Client;
using base::Task;

class Hostile : public ApiTest {
 protected:
  // Sends `bytes` as they are and reads all that comes back.
  Task<std::string> raw(std::string bytes) {
    auto stream = co_await base::http::connect_unix(socket_path());
    if (!stream) co_return "no connection";
    (void)co_await (*stream)->write(base::as_bytes(bytes));
    std::string answer;
    for (;;) {
      const auto some = co_await (*stream)->read();
      if (!some || some->empty()) co_return answer;
      answer += base::as_text(*some);
    }
  }
  static Task<> expect_served(Client& client) {
    EXPECT_EQ((co_await ask(client, "GET", "/api/v1/namespaces")).first, 200);
  }
};

TEST_F(Hostile, MalformedRequestsAreAnsweredAndClosed) {
  struct Case {
    std::string bytes;
    const char* begins;
  };
  const std::vector<Case> cases = {
      {"GET / HTTP/1.1\r\nHost : x\r\n\r\n", "HTTP/1.1 400"},
      {"GET /" + std::string(9000, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 414"},
      {"GET / HTTP/1.1\r\nHost: x\r\nA: " + std::string(20'000, 'a') + "\r\n\r\n", "HTTP/1.1 431"},
      {"GET /%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 400"},
      {"GET /a/../b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 400"},
      {"POST /api/v1/namespaces HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
       "chunked\r\n\r\nzz\r\nabc\r\n",
       "HTTP/1.1 400"},
      {"POST /api/v1/namespaces HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n",
       "HTTP/1.1 413"},
      {"POST /api/v1/namespaces HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
       "chunked\r\n\r\n400000\r\n" +
           std::string(0x400000, 'x'),
       "HTTP/1.1 413"},
      {std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11), ""},
      {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
       "HTTP/1.1 400"},
      {"TRACE / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 404"},
      {"PUT /api/v1/namespaces/default HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: "
       "close\r\n\r\n{\"a",
       "HTTP/1.1 400"},
  };
  http_limits.head_max = 50ms;
  run([&](Client& client) -> Task<> {
    for (const Case& c : cases) {
      const std::string answer = co_await raw(c.bytes);
      EXPECT_TRUE(answer.starts_with(c.begins))
          << c.bytes.substr(0, 80) << " -> " << answer.substr(0, 200);
      if (!answer.empty()) {
        const Json status = Json::parse(answer.substr(answer.find("\r\n\r\n") + 4), nullptr, false);
        EXPECT_EQ(status["kind"], "Status") << answer;
      }
      co_await expect_served(client);
    }
  });
}

TEST_F(Hostile, BodiesThatAreNoObjectsAreRefused) {
  run([&](Client& client) -> Task<> {
    std::string deep(5000, '[');
    const std::vector<std::string> bodies = {
        "",
        "null",
        "1",
        "\"x\"",
        "[]",
        "{",
        "{\"a\":1,\"a\":2}",
        deep,
        "{\"metadata\":[]}",
        "{\"metadata\":{\"name\":{}}}",
        "{\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"\\u0000\"}}",
        std::string("{\"metadata\":{\"name\":\"\xff\xfe\"}}")};
    for (const std::string& body : bodies) {
      auto response = co_await client.request(
          {.method = "POST", .path = "/api/v1/namespaces/prod/configmaps", .body = body});
      EXPECT_TRUE(response && (response->status == 400 || response->status == 422))
          << body.substr(0, 60) << " -> " << response->status << " " << response->body;
    }
    for (const char* patch : {"{", "[]", "[1]", "null", "{\"metadata\":null}",
                              "{\"metadata\":{\"name\":7}}", "{\"kind\":5}"}) {
      for (const char* type : {"application/merge-patch+json", "application/json-patch+json",
                               "application/strategic-merge-patch+json"}) {
        auto response = co_await client.request({.method = "PATCH",
                                                 .path = "/api/v1/namespaces/default",
                                                 .body = patch,
                                                 .content_type = type});
        EXPECT_TRUE(response && response->status < 500)
            << patch << " as " << type << " -> " << response->status << " " << response->body;
      }
    }
    co_await expect_served(client);
  });
}

TEST_F(Hostile, SlowPeersAreLetGoWhileOthersAreServed) {
  http_limits = {.idle_max = 30ms, .head_max = 30ms, .body_max = 30ms, .stall_max = 30ms};
  run([&](Client& client) -> Task<> {
    EXPECT_EQ(co_await raw(""), "");
    EXPECT_EQ(co_await raw("GET /api HTT"), "");
    const std::string half =
        co_await raw("POST /api/v1/namespaces HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{");
    EXPECT_TRUE(half.empty() || half.starts_with("HTTP/1.1 408")) << half;
    co_await expect_served(client);
    while (server->connections() > 1)
      co_await base::asio::post(executor(), base::asio::use_awaitable);
  });
}

TEST_F(Hostile, ConnectionsAreCounted) {
  limits.connections_max = 3;
  run([&](Client& client) -> Task<> {
    co_await expect_served(client);  // Holds one.
    std::vector<std::unique_ptr<base::ByteStream>> held;
    for (int i = 0; i < 2; ++i) held.push_back(*co_await base::http::connect_unix(socket_path()));
    while (server->connections() < 3)
      co_await base::asio::post(executor(), base::asio::use_awaitable);
    EXPECT_EQ(co_await raw("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"), "");
    co_await expect_served(client);
    held.clear();
    while (server->connections() > 1)
      co_await base::asio::post(executor(), base::asio::use_awaitable);
    EXPECT_TRUE((co_await raw("GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
                    .starts_with("HTTP/1.1 200"));
  });
}

TEST_F(Hostile, ASessionThatBreaksTheProtocolEnds) {
  run([&](Client& client) -> Task<> {
    (void)co_await ask(client, "POST", "/api/v1/namespaces/prod/pods", pod("web"));
    for (const base::Bytes& message :
         {base::Bytes{}, base::Bytes{9, 1}, base::Bytes{255}, base::Bytes{4, '{'}}) {
      auto stream = *co_await base::http::connect_unix(socket_path());
      base::http::UpgradeRefusal refusal;
      auto socket = co_await base::http::connect_web_socket(
          std::move(stream), "n",
          "/api/v1/namespaces/prod/pods/web/exec?command=wait&stdin=1&stdout=1", {},
          {"v5.channel.k8s.io"}, refusal);
      EXPECT_TRUE(socket.has_value()) << refusal.body;
      EXPECT_TRUE((co_await (*socket)->write(message)).has_value());
      while (auto read = co_await (*socket)->read()) {
        if (!*read) break;
      }
      while (driver.sessions > 0) co_await base::asio::post(executor(), base::asio::use_awaitable);
    }
  });
}

TEST_F(Hostile, StoppingEndsWhatIsOpen) {
  limits.stop_grace = 10ms;
  std::unique_ptr<api_client::AnswerStream> watch, log;
  std::unique_ptr<api_client::ExecSession> session;
  std::unique_ptr<base::ByteStream> port, idle;
  run([&](Client& client) -> Task<> {
    (void)co_await ask(client, "POST", "/api/v1/namespaces/prod/pods", pod("web"));
    watch = *co_await client.stream({.path = "/api/v1/pods?watch=1"});
    log = *co_await client.stream({.path = "/api/v1/namespaces/prod/pods/web/log?follow=1"});
    session = *co_await client.open_exec(
        "/api/v1/namespaces/prod/pods/web/exec?command=wait&stdout=1&stdin=1");
    port = *co_await client.open_port("prod", "web", 80);
    idle = *co_await base::http::connect_unix(socket_path());
  });
  EXPECT_EQ(driver.sessions, 0);
}

}  // namespace
}  // namespace nexus::api
