#include <gtest/gtest.h>
#include <unistd.h>

#include <api_client/blocking.hpp>
#include <base/async/task_scope.hpp>
#include <base/http/server_connection.hpp>
#include <base/http/socket.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "api/channels.hpp"

namespace api_client {
namespace {

using namespace std::chrono_literals;
using base::Task;
using base::http::ServerConnection;

// A node that answers as a script says, on a socket of its own.
class ScriptedNode {
 public:
  using Script = std::function<Task<>(ServerConnection&, const base::http::RequestHead&)>;
  ScriptedNode(base::Executor executor, const std::filesystem::path& socket, Script script)
      : executor_(executor),
        scope_(executor),
        script_(std::move(script)),
        listener_(*base::http::listen_unix(executor, socket, 0600)) {
    scope_.spawn(accept());
  }
  Task<> finish() {
    listener_->close();
    scope_.cancel();
    co_await scope_.join();
  }
  int connections = 0;

 private:
  Task<> accept() {
    for (;;) {
      auto accepted = co_await listener_->accept();
      if (!accepted) co_return;
      ++connections;
      scope_.spawn(serve(std::move(accepted->stream)));
    }
  }
  Task<> serve(std::unique_ptr<base::ByteStream> stream) {
    ServerConnection connection(executor_, std::move(stream), {});
    for (;;) {
      auto head = co_await connection.next_request();
      if (!head || !*head) co_return;
      const base::http::RequestHead request = **head;
      if (request.target == "/livez") {
        (void)co_await connection.respond(200, {}, "ok");
      } else {
        co_await script_(connection, request);
      }
      if (request.web_socket) co_return;
    }
  }
  base::Executor executor_;
  base::TaskScope scope_;
  Script script_;
  std::unique_ptr<base::http::Listener> listener_;
};

class ClientTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "hm-client-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  Config config(std::initializer_list<const char*> sockets) {
    Config config;
    config.connect_max = 50ms;
    for (const char* name : sockets)
      config.endpoints.push_back({.name = name, .socket_path = folder_ / name});
    return config;
  }
  // Runs `body`, then ends the nodes.
  template <class Body>
  void run(std::vector<ScriptedNode*> nodes, Body body) {
    blocking_.run([](std::vector<ScriptedNode*> all, Body b) -> Task<int> {
      co_await b();
      for (ScriptedNode* node : all) co_await node->finish();
      co_return 0;
    }(std::move(nodes), std::move(body)));
  }
  static Task<> answer(ServerConnection& connection, const base::http::RequestHead& head) {
    const auto body = co_await connection.read_body(1u << 20);
    const nlohmann::json echo{{"method", head.method},
                              {"target", head.target},
                              {"body", body.value_or("")},
                              {"type", head.headers.get("Content-Type").value_or("")},
                              {"role", head.headers.get("HyperMesh-As-Role").value_or("")}};
    (void)co_await connection.respond(200, {{"X-Trace-Id", "t"}}, echo.dump());
  }

  std::filesystem::path folder_;
  Blocking blocking_;
};

TEST_F(ClientTest, AsksOnOneConnection) {
  ScriptedNode node(blocking_.executor(), folder_ / "n1", answer);
  Config settings = config({"n1"});
  settings.role = "view";
  Client client(blocking_.executor(), settings);
  run({&node}, [&]() -> Task<> {
    const auto first = co_await client.get("/a");
    EXPECT_TRUE(first.has_value());
    EXPECT_EQ((*first)["target"], "/a");
    EXPECT_EQ((*first)["role"], "view");
    const auto second = co_await client.json({.method = "PATCH",
                                              .path = "/b",
                                              .body = "{}",
                                              .content_type = "application/merge-patch+json"});
    EXPECT_EQ((*second)["type"], "application/merge-patch+json");
    EXPECT_EQ((*second)["body"], "{}");
    EXPECT_EQ(client.last_response()->trace_id(), "t");
    EXPECT_EQ(node.connections, 1);
  });
}

TEST_F(ClientTest, ARefusalComesBackAsTheServersError) {
  ScriptedNode node(
      blocking_.executor(), folder_ / "n1",
      [](ServerConnection& connection, const auto&) -> Task<> {
        (void)co_await connection.respond(
            422, {},
            R"({"kind":"Status","status":"Failure","message":"bad","reason":"Invalid","code":422,"errc":"InvalidArgument","hints":["h"],
                     "details":{"traceId":"t9","causes":[{"reason":"FieldValueInvalid","field":"spec.x","message":"is 5"}]}})");
      });
  Client client(blocking_.executor(), config({"n1"}));
  run({&node}, [&]() -> Task<> {
    const auto refused = co_await client.get("/a");
    EXPECT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, base::Errc::InvalidArgument);
    EXPECT_EQ(refused.error().message, "bad");
    EXPECT_EQ(refused.error().hints, std::vector<std::string>{"h"});
    EXPECT_EQ(client.failure()->trace_id, "t9");
    EXPECT_EQ(client.failure()->causes.at(0).field, "spec.x");
  });
}

TEST_F(ClientTest, GoesOnWithTheNextNodeWhenOneIsSilentOrGone) {
  // n1 does not exist; n2 accepts and never answers, as a stopped process does.
  base::asio::io_context idle;
  const auto silent = *base::http::listen_unix(idle.get_executor(), folder_ / "n2", 0600);
  ScriptedNode node(blocking_.executor(), folder_ / "n3", answer);
  Client client(blocking_.executor(), config({"n1", "n2", "n3"}));
  run({&node}, [&]() -> Task<> {
    const auto written = co_await client.json({.method = "POST", .path = "/a", .body = "x"});
    EXPECT_EQ((*written)["body"], "x");
    EXPECT_EQ(client.endpoint().name, "n3");
  });
}

TEST_F(ClientTest, NamesEveryNodeWhenNoneAnswers) {
  Client client(blocking_.executor(), config({"n1", "n2"}));
  run({}, [&]() -> Task<> {
    const auto nothing = co_await client.get("/a");
    EXPECT_EQ(nothing.error().code, base::Errc::Unavailable);
    EXPECT_NE(nothing.error().message.find("n1"), std::string::npos);
    EXPECT_NE(nothing.error().message.find("n2"), std::string::npos);
  });
}

TEST_F(ClientTest, ANodeThatIsNotThereIsNoObjectThatIsNotThere) {
  Client client(blocking_.executor(), config({"n1"}));
  run({}, [&]() -> Task<> {
    EXPECT_EQ((co_await client.get("/a")).error().code, base::Errc::Unavailable);
  });
}

TEST_F(ClientTest, AReadIsAskedAgainWhenItsConnectionBreaksAWriteIsNot) {
  int asked = 0;
  ScriptedNode node(
      blocking_.executor(), folder_ / "n1",
      [&](ServerConnection& connection, const base::http::RequestHead& head) -> Task<> {
        if (++asked == 1 || head.method == "POST") {
          connection.close();
        } else {
          co_await answer(connection, head);
        }
      });
  Client client(blocking_.executor(), config({"n1"}));
  run({&node}, [&]() -> Task<> {
    EXPECT_TRUE((co_await client.get("/a")).has_value());
    EXPECT_EQ(asked, 2);
    const auto write = co_await client.json({.method = "POST", .path = "/a"});
    EXPECT_FALSE(write.has_value());
    EXPECT_EQ(asked, 3);
    EXPECT_NE(write.error().hints.at(0).find("not known"), std::string::npos);
  });
}

TEST_F(ClientTest, AnAnswerThatDoesNotComeTimesOut) {
  ScriptedNode node(
      blocking_.executor(), folder_ / "n1",
      [](ServerConnection& connection, const auto&) -> Task<> { co_await connection.peer_gone(); });
  Client client(blocking_.executor(), config({"n1"}));
  run({&node}, [&]() -> Task<> {
    const auto late = co_await client.json({.method = "POST", .path = "/a", .answer_max = 10ms});
    EXPECT_EQ(late.error().code, base::Errc::TimedOut);
  });
}

TEST_F(ClientTest, ReadsLinesHoweverTheyAreCut) {
  ScriptedNode node(blocking_.executor(), folder_ / "n1",
                    [](ServerConnection& connection, const auto&) -> Task<> {
                      (void)co_await connection.begin_stream(200, {});
                      for (const char* piece : {"on", "e\ntwo\n\nth", "ree"})
                        (void)co_await connection.write_stream(piece);
                      (void)co_await connection.end_stream();
                    });
  Client client(blocking_.executor(), config({"n1"}));
  run({&node}, [&]() -> Task<> {
    auto stream = co_await client.stream({.path = "/watch"});
    std::vector<std::string> lines;
    while (auto line = *co_await (*stream)->next_line()) lines.push_back(*line);
    EXPECT_EQ(lines, (std::vector<std::string>{"one", "two", "", "three"}));
  });
}

TEST_F(ClientTest, AnUploadEndsWhenTheServerHasAnswered) {
  ScriptedNode node(
      blocking_.executor(), folder_ / "n1",
      [](ServerConnection& connection, const base::http::RequestHead& head) -> Task<> {
        if (head.target == "/whole") {
          const auto body = co_await connection.read_body(10u << 20);
          (void)co_await connection.respond(200, {}, std::to_string(body->size()));
        } else {
          (void)co_await connection.respond(403, {}, "");
        }
      });
  Client client(blocking_.executor(), config({"n1"}));
  run({&node}, [&]() -> Task<> {
    int pieces = 0;
    const auto whole = co_await client.upload(
        {.method = "PUT", .path = "/whole", .content_type = "application/x-tar"},
        [&]() -> Task<base::Result<base::Bytes>> {
          co_return base::Bytes(pieces++ < 30 ? 100'000 : 0);
        });
    EXPECT_EQ(whole->body, "3000000");
    const auto refused = co_await client.upload(
        {.method = "PUT", .path = "/refused"}, []() -> Task<base::Result<base::Bytes>> {
          co_await base::asio::post(base::asio::use_awaitable);
          co_return base::Bytes(1000);  // For ever.
        });
    EXPECT_EQ(refused.error().code, base::Errc::Forbidden);
  });
}

TEST_F(ClientTest, AnExecSessionCarriesAllItsChannels) {
  using namespace nexus::api;
  std::vector<std::string> got;
  ScriptedNode node(
      blocking_.executor(), folder_ / "n1",
      [&](ServerConnection& connection, const base::http::RequestHead& head) -> Task<> {
        auto socket = co_await connection.upgrade(head, "v5.channel.k8s.io", {}, {});
        for (;;) {
          const auto message = co_await (*socket)->read();
          if (!message || !*message) co_return;
          got.emplace_back(base::as_text(**message));
          if (got.back() == std::string("\xff\0", 2)) break;
        }
        (void)co_await (*socket)->write(
            encode_channel_data(Channel::Output, base::as_bytes("out")));
        (void)co_await (*socket)->write(
            encode_channel_data(Channel::ErrorOutput, base::as_bytes("err")));
        (void)co_await (*socket)->write(
            encode_channel_data(Channel::Outcome, base::as_bytes(encode_outcome(3))));
        co_await (*socket)->close(1000, "");
      });
  Client client(blocking_.executor(), config({"n1"}));
  run({&node}, [&]() -> Task<> {
    auto session = co_await client.open_exec("/exec");
    EXPECT_TRUE((co_await (*session)->write_input(base::as_bytes("in"))).has_value());
    EXPECT_TRUE((co_await (*session)->resize(1, 2)).has_value());
    EXPECT_TRUE((co_await (*session)->close_input()).has_value());
    auto output = **co_await (*session)->read_output();
    EXPECT_EQ(base::as_text(output.data), "out");
    EXPECT_FALSE(output.is_stderr);
    output = **co_await (*session)->read_output();
    EXPECT_EQ(base::as_text(output.data), "err");
    EXPECT_TRUE(output.is_stderr);
    EXPECT_EQ(*co_await (*session)->read_output(), std::nullopt);
    EXPECT_EQ((*session)->exit_code(), 3);
  });
  EXPECT_EQ(got, (std::vector<std::string>{std::string("\0in", 3), "\x04{\"Width\":2,\"Height\":1}",
                                           std::string("\xff\0", 2)}));
}

TEST_F(ClientTest, ARefusedSessionIsTheServersError) {
  ScriptedNode node(
      blocking_.executor(), folder_ / "n1",
      [](ServerConnection& connection, const auto&) -> Task<> {
        (void)co_await connection.respond(
            404, {}, R"({"status":"Failure","message":"no pod","reason":"NotFound","code":404})");
        connection.close();
      });
  Client client(blocking_.executor(), config({"n1"}));
  run({&node}, [&]() -> Task<> {
    const auto refused = co_await client.open_exec("/exec");
    EXPECT_EQ(refused.error().code, base::Errc::NotFound);
    EXPECT_EQ(refused.error().message, "no pod");
  });
}

}  // namespace
}  // namespace api_client
