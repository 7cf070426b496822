#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/async/task_scope.hpp>
#include <base/async/timeout.hpp>
#include <base/http/certificate.hpp>
#include <base/http/client_connection.hpp>
#include <base/http/server_connection.hpp>
#include <base/http/socket.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <filesystem>
#include <functional>

namespace base::http {
namespace {

using namespace std::chrono_literals;

void run(std::function<Task<>(Executor)> body) {
  asio::io_context context;
  bool done = false;
  asio::co_spawn(
      context,
      [&]() -> Task<> {
        co_await body(context.get_executor());
        done = true;
      },
      [](std::exception_ptr thrown) {
        if (thrown) std::rethrow_exception(thrown);
      });
  context.run();
  EXPECT_TRUE(done);
}

class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "hm-http-XXXXXX").string();
    BASE_ASSERT(mkdtemp(pattern.data()) != nullptr, "a folder for the test");
    path_ = pattern;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

// Answers each request with its method, target and body until the peer goes.
Task<> echo(Executor executor, std::unique_ptr<ByteStream> stream, ServerLimits limits,
            std::vector<std::string>* log) {
  ServerConnection connection(executor, std::move(stream), limits);
  for (;;) {
    auto head = co_await connection.next_request();
    if (!head) {
      log->push_back("fault " + std::to_string(head.error().status) + " " +
                     std::string(to_string(head.error().error.code)));
      if (head.error().status != 0)
        (void)co_await connection.respond(head.error().status, {}, "no");
      continue;
    }
    if (!*head) break;
    const RequestHead request = **head;
    if (request.web_socket) {
      auto socket = co_await connection.upgrade(request, "echo", {{"X-Extra", "1"}},
                                                {.message_bytes_max = 1024});
      while (socket) {
        const auto message = co_await (*socket)->read();
        if (!message || !*message) {
          log->push_back(message ? "closed" : std::string(to_string(message.error().code)));
          break;
        }
        if (!co_await (*socket)->write(**message)) break;
      }
      break;
    }
    if (request.target == "/unread") {
      (void)co_await connection.respond(413, {}, "too much");
      continue;
    }
    if (request.target == "/stream") {
      (void)co_await connection.begin_stream(200, {});
      for (const char* piece : {"one\n", "two\n", "", "three\n"})
        (void)co_await connection.write_stream(piece);
      (void)co_await connection.end_stream();
      continue;
    }
    auto body = co_await connection.read_body(1u << 20);
    if (!body) {
      log->push_back("body " + std::string(to_string(body.error().code)));
      (void)co_await connection.respond(400, {}, body.error().message);
      continue;
    }
    (void)co_await connection.respond(200, {}, request.method + " " + request.target + " " + *body);
  }
  log->push_back("end");
}

// A server for one connection after the other, and a client's stream to it.
class Pair {
 public:
  Pair(Executor executor, ServerLimits limits = {}) : executor_(executor), scope_(executor) {
    listener_ = *listen_unix(executor, folder_ / "s", 0600);
    scope_.spawn(accept(limits));
  }
  Task<std::unique_ptr<ByteStream>> connect() {
    auto stream = co_await connect_unix(folder_ / "s");
    BASE_ASSERT(stream.has_value(), "connecting");
    co_return *std::move(stream);
  }
  Task<> finish() {
    listener_->close();
    co_await scope_.join();
  }
  std::vector<std::string> log;

 private:
  Task<> accept(ServerLimits limits) {
    for (;;) {
      auto accepted = co_await listener_->accept();
      if (!accepted) co_return;
      EXPECT_TRUE(accepted->peer.local);
      EXPECT_EQ(accepted->peer.uid, getuid());
      EXPECT_EQ(accepted->peer.pid, getpid());
      scope_.spawn(echo(executor_, std::move(accepted->stream), limits, &log));
    }
  }
  Executor executor_;
  Folder folder_;
  TaskScope scope_;
  std::unique_ptr<Listener> listener_;
};

Task<std::string> converse(ByteStream& stream, std::string_view bytes) {
  (void)co_await stream.write(as_bytes(bytes));
  std::string answer;
  for (;;) {
    const auto some = co_await stream.read();
    if (!some || some->empty()) co_return answer;
    answer += as_text(*some);
  }
}

TEST(Connection, KeepsAnsweringOnOneConnection) {
  run([](Executor executor) -> Task<> {
    Pair pair(executor);
    ClientConnection client(co_await pair.connect());
    for (const std::string& body : {std::string("a"), std::string(), std::string(700'000, 'b')}) {
      EXPECT_TRUE(client.reusable());
      EXPECT_TRUE(co_await client.send("PUT", "/x", {{"Host", "n"}}, body));
      auto head = co_await client.read_head();
      EXPECT_EQ(head->status, 200);
      EXPECT_EQ(*co_await client.read_body(1u << 20), "PUT /x " + body);
    }
    EXPECT_TRUE(co_await client.begin_send("POST", "/chunks", {{"Host", "n"}}));
    EXPECT_TRUE(co_await client.send_some(as_bytes("ab")));
    EXPECT_TRUE(co_await client.send_some(as_bytes(std::string(100'000, 'c'))));
    EXPECT_TRUE(co_await client.end_send());
    EXPECT_TRUE(co_await client.read_head());
    EXPECT_EQ(*co_await client.read_body(1u << 20), "POST /chunks ab" + std::string(100'000, 'c'));
    EXPECT_TRUE(co_await client.send("GET", "/stream", {{"Host", "n"}}, ""));
    EXPECT_TRUE(co_await client.read_head());
    EXPECT_EQ(*co_await client.read_body(100), "one\ntwo\nthree\n");
    EXPECT_TRUE(client.reusable());
    client.close();
    co_await pair.finish();
    EXPECT_EQ(pair.log, std::vector<std::string>{"end"});
  });
}

TEST(Connection, AnswersWhatWasSentAhead) {
  run([](Executor executor) -> Task<> {
    Pair pair(executor);
    auto stream = co_await pair.connect();
    const std::string answer =
        co_await converse(*stream,
                          "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nPUT /2 HTTP/1.1\r\nHost: "
                          "x\r\nContent-Length: 2\r\n\r\nab"
                          "GET /3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(answer,
              "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nGET /1 HTTP/1.1 200 "
              "OK\r\nContent-Length: 9\r\n\r\nPUT /2 ab"
              "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\nGET /3 ");
    co_await pair.finish();
  });
}

TEST(Connection, AnOldClientGetsAStreamUpToItsEnd) {
  run([](Executor executor) -> Task<> {
    Pair pair(executor);
    auto stream = co_await pair.connect();
    EXPECT_EQ(co_await converse(*stream, "GET /stream HTTP/1.0\r\n\r\n"),
              "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\none\ntwo\nthree\n");
    co_await pair.finish();
  });
}

TEST(Connection, TheAnswerArrivesThoughTheBodyWasNotRead) {
  run([](Executor executor) -> Task<> {
    Pair pair(executor);
    auto stream = co_await pair.connect();
    std::string bytes = "PUT /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n" +
                        std::string(3'000'000, 'x');
    const std::string answer = co_await converse(*stream, bytes);
    EXPECT_NE(answer.find("413"), std::string::npos);
    EXPECT_NE(answer.find("too much"), std::string::npos);
    stream.reset();
    co_await pair.finish();
  });
}

TEST(Connection, GivesLeaveToSendABody) {
  run([](Executor executor) -> Task<> {
    Pair pair(executor);
    auto stream = co_await pair.connect();
    (void)co_await stream->write(
        as_bytes("PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: "
                 "2\r\nConnection: close\r\n\r\n"));
    EXPECT_EQ(as_text(*co_await stream->read()), "HTTP/1.1 100 Continue\r\n\r\n");
    EXPECT_EQ(co_await converse(*stream, "ab"),
              "HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\nPUT / ab");
    co_await pair.finish();
  });
}

TEST(Connection, SlowAndBrokenPeersAreLetGo) {
  const ServerLimits limits{
      .idle_max = 20ms, .head_max = 20ms, .body_max = 20ms, .stall_max = 20ms};
  struct Case {
    const char* sent;
    std::vector<std::string> log;
  };
  const std::vector<Case> cases = {
      {"", {"end"}},
      {"GET / HT", {"fault 0 TimedOut", "end"}},
      {"GET / HTTP/1.1\r\nHost: x\r\nA: b", {"fault 0 TimedOut", "end"}},
      {"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab", {"body TimedOut", "end"}},
      {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", {"end"}},  // Idle after its answer.
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.sent);
    run([&](Executor executor) -> Task<> {
      Pair pair(executor, limits);
      auto stream = co_await pair.connect();
      (void)co_await converse(*stream, c.sent);
      co_await pair.finish();
      EXPECT_EQ(pair.log, c.log);
    });
  }
}

TEST(Connection, ABadRequestIsAnsweredBeforeTheEnd) {
  run([](Executor executor) -> Task<> {
    Pair pair(executor);
    auto stream = co_await pair.connect();
    EXPECT_EQ(co_await converse(*stream, "GET / HTTP/1.1\r\nHost : x\r\n\r\n"),
              "HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
    stream.reset();
    co_await pair.finish();
    EXPECT_EQ(pair.log, (std::vector<std::string>{"fault 400 InvalidArgument", "end"}));
  });
}

TEST(Connection, WebSocketCarriesMessagesBothWays) {
  run([](Executor executor) -> Task<> {
    Pair pair(executor);
    UpgradeRefusal refusal;
    auto socket = co_await connect_web_socket(co_await pair.connect(), "n", "/ws", {},
                                              {"echo", "other"}, refusal);
    EXPECT_TRUE(socket.has_value());
    EXPECT_EQ((*socket)->subprotocol(), "echo");
    for (std::size_t size : {0uz, 1uz, 126uz, 1024uz}) {
      const Bytes message(size, 7);
      EXPECT_TRUE(co_await (*socket)->write(message));
      EXPECT_EQ(**co_await (*socket)->read(), message);
    }
    co_await (*socket)->close(1000, "done");
    co_await pair.finish();
    EXPECT_EQ(pair.log, (std::vector<std::string>{"closed", "end"}));
  });
}

TEST(Connection, AWebSocketMessageAboveTheLimitIsRefused) {
  run([](Executor executor) -> Task<> {
    Pair pair(executor);
    UpgradeRefusal refusal;
    auto socket = co_await connect_web_socket(co_await pair.connect(), "n", "/ws", {}, {}, refusal);
    EXPECT_TRUE(co_await (*socket)->write(Bytes(2000, 1)));
    EXPECT_FALSE((co_await (*socket)->read()).value_or(std::nullopt).has_value());
    co_await pair.finish();
    EXPECT_EQ(pair.log, (std::vector<std::string>{"InvalidArgument", "end"}));
  });
}

TEST(Connection, ARefusedWebSocketGivesTheAnswer) {
  run([](Executor executor) -> Task<> {
    Pair pair(executor);
    UpgradeRefusal refusal;
    // The server answers with a plain 200 because the request lacks the version it wants.
    auto stream = co_await pair.connect();
    auto socket = co_await connect_web_socket(std::move(stream), "n", "/unread",
                                              {{"Upgrade", "other"}}, {}, refusal);
    EXPECT_FALSE(socket.has_value());
    EXPECT_EQ(refusal.head.status, 413);
    EXPECT_EQ(refusal.body, "too much");
    co_await pair.finish();
  });
}

TEST(Sockets, TlsAcceptsOnlyThePinnedCertificate) {
  const auto now = std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
  const CertificateRequest request{.common_name = "n1",
                                   .dns_names = {"localhost"},
                                   .addresses = {"::1", "127.0.0.1"},
                                   .not_before = now - 1h,
                                   .not_after = now + 24h};
  const auto mine = make_self_signed(request);
  const auto other = make_self_signed(request);
  ASSERT_TRUE(mine && other);
  const auto facts = read_certificate(mine->certificate_pem);
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->addresses, (std::vector<std::string>{"::1", "127.0.0.1"}));
  EXPECT_EQ(facts->dns_names, std::vector<std::string>{"localhost"});
  const auto identity = TlsIdentity::from_pem(mine->certificate_pem, mine->key_pem);
  ASSERT_TRUE(identity);
  EXPECT_EQ(TlsIdentity::from_pem(mine->certificate_pem, other->key_pem).error().code,
            Errc::InvalidArgument);
  run([&](Executor executor) -> Task<> {
    auto listener = *listen_tcp(executor, "127.0.0.1", 0, &*identity);
    TaskScope scope(executor);
    std::vector<std::string> log;
    scope.spawn(
        [](Executor on, Listener& from, TaskScope& in, std::vector<std::string>& to) -> Task<> {
          for (;;) {
            auto accepted = co_await from.accept();
            if (!accepted) co_return;
            EXPECT_FALSE(accepted->peer.local);
            in.spawn(echo(on, std::move(accepted->stream), {}, &to));
          }
        }(executor, *listener, scope, log));
    auto wrong = co_await connect_tls("127.0.0.1", listener->port(), other->certificate_pem);
    EXPECT_EQ(wrong.error().code, Errc::NotVerified);
    EXPECT_TRUE(co_await connect_tls_unverified("127.0.0.1", listener->port()));
    auto right = co_await connect_tls("127.0.0.1", listener->port(), mine->certificate_pem);
    EXPECT_TRUE(right.has_value());
    {
      ClientConnection client(*std::move(right));
      const std::string body(300'000, 'b');
      EXPECT_TRUE(co_await client.send("PUT", "/x", {{"Host", "n"}}, body));
      EXPECT_TRUE(co_await client.read_head());
      EXPECT_EQ(*co_await client.read_body(1u << 20), "PUT /x " + body);
    }
    listener->close();
    co_await scope.join();
  });
}

TEST(Sockets, ADeadSocketIsReplacedALivingOneIsNot) {
  run([](Executor executor) -> Task<> {
    const Folder folder;
    const std::string deep = folder / (std::string(90, 'd') + "/" + std::string(90, 'e'));
    std::filesystem::create_directories(deep);
    for (const std::string& path : {folder / "s", deep + "/s"}) {
      {
        auto first = listen_unix(executor, path, 0600);
        EXPECT_TRUE(first.has_value());
        struct stat info{};
        EXPECT_EQ(stat(path.c_str(), &info), 0);
        EXPECT_EQ(info.st_mode & 0777, 0600u);
        EXPECT_EQ(listen_unix(executor, path, 0600).error().code, Errc::AlreadyExists);
        EXPECT_TRUE((co_await connect_unix(path)).has_value());
        std::filesystem::rename(path,
                                path + ".kept");  // As after a kill: closing does not remove it.
      }
      std::filesystem::rename(path + ".kept", path);
      EXPECT_EQ((co_await connect_unix(path)).error().code, Errc::Unavailable);
      EXPECT_TRUE(listen_unix(executor, path, 0600).has_value());
      EXPECT_FALSE(std::filesystem::exists(path));
      EXPECT_EQ((co_await connect_unix(path)).error().code, Errc::NotFound);
    }
  });
}

}  // namespace
}  // namespace base::http
