#pragma once

// A keeper within the test's own process and mount namespace, with an image of one layer: busybox.

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "runtime/keeper/keeper.hpp"

namespace hypermesh::keeper::testing {

/// Remembers what the keeper tells.
class Outlet final : public EventOutlet {
 public:
  void tell_all(const Event& event) override {
    events.push_back(std::get<nexus::DriverEvent>(event));
  }
  void tell(ConnectionId, std::uint64_t session, const SessionEnded& event) override {
    ended[session] = event;
  }
  std::vector<nexus::DriverEvent> events;
  std::map<std::uint64_t, SessionEnded> ended;
};

class KeeperFixture : public ::testing::Test {
 protected:
  static void SetUpTestSuite();
  void SetUp() override;
  void TearDown() override;

  /// Options of the keeper that SetUp opens; a test may change them and call reopen().
  KeeperOptions options_;
  void open_keeper();
  /// As if the keeper's process had been killed: nothing is ended or written, a new one is opened.
  void replace_keeper();
  /// Ends what the keeper runs, as at the end of its process.
  void shut_down(base::Duration grace = base::Duration::zero());

  /// Runs the loop until the job is done.
  template <class T>
  T run(Job<T> job) {
    std::optional<T> result;
    spawn([](Job<T> inner, std::optional<T>& into, Loop& loop) -> Job<void> {
      into.emplace(co_await inner);
      loop.stop_once();
    }(std::move(job), result, *loop_));
    while (!result) loop_->run();
    return *std::move(result);
  }
  Answer ask(Request request) { return run(keeper_->handle(kConnection, std::move(request), {})); }
  template <class T>
  T ask_for(Request request) {
    Answer answer = ask(std::move(request));
    if (const auto* failed = std::get_if<Failed>(&answer.reply)) {
      ADD_FAILURE() << failed->error.describe();
      return {};
    }
    return std::get<T>(std::move(answer.reply));
  }
  base::Error error_of(Request request);
  /// Runs the loop until `condition` holds; fails the test after a minute.
  void until(const std::function<bool()>& condition);

  nexus::PodSpec pod_spec(const std::string& uid = "pod-1");
  StartContainer container(std::vector<std::string> args, const std::string& name = "main",
                           std::uint32_t attempt = 0, const std::string& uid = "pod-1");
  /// A container whose only process is a shell with this script.
  StartContainer script(const std::string& text) { return container({"/bin/sh", "-c", text}); }
  nexus::ContainerStatus wait_for_exit(const std::string& name = "main",
                                       const std::string& uid = "pod-1");
  nexus::ContainerStatus status_of(const std::string& name = "main",
                                   const std::string& uid = "pod-1");
  /// Text of a container's log, without times.
  std::string log_of(const std::string& name = "main", std::uint32_t attempt = 0,
                     const std::string& uid = "pod-1");
  /// Runs a command in the container: exit code and output.
  std::pair<int, std::string> exec(std::vector<std::string> command,
                                   const std::string& name = "main");
  std::string read_to_end(int fd);
  /// What a keeper could leave behind on the machine, below this test's own names.
  std::vector<std::string> traces() const;
  /// A layer of these files (path to content; a content that begins with "-> " is a link) owned as
  /// unpacked ones are.
  std::string make_layer(const std::map<std::string, std::string>& files);

  static constexpr ConnectionId kConnection = 7;
  std::string scratch_;
  std::size_t open_files_ = 0;  ///< Before there was a keeper.
  std::string busybox_layer_;
  base::SystemClock clock_;
  base::LogSink sink_{2, base::LogSink::Format::Human};
  NoNetwork network_;
  Outlet outlet_;
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<Keeper> keeper_;
};

}  // namespace hypermesh::keeper::testing
