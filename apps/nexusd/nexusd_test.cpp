// nexusd as a process of its own: what people rely on when it is killed and started again.

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <base/file.hpp>
#include <base/http/client_connection.hpp>
#include <base/http/socket.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <csignal>
#include <fstream>
#include <nexus/process/launch.hpp>
#include <nexus/process/places.hpp>
#include <nexus/process/proc_files.hpp>
#include <nexus/state/temporary_folder_testing.hpp>
#include <nlohmann/json.hpp>

namespace apps {
namespace {

using Json = nlohmann::json;
using base::http::ClientConnection;
using nexus::process::UniqueFd;

constexpr std::size_t kAnswerBytesMax = 1u << 20;
constexpr const char* kPods = "/api/v1/namespaces/default/pods";

class Nexusd : public testing::Test {
 protected:
  Nexusd() {
    std::ofstream(home() / "nexusd.yaml") << fmt::format(
        "stoq:\n  data_directory: {}\n  transport: {{bind: \"[::1]:0\"}}\n"
        "nexus:\n  api: {{listen: \"[::1]:{}\"}}\n  dns: {{listen: \"[::1]:{}\"}}\n"
        "hypermesh:\n  node: {{id: alone}}\n",
        (home() / "data").string(), free_port(), free_port());
    start();
  }
  ~Nexusd() override {
    if (pid_ != 0) kill_hard();
    // What a test that failed left behind.
    std::error_code none;
    for (const auto& pod : std::filesystem::directory_iterator(state() / "processes/pods", none))
      nexus::process::kill_marked(nexus::process::mark_of_pod(pod.path().filename().string()),
                                  true);
  }

  std::filesystem::path home() const { return folder_.path(); }
  std::filesystem::path state() const { return home() / "data" / "nexus"; }

  std::uint16_t free_port() {
    base::asio::io_context context;
    const auto listener = base::http::listen_tcp(context.get_executor(), "::1", 0, nullptr);
    EXPECT_TRUE(listener);
    return (*listener)->port();
  }

  /// Returns when it says that it is ready.
  void start() {
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    log_ = UniqueFd(ends[0]);
    const UniqueFd write_end(ends[1]);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, write_end.get(), STDERR_FILENO);
    const std::string program = PROJECT_BINARY_DIR "/bin/nexusd";
    const std::string config = (home() / "nexusd.yaml").string();
    std::array words{const_cast<char*>("nexusd"), const_cast<char*>("--config"),
                     const_cast<char*>(config.c_str()), static_cast<char*>(nullptr)};
    ASSERT_EQ(::posix_spawn(&pid_, program.c_str(), &actions, nullptr, words.data(), ::environ), 0);
    ::posix_spawn_file_actions_destroy(&actions);
    std::string said;
    std::array<char, 4096> block{};
    while (said.find("nexusd: ready") == std::string::npos) {
      const ssize_t count = ::read(log_.get(), block.data(), block.size());
      ASSERT_GT(count, 0) << "nexusd ended: " << said;
      said.append(block.data(), static_cast<std::size_t>(count));
    }
  }
  void kill_hard() {
    ::kill(pid_, SIGKILL);
    ::waitpid(std::exchange(pid_, 0), nullptr, 0);
  }
  int stop() {
    int status = 0;
    ::kill(pid_, SIGTERM);
    ::waitpid(std::exchange(pid_, 0), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  template <class T>
  T run(base::Task<T> task) {
    std::optional<T> out;
    base::asio::io_context context;
    base::asio::co_spawn(context, std::move(task), [&](std::exception_ptr thrown, T value) {
      if (thrown) std::rethrow_exception(thrown);
      out = std::move(value);
    });
    context.run();
    return *std::move(out);
  }
  base::Task<base::Result<Json>> call(std::string method, std::string target, Json body) {
    CO_TRY(auto stream, co_await base::http::connect_unix((state() / "run" / "api.sock").string()));
    ClientConnection connection(std::move(stream));
    CO_TRY_DO(co_await connection.send(method, target,
                                       {{"Host", "nexusd"}, {"Content-Type", "application/json"}},
                                       body.is_null() ? "" : body.dump()));
    CO_TRY_DO(co_await connection.read_head());
    CO_TRY(const std::string answer, co_await connection.read_body(kAnswerBytesMax));
    co_return Json::parse(answer);
  }
  Json ask(std::string method, std::string target, Json body = {}) {
    auto answer = run(call(std::move(method), std::move(target), std::move(body)));
    EXPECT_TRUE(answer) << answer.error().describe();
    return answer.value_or(Json());
  }

  /// The first event about a pod that `wanted` says yes to.
  base::Task<base::Result<Json>> watch(std::string options,
                                       std::function<bool(const Json&)> wanted) {
    CO_TRY(auto stream, co_await base::http::connect_unix((state() / "run" / "api.sock").string()));
    ClientConnection connection(std::move(stream));
    CO_TRY_DO(co_await connection.send("GET", fmt::format("{}?watch=true{}", kPods, options),
                                       {{"Host", "nexusd"}}, ""));
    CO_TRY_DO(co_await connection.read_head());
    std::string text;
    for (;;) {
      CO_TRY(const base::Bytes more, co_await connection.read_body_some());
      if (more.empty()) co_return base::fail(base::Errc::Unavailable, "the watch ended");
      text += base::as_text(more);
      for (std::size_t end; (end = text.find('\n')) != text.npos; text.erase(0, end + 1)) {
        const Json event = Json::parse(text.substr(0, end));
        if (wanted(event)) co_return event;
      }
    }
  }
  Json await_event(std::function<bool(const Json&)> wanted, std::string options = {}) {
    auto event = run(watch(std::move(options), std::move(wanted)));
    EXPECT_TRUE(event) << event.error().describe();
    return event.value_or(Json());
  }
  static bool is_running(const Json& event) {
    return event.value("/object/status/phase"_json_pointer, "") == "Running";
  }
  nexus::process::RunningRecord record_of(const Json& pod) {
    const nexus::process::Places places{state() / "processes"};
    const auto folder = places.attempt(pod["metadata"]["uid"], "main", 0);
    return *nexus::process::decode_running(
        *base::read_file(folder / nexus::process::kRunningFile, nexus::process::kRecordBytesMax));
  }

  nexus::TemporaryFolder folder_;
  UniqueFd log_;
  pid_t pid_ = 0;
};

TEST_F(Nexusd, APodOutlivesItsDaemonAndEndsWithItsDeployment) {
  const Json deployment = Json::parse(R"({"apiVersion":"apps/v1","kind":"Deployment",
    "metadata":{"name":"nap"},
    "spec":{"selector":{"matchLabels":{"app":"nap"}},
            "template":{"metadata":{"labels":{"app":"nap"}},
                        "spec":{"terminationGracePeriodSeconds":1,
                                "containers":[{"name":"main","image":"/bin/sleep","args":["1000"]}]}}}})");
  const std::string deployments = "/apis/apps/v1/namespaces/default/deployments";
  EXPECT_EQ(ask("POST", deployments, deployment)["kind"], "Deployment");
  const Json pod = await_event(is_running)["object"];
  EXPECT_EQ(pod["spec"]["nodeName"], "alone");
  EXPECT_EQ(pod["status"]["podIP"], "::1");
  const auto before = record_of(pod);
  const auto process = nexus::process::open_process(before.process);
  const auto supervisor = nexus::process::open_process(before.supervisor);
  ASSERT_TRUE(process && supervisor);

  kill_hard();
  start();
  const Json same = await_event(is_running)["object"];
  EXPECT_EQ(same["metadata"]["uid"], pod["metadata"]["uid"]);
  EXPECT_EQ(same["status"]["containerStatuses"][0]["restartCount"], 0);
  EXPECT_EQ(record_of(same), before);
  EXPECT_TRUE(nexus::process::open_process(before.process));

  const std::string revision = ask("GET", kPods)["metadata"]["resourceVersion"];
  EXPECT_EQ(ask("DELETE", deployments + "/nap")["status"], "Success");
  for (const UniqueFd* each : {&*process, &*supervisor}) {
    pollfd ended{each->get(), POLLIN, 0};
    EXPECT_EQ(::poll(&ended, 1, -1), 1);
  }
  // Its object goes when nothing of it is left.
  await_event([](const Json& event) { return event["type"] == "DELETED"; },
              "&resourceVersion=" + revision);
  EXPECT_TRUE(std::filesystem::is_empty(state() / "processes" / "pods"));
  EXPECT_EQ(stop(), 0);
}

TEST_F(Nexusd, ServicesAreNamesAndImagesOfRegistriesAreRefused) {
  const Json service =
      ask("POST", "/api/v1/namespaces/default/services",
          Json::parse(R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"web"},
                                           "spec":{"selector":{"app":"web"},"ports":[{"port":80}]}})"));
  EXPECT_EQ(service["spec"]["clusterIP"], "None");
  ask("POST", kPods, Json::parse(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"web"},
                      "spec":{"containers":[{"name":"main","image":"nginx:1.27"}]}})"));
  const Json event = await_event([](const Json& each) {
    return each.value("/object/status/containerStatuses/0/state/waiting/reason"_json_pointer, "") ==
           "InvalidImageName";
  });
  EXPECT_THAT(event["object"]["status"]["containerStatuses"][0]["state"]["waiting"]["message"]
                  .get<std::string>(),
              testing::HasSubstr("absolute path of a program"));
}

}  // namespace
}  // namespace apps
