#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <base/file.hpp>
#include <base/http/socket.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <csignal>
#include <cstring>
#include <deque>
#include <fstream>

#include "process/log_file.hpp"
#include "process/log_scan.hpp"
#include "process/proc_files.hpp"
#include "process/process_workload_driver.hpp"
#include "state/temporary_folder_testing.hpp"

namespace nexus {
namespace {

using base::Errc;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kUid = "0a-1";

/// Waits without a limit of its own: the test runner has one.
void await_end(int pidfd) {
  pollfd waited{pidfd, POLLIN, 0};
  while (::poll(&waited, 1, -1) < 0) {
  }
}

class ProcessDriver : public testing::Test {
 protected:
  ProcessDriver() { open(); }
  ~ProcessDriver() override {
    if (driver_) {
      for (const PodStatus& pod : *run(driver_->list_pods()))
        EXPECT_TRUE(run(driver_->remove_pod(pod.uid)));
    }
    close();
  }

  template <class T>
  T run(base::Task<T> task) {
    std::optional<T> out;
    base::asio::co_spawn(context_, std::move(task), [&](std::exception_ptr thrown, T value) {
      if (thrown) std::rethrow_exception(thrown);
      out = std::move(value);
    });
    while (!out) context_.run_one();
    return *std::move(out);
  }
  void run(base::Task<> task) {
    bool done = false;
    base::asio::co_spawn(context_, std::move(task), [&](std::exception_ptr) { done = true; });
    while (!done) context_.run_one();
  }

  base::Task<base::Result<std::unique_ptr<ProcessWorkloadDriver>>> make() {
    return ProcessWorkloadDriver::open(
        context_.get_executor(), pool_, clock_, {},
        {.folder = folder_.path() / "processes",
         .helper = std::filesystem::path(PROJECT_BINARY_DIR) / "bin" / "hypermesh-process",
         .addresses = {"::1", "127.0.0.1"}});
  }
  void open() {
    auto made = run(make());
    ASSERT_TRUE(made) << made.error().describe();
    driver_ = *std::move(made);
    driver_->listen([this](const DriverEvent& event) { events_.push_back(event); });
  }
  /// As a daemon that ends. What runs goes on.
  void close() {
    if (driver_) run(driver_->stop());
    driver_.reset();
    events_.clear();
  }

  void make_pod() {
    PodSpec spec;
    spec.uid = kUid;
    spec.name_space = "default";
    spec.name = spec.hostname = "web-1";
    const auto made = run(driver_->create_pod(spec));
    ASSERT_TRUE(made) << made.error().describe();
    EXPECT_TRUE(made->ready);
    EXPECT_THAT(made->addresses, ElementsAre("::1", "127.0.0.1"));
  }
  static ContainerSpec shell(std::string script, std::uint32_t attempt = 0,
                             std::string name = "main") {
    ContainerSpec spec;
    spec.id = {kUid, std::move(name)};
    spec.attempt = attempt;
    spec.image = "/bin/sh";
    spec.command = {"sh", "-c", std::move(script)};
    spec.env = {{"GREETING", "good day"}};
    return spec;
  }
  ContainerStatus start(ContainerSpec spec) {
    auto status = run(driver_->start_container(std::move(spec)));
    EXPECT_TRUE(status) << status.error().describe();
    return status.value_or(ContainerStatus{});
  }
  ContainerStatus next_event(DriverEvent::Kind kind) {
    for (;;) {
      while (events_.empty()) context_.run_one();
      const DriverEvent event = std::move(events_.front());
      events_.pop_front();
      if (event.kind == kind) return event.container;
    }
  }
  ContainerStatus next_exit() { return next_event(DriverEvent::Kind::ContainerExited); }

  /// The first `count` records, or all there are.
  std::vector<std::string> log(LogQuery query, std::size_t count = 1000) {
    query.container = {kUid, query.container.name.empty() ? "main" : query.container.name};
    auto reader = run(driver_->logs(std::move(query)));
    EXPECT_TRUE(reader) << reader.error().describe();
    std::vector<std::string> lines;
    while (reader && lines.size() < count) {
      auto record = run((*reader)->next());
      EXPECT_TRUE(record);
      if (!record || !*record) break;
      lines.push_back(((*record)->is_stderr ? "err " : "out ") + (*record)->text);
    }
    return lines;
  }
  process::ProcessName supervisor_of(std::uint32_t attempt) {
    const process::Places places{folder_.path() / "processes"};
    const auto text =
        base::read_file(places.attempt(kUid, "main", attempt) / process::kRunningFile, 1u << 20);
    return process::decode_running(*text)->supervisor;
  }

  TemporaryFolder folder_;
  base::asio::io_context context_{1};
  base::asio::executor_work_guard<base::asio::io_context::executor_type> work_{
      context_.get_executor()};
  base::BlockingPool pool_{2};
  base::SystemClock clock_;
  std::unique_ptr<ProcessWorkloadDriver> driver_;
  std::deque<DriverEvent> events_;
};

TEST_F(ProcessDriver, RunsAProgramWithItsVariablesAndFolderAndTellsItsEnd) {
  make_pod();
  const auto started = start(shell("echo $GREETING $HOSTNAME; echo bad >&2; pwd; exit 3"));
  EXPECT_EQ(started.id.name, "main");
  const auto ended = next_exit();
  EXPECT_EQ(ended.state, ContainerState::Exited);
  EXPECT_EQ(ended.exit_code, 3);
  EXPECT_GE(ended.finished, ended.started);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "its supervisor was not waited for";
  const std::string work = (folder_.path() / "processes" / "pods" / kUid / "work").string();
  EXPECT_THAT(log({}),
              testing::UnorderedElementsAre("out good day web-1", "err bad", "out " + work));
  const auto listed = run(driver_->list_pods());
  ASSERT_EQ(listed->size(), 1u);
  EXPECT_EQ(listed->front().containers.at(0).exit_code, 3);
}

TEST_F(ProcessDriver, RepeatedCallsFindTheirWorkDone) {
  make_pod();
  make_pod();
  const auto first = start(shell("exec sleep 1000"));
  EXPECT_EQ(first.state, ContainerState::Running);
  EXPECT_EQ(start(shell("exec sleep 1000")).pid, first.pid);
  const auto second = run(driver_->start_container(shell("true", 1)));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::FailedPrecondition);
  EXPECT_EQ(run(driver_->stop_container({kUid, "main"}, std::chrono::hours(1)))->exit_code, 143);
  EXPECT_EQ(run(driver_->stop_container({kUid, "main"}, std::chrono::hours(1)))->exit_code, 143);
  EXPECT_TRUE(run(driver_->remove_pod(kUid)));
  EXPECT_TRUE(run(driver_->remove_pod(kUid)));
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "processes" / "pods" / kUid));
}

TEST_F(ProcessDriver, AProgramThatIsNotThereDoesNotStartAndCanBeTriedAgain) {
  make_pod();
  ContainerSpec spec = shell("");
  const std::string program = (folder_.path() / "later").string();
  spec.image = program;
  spec.command.clear();
  const auto refused = run(driver_->start_container(spec));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::NotFound);
  EXPECT_THAT(refused.error().message, HasSubstr(program));
  EXPECT_TRUE(run(driver_->list_pods())->front().containers.empty());
  std::ofstream(program) << "#!/bin/sh\nexit 4\n";
  ::chmod(program.c_str(), 0700);
  start(spec);
  EXPECT_EQ(next_exit().exit_code, 4);
}

TEST_F(ProcessDriver, StopAsksFirstAndThenKillsEverythingTheContainerStarted) {
  make_pod();
  start(shell("trap 'exit 7' TERM; sleep 1000 & echo $!; wait"));
  // Its child has left the group and the session, and yet does not survive.
  start(shell("trap '' TERM; setsid sleep 1000 & echo $!; wait; wait", 0, "deaf"));
  for (const auto& [name, code, grace] :
       {std::tuple("main", 7, base::Duration(std::chrono::hours(1))),
        std::tuple("deaf", 137, base::Duration(std::chrono::milliseconds(20)))}) {
    const auto lines = log({.container = {kUid, name}, .follow = true}, 1);
    const int child = std::stoi(lines.at(0).substr(4));
    const auto child_name = process::name_process(child);
    ASSERT_TRUE(child_name);
    const auto stopped = run(driver_->stop_container({kUid, name}, grace));
    ASSERT_TRUE(stopped) << stopped.error().describe();
    EXPECT_EQ(stopped->exit_code, code);
    EXPECT_FALSE(process::open_process(*child_name));
  }
}

TEST_F(ProcessDriver, AnotherDriverTakesOverWhatRuns) {
  make_pod();
  const auto started = start(shell("exec sleep 1000"));
  close();
  open();
  const auto listed = run(driver_->list_pods());
  ASSERT_EQ(listed->size(), 1u);
  EXPECT_EQ(listed->front().name, "web-1");
  const ContainerStatus& taken = listed->front().containers.at(0);
  EXPECT_EQ(taken.state, ContainerState::Running);
  EXPECT_EQ(taken.pid, started.pid);
  EXPECT_EQ(taken.started, started.started);
  EXPECT_EQ(start(shell("exec sleep 1000")).pid, started.pid);
  ASSERT_TRUE(run(driver_->signal_container({kUid, "main"}, SIGINT)));
  const auto ended = next_exit();
  EXPECT_EQ(ended.exit_code, 130);
  EXPECT_EQ(ended.signal, SIGINT);
}

TEST_F(ProcessDriver, AnEndThatNobodySawIsKnownToTheNextDriver) {
  make_pod();
  const std::string pipe = (folder_.path() / "pipe").string();
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  start(shell("read line < " + pipe + "; echo $line; exit 5"));
  const auto supervisor = process::open_process(supervisor_of(0));
  ASSERT_TRUE(supervisor);
  close();
  std::ofstream(pipe) << "while you were away\n";
  await_end(supervisor->get());
  open();
  const auto listed = run(driver_->list_pods());
  const ContainerStatus& known = listed->front().containers.at(0);
  EXPECT_EQ(known.state, ContainerState::Exited);
  EXPECT_EQ(known.exit_code, 5);
  EXPECT_THAT(log({}), ElementsAre("out while you were away"));
  start(shell("exec sleep 1000", 1));
}

TEST_F(ProcessDriver, AKilledProcessIsReported) {
  make_pod();
  const auto started = start(shell("exec sleep 1000"));
  ASSERT_EQ(::kill(started.pid, SIGKILL), 0);
  const auto ended = next_exit();
  EXPECT_EQ(ended.exit_code, 137);
  EXPECT_EQ(ended.signal, SIGKILL);
  EXPECT_EQ(ended.pid, 0);
}

TEST_F(ProcessDriver, AContainerWhoseSupervisorIsKilledEndsWithAllItStarted) {
  make_pod();
  start(shell("setsid sleep 1000 & echo $!; wait"));
  const int child = std::stoi(log({.follow = true}, 1).at(0).substr(4));
  const auto left = process::open_process(*process::name_process(child));
  ASSERT_TRUE(left);
  ASSERT_EQ(::kill(supervisor_of(0).pid, SIGKILL), 0);
  const auto ended = next_exit();
  EXPECT_EQ(ended.exit_code, 137);
  EXPECT_THAT(ended.message, HasSubstr("supervisor"));
  await_end(left->get());
  close();
  open();
  EXPECT_EQ(run(driver_->list_pods())->front().containers.at(0).exit_code, 137);
}

TEST_F(ProcessDriver, CommandsRunBesideAContainerInItsPlace) {
  make_pod();
  ContainerSpec spec = shell("exec sleep 1000");
  spec.working_directory = "/usr";
  start(spec);
  ExecSpec command{.container = {kUid, "main"},
                   .command = {"sh", "-c", "pwd; echo $GREETING; cat >&2; exit 9"},
                   .stdin_open = true};
  auto session = run(driver_->exec(command));
  ASSERT_TRUE(session) << session.error().describe();
  EXPECT_TRUE(run((*session)->write_input(base::as_bytes("input"))));
  EXPECT_TRUE(run((*session)->close_input()));
  std::string out, err;
  for (;;) {
    auto chunk = run((*session)->read_output());
    ASSERT_TRUE(chunk);
    if (!*chunk) break;
    ((*chunk)->is_stderr ? err : out) += base::as_text((*chunk)->data);
  }
  EXPECT_EQ(out, "/usr\ngood day\n");
  EXPECT_EQ(err, "input");
  EXPECT_EQ(*run((*session)->wait()), 9);

  command.command = {"no-such-program"};
  const auto missing = run(driver_->exec(command));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Errc::NotFound);
  command.terminal = true;
  EXPECT_EQ(run(driver_->exec(command)).error().code, Errc::Unsupported);
}

TEST_F(ProcessDriver, ACommandEndsWithItsSessionAndWithItsContainer) {
  make_pod();
  start(shell("exec sleep 1000"));
  std::vector<process::UniqueFd> processes;
  std::vector<std::unique_ptr<ProcessSession>> sessions;
  for (int i = 0; i < 2; ++i) {
    sessions.push_back(*run(driver_->exec(
        {.container = {kUid, "main"}, .command = {"sh", "-c", "echo $$; exec sleep 1000"}})));
    const auto chunk = run(sessions.back()->read_output());
    const int pid = std::stoi(std::string(base::as_text((*chunk)->data)));
    processes.push_back(*process::open_process(*process::name_process(pid)));
  }
  sessions[0].reset();
  await_end(processes[0].get());
  EXPECT_TRUE(run(driver_->stop_container({kUid, "main"}, base::Duration(0))));
  EXPECT_EQ(*run(sessions[1]->wait()), 137);
  EXPECT_EQ(run(driver_->exec({.container = {kUid, "main"}, .command = {"true"}})).error().code,
            Errc::FailedPrecondition);
}

TEST_F(ProcessDriver, LogsFollowOverRestartsAndEndWithThePod) {
  make_pod();
  EXPECT_EQ(run(driver_->logs({.container = {kUid, "main"}})).error().code, Errc::NotFound);
  start(shell("echo one; echo two; echo three"));
  next_exit();
  EXPECT_THAT(log({}), ElementsAre("out one", "out two", "out three"));
  EXPECT_THAT(log({.tail_lines = 2}), ElementsAre("out two", "out three"));
  EXPECT_THAT(log({.tail_lines = 0}), ElementsAre());
  EXPECT_EQ(run(driver_->logs({.container = {kUid, "main"}, .previous = true})).error().code,
            Errc::NotFound);
  auto reader = *run(driver_->logs({.container = {kUid, "main"}, .follow = true, .tail_lines = 1}));
  EXPECT_EQ((*run(reader->next()))->text, "three");
  start(shell("echo four", 1));
  EXPECT_EQ((*run(reader->next()))->text, "four");
  next_exit();
  EXPECT_THAT(log({}), ElementsAre("out four"));
  EXPECT_THAT(log({.previous = true}), ElementsAre("out one", "out two", "out three"));
  EXPECT_THAT(log({.since = clock_.wall() + std::chrono::hours(1)}), ElementsAre());
  EXPECT_TRUE(run(driver_->remove_pod(kUid)));
  EXPECT_FALSE(*run(reader->next()));
}

TEST_F(ProcessDriver, ALogIsCutAtItsLimitAndTheNewestHalfIsKept) {
  make_pod();
  // 12 MB: more than one file, less than two.
  start(shell("awk 'BEGIN { for (i = 0; i < 800; ++i) printf \"%015000d\\n\", i }'"));
  EXPECT_EQ(next_exit().exit_code, 0);
  const auto lines = log({});
  ASSERT_EQ(lines.size(), 800u);
  EXPECT_EQ(std::stoi(lines.front().substr(4)), 0);
  EXPECT_EQ(std::stoi(lines.back().substr(4)), 799);
  EXPECT_EQ(log({.tail_lines = 700}).size(), 700u);
}

TEST_F(ProcessDriver, ConnectsToTheNodeAndCountsWhatIsUsed) {
  make_pod();
  auto listener = base::http::listen_tcp(context_.get_executor(), "::1", 0, nullptr);
  ASSERT_TRUE(listener);
  const auto stream = run(driver_->connect(kUid, (*listener)->port()));
  EXPECT_TRUE(stream);
  EXPECT_EQ(run(driver_->connect("nobody", 1)).error().code, Errc::NotFound);
  start(shell("sleep 1000 & echo ready; wait"));
  ASSERT_EQ(log({.follow = true}, 1).size(), 1u);
  const auto usage = run(driver_->stats(kUid));
  ASSERT_EQ(usage->size(), 1u);
  EXPECT_EQ(usage->front().processes, 2u);
  EXPECT_GT(usage->front().memory_bytes, 0u);
}

TEST_F(ProcessDriver, ImagesAreProgramsOfTheMachine) {
  const auto image = run(driver_->pull_image("/bin/sh", PullPolicy::Always, {}));
  ASSERT_TRUE(image);
  EXPECT_EQ(image->resolved, "/bin/sh");
  EXPECT_GT(image->bytes, 0u);
  const std::tuple<const char*, PullPolicy, Errc> refused[] = {
      {"nginx:1.27", PullPolicy::Always, Errc::InvalidArgument},
      {"/etc/passwd", PullPolicy::Always, Errc::InvalidArgument},
      {"/no/such/program", PullPolicy::IfNotPresent, Errc::NotFound},
      {"/no/such/program", PullPolicy::Never, Errc::FailedPrecondition}};
  for (const auto& [reference, policy, code] : refused) {
    const auto result = run(driver_->pull_image(reference, policy, {}));
    ASSERT_FALSE(result) << reference;
    EXPECT_EQ(result.error().code, code) << reference;
  }
}

TEST_F(ProcessDriver, WhatAPlainProcessHasNotIsUnsupported) {
  make_pod();
  start(shell("exec sleep 1000"));
  const ContainerId id{kUid, "main"};
  EXPECT_EQ(run(driver_->attach(id)).error().code, Errc::Unsupported);
  EXPECT_EQ(run(driver_->copy_in(id, "/x")).error().code, Errc::Unsupported);
  EXPECT_EQ(run(driver_->copy_out(id, "/x")).error().code, Errc::Unsupported);
  EXPECT_EQ(run(driver_->update_files(kUid, "v", {})).error().code, Errc::Unsupported);
  EXPECT_EQ(run(driver_->set_limits(id, {.memory_bytes_max = 1})).error().code, Errc::Unsupported);
  EXPECT_TRUE(run(driver_->set_limits(id, {.cpu_millis_request = 1})));
  ContainerSpec limited = shell("true", 0, "limited");
  limited.resources.memory_bytes_max = 1;
  EXPECT_EQ(run(driver_->start_container(limited)).error().code, Errc::Unsupported);
}

TEST_F(ProcessDriver, AFolderHasOneDriver) {
  const auto second = run(make());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::FailedPrecondition);
}

// A limit on the size of files stands for the full disk: both cut a write at some byte.
TEST(ProcessLogFile, ARecordThatAFullDiskCutDoesNotTakeTheNextOneWithIt) {
  const TemporaryFolder folder;
  const std::filesystem::path attempt = std::filesystem::path(folder.path()) / "0";
  std::filesystem::create_directories(attempt);
  process::LogFile log(attempt);
  const std::string time = "2026-11-21T12:25:07.000000000Z";
  const auto record = [&](const char* text) { return time + " stdout F " + text + "\n"; };
  log.append(record("first"));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old = std::signal(SIGXFSZ, SIG_IGN);
  rlimit full = before;
  full.rlim_cur = record("first").size() + time.size() + std::strlen(" stdout F s");
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &full), 0);
  log.append(record("second"));
  log.append(record("third"));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, old);
  log.append(record("fourth"));
  log.append(record("fifth"));
  auto scan = process::LogScan::open({.folder = folder.path()});
  ASSERT_TRUE(scan);
  std::vector<std::string> texts;
  for (const LogRecord& one : scan->next_batch()) texts.push_back(one.text);
  // Of the second the disk took a part; the third is lost as a whole.
  EXPECT_THAT(texts, ElementsAre("first", "s", "fourth", "fifth"));
}

}  // namespace
}  // namespace nexus
