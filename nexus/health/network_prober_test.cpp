#include "health/network_prober.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <base/async/task_scope.hpp>
#include <base/http/certificate.hpp>
#include <base/http/server_connection.hpp>
#include <base/http/socket.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>

#include "api/testing/scripted_driver.hpp"

namespace nexus {
namespace {

using namespace std::chrono_literals;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

constexpr base::Duration kLong = 30s, kShort = 20ms;

/// A pod's program on loopback: answers with the status that the path names, or not at all.
class Program {
 public:
  Program(const base::Executor& executor, const std::string& address,
          const base::http::TlsIdentity* identity = nullptr)
      : scope_(executor), silence_(executor) {
    auto listener = base::http::listen_tcp(executor, address, 0, identity);
    BASE_ASSERT(listener.has_value(), "a listener on loopback");
    listener_ = *std::move(listener);
    scope_.spawn(accept());
  }
  std::uint16_t port() const { return listener_->port(); }
  base::Task<> finish() {
    listener_->close();
    silence_.notify();
    co_await scope_.join();
  }

  std::vector<base::http::RequestHead> requests;
  std::size_t answering_at_once_max = 0;

 private:
  base::Task<> accept() {
    for (;;) {
      auto accepted = co_await listener_->accept();
      if (!accepted) co_return;
      scope_.spawn(answer(std::move(accepted->stream)));
    }
  }
  base::Task<> answer(std::unique_ptr<base::ByteStream> stream) {
    base::http::ServerConnection connection(scope_.executor(), std::move(stream), {});
    const auto head = co_await connection.next_request();
    if (!head || !*head) co_return;
    const base::http::RequestHead request = **head;
    requests.push_back(request);
    if (request.target == "/silence") co_return co_await silence_.wait();
    answering_at_once_max = std::max(answering_at_once_max, ++answering_);
    for (int turn = 0; turn < 3; ++turn)
      co_await boost::asio::post(scope_.executor(), boost::asio::use_awaitable);
    --answering_;
    const int status = std::stoi(request.target.substr(1));
    (void)co_await connection.respond(status, {{"Location", "http://127.0.0.1:1/"}}, "");
  }

  std::unique_ptr<base::http::Listener> listener_;
  base::TaskScope scope_;
  base::Event silence_;
  std::size_t answering_ = 0;
};

void run(std::function<base::Task<>(base::Executor)> body) {
  boost::asio::io_context context;
  bool done = false;
  boost::asio::co_spawn(
      context,
      [&]() -> base::Task<> {
        co_await body(context.get_executor());
        done = true;
      },
      [](std::exception_ptr thrown) {
        if (thrown) std::rethrow_exception(thrown);
      });
  context.run();
  EXPECT_TRUE(done);
}

/// A port that nothing listens on.
std::uint16_t closed_port(const base::Executor& executor) {
  return (*base::http::listen_tcp(executor, "127.0.0.1", 0, nullptr))->port();
}

TEST(NetworkProber, TwoHundredToThreeHundredNinetyNineIsWell) {
  run([](base::Executor executor) -> base::Task<> {
    Program program(executor, "127.0.0.1");
    api::ScriptedDriver driver(executor);
    NetworkProber prober(executor, driver);
    for (const int status : {200, 204, 302, 399, 404, 500, 503}) {
      const HttpCheck check{.hosts = {"127.0.0.1"},
                            .port = program.port(),
                            .path = "/" + std::to_string(status),
                            .headers = {{"X-Probe", "1"}}};
      const CheckResult result = co_await prober.run(check, kLong);
      EXPECT_EQ(result.passed, status < 400) << result.detail;
      if (!result.passed)
        EXPECT_THAT(result.detail, EndsWith(": status " + std::to_string(status)));
    }
    // One request each: a redirect is an answer, not an order.
    EXPECT_EQ(program.requests.size(), 7u);
    EXPECT_EQ(program.requests[0].headers.get("X-Probe"), "1");
    EXPECT_EQ(program.requests[0].headers.get("Host"),
              "127.0.0.1:" + std::to_string(program.port()));
    co_await program.finish();
  });
}

TEST(NetworkProber, AHostHeaderOfTheProbeReplacesOurs) {
  run([](base::Executor executor) -> base::Task<> {
    Program program(executor, "::1");
    api::ScriptedDriver driver(executor);
    NetworkProber prober(executor, driver);
    const HttpCheck check{.hosts = {"::1"},
                          .port = program.port(),
                          .path = "200",
                          .headers = {{"host", "shop.example"}}};
    EXPECT_TRUE((co_await prober.run(check, kLong)).passed);
    EXPECT_THAT(program.requests.at(0).headers.all("Host"), testing::ElementsAre("shop.example"));
    co_await program.finish();
  });
}

TEST(NetworkProber, AsksTheOtherAddressWhenOneRefuses) {
  run([](base::Executor executor) -> base::Task<> {
    Program program(executor, "127.0.0.1");
    api::ScriptedDriver driver(executor);
    NetworkProber prober(executor, driver);
    const std::vector<std::string> both{"::1", "127.0.0.1"};
    const HttpCheck http{.hosts = both, .port = program.port(), .path = "/200"};
    EXPECT_TRUE((co_await prober.run(http, kLong)).passed);
    EXPECT_TRUE((co_await prober.run(TcpCheck{both, program.port()}, kLong)).passed);
    co_await program.finish();
    const CheckResult refused = co_await prober.run(TcpCheck{both, closed_port(executor)}, kLong);
    EXPECT_FALSE(refused.passed);
    EXPECT_THAT(refused.detail, HasSubstr("[::1]"));
    EXPECT_THAT(refused.detail, HasSubstr("127.0.0.1"));
    const CheckResult nowhere = co_await prober.run(TcpCheck{{}, 80}, kLong);
    EXPECT_EQ(nowhere.detail, "TCP port 80: the pod has no address");
  });
}

TEST(NetworkProber, TakesEveryCertificate) {
  const base::WallTime long_ago(std::chrono::hours(400'000));
  const auto pair = base::http::make_self_signed({.common_name = "n",
                                                  .dns_names = {"somebody"},
                                                  .not_before = long_ago,
                                                  .not_after = long_ago + 1h});
  ASSERT_TRUE(pair);
  const auto identity = base::http::TlsIdentity::from_pem(pair->certificate_pem, pair->key_pem);
  ASSERT_TRUE(identity);
  run([&](base::Executor executor) -> base::Task<> {
    Program program(executor, "127.0.0.1", &*identity);
    api::ScriptedDriver driver(executor);
    NetworkProber prober(executor, driver);
    const HttpCheck check{
        .hosts = {"127.0.0.1"}, .port = program.port(), .path = "/200", .tls = true};
    const CheckResult result = co_await prober.run(check, kLong);
    EXPECT_TRUE(result.passed) << result.detail;
    co_await program.finish();
  });
}

TEST(NetworkProber, WhoDoesNotAnswerInTimeHasFailed) {
  run([](base::Executor executor) -> base::Task<> {
    Program program(executor, "127.0.0.1");
    api::ScriptedDriver driver(executor);
    NetworkProber prober(executor, driver, 1);
    const HttpCheck check{.hosts = {"127.0.0.1"}, .port = program.port(), .path = "/silence"};
    const CheckResult result = co_await prober.run(check, kShort);
    EXPECT_FALSE(result.passed);
    EXPECT_THAT(result.detail, StartsWith("GET http://127.0.0.1:"));
    EXPECT_THAT(result.detail, EndsWith("/silence: no answer within 20 ms"));
    const CommandCheck command{{"uid", "web"}, {"wait"}};
    EXPECT_EQ((co_await prober.run(command, kShort)).detail, "wait: no answer within 20 ms");
    EXPECT_EQ(driver.sessions, 0);
    co_await program.finish();
  });
}

TEST(NetworkProber, ACommandIsWellWhenItEndsWithZero) {
  run([](base::Executor executor) -> base::Task<> {
    api::ScriptedDriver driver(executor);
    NetworkProber prober(executor, driver);
    const auto ask = [&](std::vector<std::string> command) {
      return prober.run(CommandCheck{{"uid", "web"}, std::move(command)}, kLong);
    };
    EXPECT_TRUE((co_await ask({"echo", "well"})).passed);
    EXPECT_EQ((co_await ask({"fail", "3"})).detail, "fail 3: exit code 3");
    driver.error = base::make_error(base::Errc::NotFound, "the container does not run");
    EXPECT_EQ((co_await ask({"echo"})).detail, "echo: the container does not run");
  });
}

TEST(NetworkProber, AsksOthersWhileChecksTakeLong) {
  run([](base::Executor executor) -> base::Task<> {
    Program program(executor, "127.0.0.1");
    api::ScriptedDriver driver(executor);
    NetworkProber prober(executor, driver, 2, 1ms);
    base::TaskScope scope(executor);
    for (int i = 0; i < 5; ++i) {
      scope.spawn([](NetworkProber& with) -> base::Task<> {
        (void)co_await with.run(CommandCheck{{"uid", "web"}, {"wait"}}, kLong);
      }(prober));
    }
    co_await boost::asio::post(executor, boost::asio::use_awaitable);
    const HttpCheck check{.hosts = {"127.0.0.1"}, .port = program.port(), .path = "/200"};
    EXPECT_TRUE((co_await prober.run(check, kLong)).passed);
    EXPECT_EQ(driver.sessions, 5);
    scope.cancel();
    co_await scope.join();
    co_await program.finish();
  });
}

TEST(NetworkProber, WaitsForItsTurnWhenManyAsk) {
  run([](base::Executor executor) -> base::Task<> {
    Program program(executor, "127.0.0.1");
    api::ScriptedDriver driver(executor);
    NetworkProber prober(executor, driver, 3, kLong);
    base::TaskScope scope(executor);
    std::size_t passed = 0;
    const HttpCheck check{.hosts = {"127.0.0.1"}, .port = program.port(), .path = "/200"};
    for (int i = 0; i < 20; ++i) {
      scope.spawn([](NetworkProber& with, HttpCheck what, std::size_t& count) -> base::Task<> {
        count += (co_await with.run(std::move(what), kLong)).passed;
      }(prober, check, passed));
    }
    co_await scope.join();
    EXPECT_EQ(passed, 20u);
    EXPECT_LE(program.answering_at_once_max, 3u);
    co_await program.finish();
  });
}

}  // namespace
}  // namespace nexus
