#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <base/random.hpp>
#include <csignal>
#include <datapath/node_isolation.hpp>
#include <datapath/testing/hosts.hpp>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <thread>

#include "dev/cgroups.hpp"
#include "dev/cluster_file.hpp"
#include "dev/dev_cluster.hpp"
#include "dev/files.hpp"
#include "dev/process.hpp"

namespace cli::dev {
namespace {

namespace fs = std::filesystem;
namespace datapath = hypermesh::datapath;
using base::Errc;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class DevTest : public ::testing::Test {
 protected:
  void SetUp() override {
    datapath::testing::become_the_machine();
    char name[] = "/tmp/hypermesh-dev-test-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    scratch_ = name;
    options_.home = scratch_ / "home";
    options_.keeper = options_.daemon = STAND_IN;
    before_ = footprint();
  }
  void TearDown() override {
    const auto reset = dev_reset(options_, {});
    EXPECT_TRUE(reset) << reset.error().describe();
    fs::remove_all(scratch_);
  }

  void misbehave(std::string_view how) {
    options_.environment = {fmt::format("HYPERMESH_STAND_IN={}", how)};
  }
  DevNode up() {
    auto nodes = dev_up(options_);
    EXPECT_TRUE(nodes) << nodes.error().describe();
    return nodes && !nodes->empty() ? nodes->front() : DevNode{};
  }
  DevNode status() { return dev_status(options_)->at(0); }
  std::vector<fs::path> cgroups() {
    return find_cgroups("/sys/fs/cgroup", datapath::node_cgroup_name(options_.home / "n1"));
  }
  std::vector<pid_t> containers() {
    std::vector<pid_t> pids;
    for (const fs::path& tree : cgroups()) {
      std::istringstream text(read_text(tree / "pod/container/cgroup.procs"));
      for (pid_t pid = 0; text >> pid;) pids.push_back(pid);
    }
    return pids;
  }
  pid_t await_container() {
    for (int i = 0; i < 1000 && containers().empty(); ++i) ::usleep(1000);
    return containers().empty() ? 0 : containers().front();
  }
  std::string fact(const std::string& name) {
    std::istringstream text(read_text(options_.home / "n1/state/facts"));
    std::string key, value;
    while (text >> key >> value) {
      if (key == name) return value;
    }
    return "";
  }
  /// What could be left behind on the machine that this test plays.
  std::multiset<std::string> footprint() {
    std::multiset<std::string> found;
    std::istringstream mounts(read_text("/proc/self/mounts"));
    for (std::string line; std::getline(mounts, line);) found.insert("mount " + line);
    for (const auto& entry : fs::directory_iterator("/proc/thread-self/net/dev_snmp6")) {
      found.insert("link " + entry.path().filename().string());
    }
    for (const datapath::IpPrefix& route : *datapath::machine_routes())
      found.insert("route " + route.to_string());
    for (const MarkedProcess& marked : processes_with_variable("HM_NODE_HOME")) {
      if (marked.value.starts_with(scratch_.string())) {
        found.insert(fmt::format("process {} {}", marked.process.pid(),
                                 read_text(fmt::format("/proc/{}/cmdline", marked.process.pid()))));
      }
    }
    for (const fs::path& tree : cgroups()) found.insert("cgroup " + tree.string());
    found.insert("forwarding " + *datapath::read_sysctl("net/ipv6/conf/all/forwarding") +
                 *datapath::read_sysctl("net/ipv4/ip_forward"));
    return found;
  }
  void expect_same_machine() {
    const auto now = footprint();
    std::vector<std::string> more, less;
    std::ranges::set_difference(now, before_, std::back_inserter(more));
    std::ranges::set_difference(before_, now, std::back_inserter(less));
    EXPECT_THAT(more, IsEmpty());
    EXPECT_THAT(less, IsEmpty());
  }
  void expect_nothing_left() {
    expect_same_machine();
    EXPECT_TRUE(fs::is_empty(options_.home));
  }
  static void kill_hard(pid_t pid) {
    const auto process = RunningProcess::open(pid);
    ASSERT_TRUE(process);
    ASSERT_TRUE(end_processes({}, SIGKILL, std::chrono::milliseconds(0)));
    ASSERT_TRUE(process->signal(SIGKILL));
    ASSERT_TRUE(process->wait(std::chrono::seconds(5)));
  }

  fs::path scratch_;
  DevOptions options_;
  std::multiset<std::string> before_;
};

TEST_F(DevTest, OneCallStartsANode) {
  const DevNode node = up();
  EXPECT_EQ(node.name, "n1");
  EXPECT_EQ(node.state, "Ready");
  EXPECT_THAT(node.api, ::testing::MatchesRegex(R"(\[fd.*:1::1\]:8443)"));
  EXPECT_THAT(node.dns, ::testing::EndsWith("]:53"));
  EXPECT_THAT(node.stoq, ::testing::EndsWith("]:9292"));
  EXPECT_EQ(fact("uid"), std::to_string(kFallbackUser));
  EXPECT_EQ(fact("groups"), "0");
  EXPECT_EQ(fact("no_new_privs"), "1");
  EXPECT_EQ(fact("writes_home"), "0");
  EXPECT_EQ(fact("open_files"), "5") << "its streams, the facts, the folder that counts them";
  EXPECT_NE(read_text(fmt::format("/proc/{}/status", node.pid)).find("CapBnd:\t0000000000000000"),
            std::string::npos);
  EXPECT_NE(fs::read_symlink(fmt::format("/proc/{}/ns/net", node.pid)),
            fs::read_symlink("/proc/self/ns/net"));
  EXPECT_EQ(fs::read_symlink(fmt::format("/proc/{}/ns/net", node.pid)),
            fs::read_symlink(fmt::format("/proc/{}/ns/net", node.keeper_pid)));
}

TEST_F(DevTest, SettingsReachTheNodeAndTheRestOfTheEnvironmentDoesNot) {
  options_.environment = {"STOQ_LISTEN=x",
                          "NEXUS_LOG_LEVEL=y",
                          "HYPERMESH_OCI_RUNTIME=z",
                          "HM_TOKEN=secret",
                          "AWS_SECRET_ACCESS_KEY=secret",
                          "LD_PRELOAD=/x"};
  const DevNode node = up();
  for (const pid_t pid : {node.pid, node.keeper_pid}) {
    const std::string environment = read_text(fmt::format("/proc/{}/environ", pid));
    for (const char* setting : {"STOQ_LISTEN=x", "NEXUS_LOG_LEVEL=y", "HYPERMESH_OCI_RUNTIME=z"})
      EXPECT_NE(environment.find(setting), environment.npos) << setting;
    for (const char* other : {"secret", "LD_PRELOAD"})
      EXPECT_EQ(environment.find(other), environment.npos) << other;
  }
}

TEST_F(DevTest, TheKeeperIsToldWhatTheConfigurationAllows) {
  const auto command_line = [](pid_t keeper) {
    std::string text = read_text(fmt::format("/proc/{}/cmdline", keeper));
    std::ranges::replace(text, '\0', ' ');
    return text;
  };
  EXPECT_THAT(command_line(up().keeper_pid),
              HasSubstr("--allow-host-users --allow-privileged --allow-host-path / "));
  ASSERT_TRUE(dev_stop_all(options_, true));
  std::ofstream(options_.home / "n1/hypermesh.yaml")
      << "runtime: {oci_runtime: runc, allow_host_users: false, host_paths: [/srv, /opt/data]}\n";
  options_.environment = {"HYPERMESH_RUNTIME__ALLOW_PRIVILEGED=false"};
  const std::string text = command_line(up().keeper_pid);
  EXPECT_THAT(text, HasSubstr(" --oci-runtime runc "));
  EXPECT_THAT(text, HasSubstr(" --allow-host-path /srv --allow-host-path /opt/data "));
  EXPECT_THAT(text, Not(HasSubstr("--allow-host-users")));
  EXPECT_THAT(text, Not(HasSubstr("--allow-privileged")));
  ASSERT_TRUE(dev_stop_all(options_, true));
  std::ofstream(options_.home / "n1/hypermesh.yaml") << "runtime: {allow_host_users: perhaps}\n";
  const auto refused = dev_up(options_);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().describe(), HasSubstr("runtime.allow_host_users"));
}

TEST_F(DevTest, WhatRunsIsLeftAlone) {
  const DevNode first = up(), second = up();
  EXPECT_EQ(first.pid, second.pid);
  EXPECT_EQ(first.keeper_pid, second.keeper_pid);
}

TEST_F(DevTest, TwoAtOnceStartOneNode) {
  DevNode first, second;
  std::thread other([&] { first = up(); });
  second = up();
  other.join();
  EXPECT_EQ(first.pid, second.pid);
  const auto count = [&] {
    const auto all = processes_with_variable("HM_NODE_HOME");
    return std::ranges::count(all, (options_.home / "n1").string(), &MarkedProcess::value);
  };
  // What they start on the way to being ready comes and goes.
  for (int look = 0; count() != 2 && look < 1000; ++look) ::usleep(5'000);
  EXPECT_EQ(count(), 2);
}

TEST_F(DevTest, AKilledDaemonIsStartedAgainAndContainersRunOn) {
  const DevNode first = up();
  const pid_t container = await_container();
  kill_hard(first.pid);
  EXPECT_EQ(status().state, "Stopped");
  EXPECT_EQ(status().keeper_pid, first.keeper_pid);
  const DevNode second = up();
  EXPECT_EQ(second.state, "Ready");
  EXPECT_NE(second.pid, first.pid);
  EXPECT_EQ(second.keeper_pid, first.keeper_pid);
  EXPECT_EQ(await_container(), container);
}

TEST_F(DevTest, AfterAKilledKeeperTheNodeStartsAnew) {
  const DevNode first = up();
  const auto container = RunningProcess::open(await_container());
  kill_hard(first.keeper_pid);
  EXPECT_EQ(status().state, "NotReady");
  const DevNode second = up();
  EXPECT_EQ(second.state, "Ready");
  EXPECT_NE(second.pid, first.pid) << "the old daemon was in the lost node's network";
  EXPECT_TRUE(container->ended());
  EXPECT_EQ(cgroups().size(), 1u);
  EXPECT_EQ(second.cluster_prefix, first.cluster_prefix);
}

TEST_F(DevTest, AStoppedNodeKeepsItsStateAndStartsAgain) {
  const DevNode first = up();
  std::ofstream(options_.home / "n1/state/kept") << "yes";
  await_container();
  ASSERT_TRUE(dev_stop(options_, "n1", false));
  EXPECT_EQ(status().state, "Stopped");
  EXPECT_EQ(status().keeper_pid, 0);
  expect_same_machine();
  ASSERT_TRUE(dev_stop(options_, "n1", false)) << "stopping again is no error";
  const auto second = dev_start(options_, "n1");
  ASSERT_TRUE(second) << second.error().describe();
  EXPECT_EQ(second->state, "Ready");
  EXPECT_EQ(second->api, first.api);
  EXPECT_EQ(read_text(options_.home / "n1/state/kept"), "yes");
}

TEST_F(DevTest, APowerOffEndsContainersToo) {
  misbehave("stubborn");
  up();
  const auto container = RunningProcess::open(await_container());
  ASSERT_TRUE(dev_stop_all(options_, true));
  EXPECT_TRUE(container->ended());
  expect_same_machine();
  EXPECT_FALSE(fs::is_empty(options_.home / "n1"));
}

TEST_F(DevTest, AResetLeavesNothing) {
  up();
  await_container();
  ASSERT_TRUE(dev_reset(options_, {}));
  expect_nothing_left();
  ASSERT_TRUE(dev_reset(options_, {})) << "again is no error";
}

TEST_F(DevTest, AResetLeavesNothingAfterAnyKillAndWithFilesMissing) {
  using Damage = std::function<void(const DevNode&)>;
  const fs::path home = options_.home;
  const std::vector<std::pair<std::string, Damage>> damages{
      {"keeper killed", [](const DevNode& node) { kill_hard(node.keeper_pid); }},
      {"daemon killed", [](const DevNode& node) { kill_hard(node.pid); }},
      {"both killed", [](const DevNode& node) { kill_hard(node.keeper_pid), kill_hard(node.pid); }},
      {"no cluster file", [&](const DevNode&) { fs::remove(home / "cluster.json"); }},
      {"damaged cluster file",
       [&](const DevNode&) { std::ofstream(home / "cluster.json") << "{"; }},
      {"no identity", [&](const DevNode&) { fs::remove(home / "n1/node.json"); }},
      {"no pid files",
       [&](const DevNode&) {
         fs::remove(home / "n1/keeper.pid"), fs::remove(home / "n1/hypermeshd.pid");
       }},
      {"no folder", [&](const DevNode&) { fs::remove_all(home / "n1"); }},
      {"nothing at all",
       [&](const DevNode& node) { kill_hard(node.keeper_pid), fs::remove_all(home); }},
  };
  for (const auto& [name, damage] : damages) {
    SCOPED_TRACE(name);
    const DevNode node = up();
    await_container();
    damage(node);
    const auto reset = dev_reset(options_, {});
    ASSERT_TRUE(reset) << reset.error().describe();
    fs::create_directories(home);
    expect_nothing_left();
  }
}

// hm itself is killed at any moment of a start: the next start works, and a reset leaves nothing.
TEST_F(DevTest, AStartThatIsKilledAtAnyMomentLeavesNothingInTheWay) {
  base::SeededRng rng(11);
  fs::create_directories(options_.home);
  for (int round = 0; round < 25; ++round) {
    SCOPED_TRACE(round);
    const auto moment = static_cast<useconds_t>(rng.below(80'000));
    const pid_t starting = ::fork();
    ASSERT_GE(starting, 0);
    if (starting == 0) {
      (void)dev_up(options_);
      ::_exit(0);
    }
    ::usleep(moment);
    ::kill(starting, SIGKILL);
    ::waitpid(starting, nullptr, 0);
    if (round % 5 == 0) {
      EXPECT_EQ(up().state, "Ready");
    }
    const auto reset = dev_reset(options_, {});
    ASSERT_TRUE(reset) << reset.error().describe();
    expect_nothing_left();
  }
}

TEST_F(DevTest, FilesOfOthersSurviveAResetAndNamedOnesGo) {
  up();
  fs::create_directories(options_.home / "mine");
  std::ofstream(options_.home / "mine/letter") << "dear";
  std::ofstream(options_.home / "config.yaml") << "current: dev";
  fs::create_symlink(options_.home / "mine", options_.home / "n1/state/link");
  ASSERT_TRUE(dev_reset(options_, {"config.yaml", "absent"}));
  EXPECT_EQ(read_text(options_.home / "mine/letter"), "dear");
  EXPECT_FALSE(fs::exists(options_.home / "n1"));
  EXPECT_FALSE(fs::exists(options_.home / "config.yaml"));
}

TEST_F(DevTest, ADaemonThatEndsIsReportedWithItsLog) {
  misbehave("daemon-fails");
  const auto nodes = dev_up(options_);
  ASSERT_FALSE(nodes);
  EXPECT_THAT(nodes.error().describe(), HasSubstr("hypermeshd ended while it started"));
  EXPECT_THAT(nodes.error().describe(),
              HasSubstr("the state in /run/hypermesh is another version's"));
  EXPECT_THAT(nodes.error().hints.at(0), HasSubstr("n1/hypermeshd.log"));
}

TEST_F(DevTest, AKeeperThatEndsIsReportedWithItsLog) {
  misbehave("keeper-fails");
  const auto nodes = dev_up(options_);
  ASSERT_FALSE(nodes);
  EXPECT_THAT(nodes.error().describe(), HasSubstr("hypermesh-keeper ended while it started"));
  EXPECT_THAT(nodes.error().describe(), HasSubstr("the first line | no room for a keeper here"));
  EXPECT_EQ(status().state, "Stopped");
}

TEST_F(DevTest, ANodeThatDoesNotBecomeReadyIsAnError) {
  misbehave("unready");
  options_.ready_limit = std::chrono::milliseconds(1500);
  const auto nodes = dev_up(options_);
  ASSERT_FALSE(nodes);
  EXPECT_EQ(nodes.error().code, Errc::TimedOut);
  EXPECT_THAT(nodes.error().describe(), HasSubstr("the store is being read"));
  EXPECT_EQ(status().state, "NotReady");
  EXPECT_THAT(status().reason, HasSubstr("the store is being read"));
}

TEST_F(DevTest, AMissingProgramIsNamed) {
  options_.keeper = scratch_ / "absent";
  const auto nodes = dev_up(options_);
  ASSERT_FALSE(nodes);
  EXPECT_THAT(nodes.error().describe(), HasSubstr("absent"));
  EXPECT_EQ(nodes.error().code, Errc::NotFound);
}

TEST_F(DevTest, AProgramInAPrivateFolderRunsAllTheSame) {
  const fs::path hidden = scratch_ / "private";
  fs::create_directories(hidden);
  fs::copy_file(STAND_IN, hidden / "hypermeshd");
  ASSERT_EQ(::chmod(hidden.c_str(), 0700), 0);
  options_.daemon = hidden / "hypermeshd";
  EXPECT_EQ(up().state, "Ready");
}

TEST_F(DevTest, SeveralNodesAreRefusedWithTheReason) {
  options_.nodes = 4;
  const auto nodes = dev_up(options_);
  ASSERT_FALSE(nodes);
  EXPECT_EQ(nodes.error().code, Errc::Unsupported);
  EXPECT_THAT(nodes.error().message, HasSubstr("replicated state"));
  EXPECT_FALSE(fs::exists(options_.home));
}

TEST_F(DevTest, UnknownNodesAreNamed) {
  EXPECT_EQ(dev_start(options_, "n1").error().code, Errc::NotFound);
  up();
  const auto stopped = dev_stop(options_, "n2", false);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, Errc::NotFound);
  EXPECT_THAT(stopped.error().message, HasSubstr("there is n1"));
}

TEST_F(DevTest, ADamagedClusterFileStopsAStart) {
  fs::create_directories(options_.home);
  std::ofstream(options_.home / "cluster.json") << R"({"version": 1, "nodes": ["../../etc"]})";
  const auto nodes = dev_up(options_);
  ASSERT_FALSE(nodes);
  EXPECT_EQ(nodes.error().code, Errc::DataLoss);
  EXPECT_THAT(nodes.error().hints.at(0), HasSubstr("reset"));
}

TEST(ClusterFile, OnlyNamesBecomeFolders) {
  const std::string good =
      to_json({*datapath::ClusterPrefixes::make(*datapath::IpPrefix::parse("fd12:3456:789a::/48"),
                                                *datapath::IpPrefix::parse("10.77.0.0/16")),
               {"n1"}});
  EXPECT_EQ(parse_cluster_file(good)->nodes, std::vector<std::string>{"n1"});
  for (const char* name : {"../n1", "/etc", ".", "", "N1", "a/b"}) {
    std::string text = good;
    text.replace(text.find("n1"), 2, name);
    EXPECT_EQ(parse_cluster_file(text).error().code, Errc::DataLoss) << name;
  }
}

class ProcessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/hypermesh-process-test-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    scratch_ = name;
  }
  void TearDown() override { fs::remove_all(scratch_); }
  fs::path scratch_;
};

TEST_F(ProcessTest, AProcessThatOnlyHasTheNumberIsNotTheOne) {
  const fs::path file = scratch_ / "pid";
  ASSERT_TRUE(write_pid_file(file, ::getpid()));
  EXPECT_EQ(find_process(file)->pid(), ::getpid());
  std::istringstream fields(read_text(file));
  std::string pid, ticks, boot;
  fields >> pid >> ticks >> boot;
  for (const std::string& text :
       {fmt::format("{} {} {}", pid, std::stoull(ticks) + 1, boot),
        fmt::format("{} {} another-boot", pid, ticks), fmt::format("{}", pid), std::string(),
        fmt::format("1 {} {}", ticks, boot), fmt::format("-5 {} {}", ticks, boot)}) {
    std::ofstream(file) << text;
    EXPECT_FALSE(find_process(file)) << text;
  }
}

TEST_F(ProcessTest, AnEndedProcessIsNotFound) {
  const pid_t child = ::fork();
  if (child == 0) ::pause();
  const fs::path file = scratch_ / "pid";
  ASSERT_TRUE(write_pid_file(file, child));
  const auto process = find_process(file);
  ASSERT_TRUE(process);
  std::vector<RunningProcess> all;
  all.push_back(std::move(*RunningProcess::open(child)));
  EXPECT_TRUE(end_processes(all, SIGKILL, std::chrono::seconds(5)));
  EXPECT_TRUE(process->ended()) << "a zombie has ended";
  EXPECT_FALSE(find_process(file));
  ::waitpid(child, nullptr, 0);
  EXPECT_TRUE(process->signal(SIGKILL)) << "signalling what has ended is no error";
}

TEST_F(ProcessTest, ATreeOfAnyDepthIsRemovedWithoutFollowingLinks) {
  const fs::path outside = scratch_ / "outside", top = scratch_ / "top";
  fs::create_directories(outside);
  std::ofstream(outside / "file") << "stays";
  fs::create_directories(top);
  fs::create_directory_symlink(outside, top / "link");
  fs::create_directories(top / ".removed-1/inner");
  int folder = ::open(top.c_str(), O_RDONLY | O_DIRECTORY);
  for (int depth = 0; depth < 200; ++depth) {
    ASSERT_EQ(::mkdirat(folder, "d", 0700), 0);
    const int inner = ::openat(folder, "d", O_RDONLY | O_DIRECTORY);
    ASSERT_GE(inner, 0);
    ::close(folder);
    folder = inner;
  }
  ::close(folder);
  ASSERT_TRUE(remove_tree(top));
  EXPECT_FALSE(fs::exists(top));
  EXPECT_EQ(read_text(outside / "file"), "stays");
  EXPECT_TRUE(remove_tree(top));
}

TEST_F(ProcessTest, TheTailIsOfThisStart) {
  const fs::path file = scratch_ / "log";
  std::ofstream(file) << "old\n1\n2\n3\n";
  EXPECT_EQ(tail(file, 4, 2), "2\n3");
  EXPECT_EQ(tail(file, 4, 10), "1\n2\n3");
  EXPECT_EQ(tail(file, 10, 10), "");
  EXPECT_EQ(tail(scratch_ / "absent", 0, 10), "");
}

TEST_F(ProcessTest, ALockIsHeldByOne) {
  auto first = FileLock::take(scratch_ / "lock", 0);
  ASSERT_TRUE(first);
  EXPECT_EQ(FileLock::take(scratch_ / "lock", 20).error().code, Errc::FailedPrecondition);
  first->remove();
  EXPECT_TRUE(FileLock::take(scratch_ / "lock", 0)) << "a removed lock is another one";
}

}  // namespace
}  // namespace cli::dev
