#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "runtime/keeper/testing/keeper_fixture.hpp"

namespace hypermesh::keeper {
namespace {

namespace fs = std::filesystem;
using nexus::ContainerState;
using nexus::DriverEvent;
using ::testing::HasSubstr;
using ::testing::Not;
using Kind = nexus::DriverEvent::Kind;

class KeeperTest : public testing::KeeperFixture {
 protected:
  void SetUp() override {
    KeeperFixture::SetUp();
    if (HasFatalFailure()) return;
    ask_for<nexus::PodStatus>(CreatePod{pod_spec()});
  }
  /// Runs a script as container "main" and answers its log once it ended.
  std::string run_script(const std::string& text) {
    ask_for<nexus::ContainerStatus>(script(text));
    wait_for_exit();
    return log_of();
  }
};

TEST_F(KeeperTest, AContainerRunsWritesAndEnds) {
  const auto started =
      ask_for<nexus::ContainerStatus>(script("echo out; echo err >&2; printf partial; exit 7"));
  EXPECT_EQ(started.id.name, "main");
  const auto ended = wait_for_exit();
  EXPECT_EQ(ended.exit_code, 7);
  EXPECT_EQ(ended.state, ContainerState::Exited);
  EXPECT_EQ(ended.image, "test/busybox:1");
  EXPECT_GE(ended.finished, ended.started);
  EXPECT_FALSE(ended.out_of_memory);
  EXPECT_THAT(log_of(), HasSubstr("out\n"));
  EXPECT_THAT(log_of(), HasSubstr("stderr:err\n"));
  EXPECT_THAT(log_of(), HasSubstr("partial\n"));
  ASSERT_EQ(outlet_.events.size(), 2u);
  EXPECT_EQ(outlet_.events[0].kind, Kind::ContainerStarted);
  EXPECT_EQ(outlet_.events[1].kind, Kind::ContainerExited);
  ask_for<Done>(RemovePod{"pod-1"});
  EXPECT_TRUE(ask_for<std::vector<nexus::PodStatus>>(ListPods{}).empty());
  EXPECT_TRUE(fs::is_empty(options_.state_folder + "/pods"));
  EXPECT_TRUE(fs::is_empty(options_.state_folder + "/logs"));
}

TEST_F(KeeperTest, CallsThatAreRepeatedFindTheirWorkDone) {
  ask_for<nexus::PodStatus>(CreatePod{pod_spec()});
  const auto first = ask_for<nexus::ContainerStatus>(script("sleep 1000"));
  const auto again = ask_for<nexus::ContainerStatus>(script("sleep 1000"));
  EXPECT_EQ(first.pid, again.pid);
  EXPECT_EQ(first.state, ContainerState::Running);
  auto later = script("true");
  later.spec.attempt = 1;
  EXPECT_EQ(error_of(later).code, base::Errc::FailedPrecondition);
  const auto stopped =
      ask_for<nexus::ContainerStatus>(StopContainer{{"pod-1", "main"}, std::chrono::seconds(0)});
  EXPECT_EQ(stopped.exit_code, 137);
  EXPECT_EQ(
      ask_for<nexus::ContainerStatus>(StopContainer{{"pod-1", "main"}, std::chrono::seconds(0)})
          .exit_code,
      137);
  ask_for<Done>(RemovePod{"pod-1"});
  ask_for<Done>(RemovePod{"pod-1"});
  EXPECT_EQ(error_of(StopContainer{{"pod-1", "main"}, {}}).code, base::Errc::NotFound);
}

TEST_F(KeeperTest, ALaterAttemptKeepsTheLogOfTheOneBeforeAndNoOlder) {
  for (std::uint32_t attempt = 0; attempt < 3; ++attempt) {
    outlet_.events.clear();
    auto start = script(fmt::format("echo attempt {}; echo more >/tmp/file; ls /tmp", attempt));
    start.spec.attempt = attempt;
    ask_for<nexus::ContainerStatus>(start);
    EXPECT_EQ(wait_for_exit().attempt, attempt);
    EXPECT_EQ(log_of("main", attempt), fmt::format("attempt {}\nfile\n", attempt))
        << "each attempt has a fresh root";
  }
  EXPECT_EQ(log_of("main", 0), "");
  EXPECT_EQ(log_of("main", 1), "attempt 1\nfile\n");
  auto old = script("true");
  old.spec.attempt = 1;
  EXPECT_EQ(error_of(old).code, base::Errc::FailedPrecondition);
}

TEST_F(KeeperTest, TheContainerSeesItselfAlone) {
  const std::string log = run_script(
      "hostname; id; cat /etc/hosts /etc/resolv.conf; echo pids $(ls /proc | grep -c '^[0-9]*$'); "
      "cat /proc/self/uid_map; ip link | grep -c '^[0-9]'; echo $HOME $HOSTNAME; readlink "
      "/proc/self/ns/user");
  EXPECT_THAT(log, HasSubstr("web\nuid=0(root) gid=0(root)\n"));
  EXPECT_THAT(log, HasSubstr("127.0.0.1\tlocalhost"));
  EXPECT_THAT(log, HasSubstr("nameserver ::1\n"));
  EXPECT_THAT(log, ::testing::ContainsRegex("pids [2-5]\n"));
  EXPECT_THAT(log, HasSubstr(fmt::format("0 {}      65536", options_.id_base + 65'536)));
  EXPECT_THAT(log, HasSubstr("\n1\n/root web\n"));
}

TEST_F(KeeperTest, ItsRootIsNobodyOutside) {
  ask_for<nexus::ContainerStatus>(script("touch /made; sleep 1000"));
  const auto status = status_of();
  struct stat process{};
  ASSERT_EQ(::stat(fmt::format("/proc/{}", status.pid).c_str(), &process), 0);
  EXPECT_EQ(process.st_uid, options_.id_base + 65'536);
  EXPECT_EQ(exec({"/bin/stat", "-c", "%u", "/made"}).second, "0\n");
  EXPECT_EQ(exec({"/bin/stat", "-c", "%u", "/bin/busybox"}).second, "0\n");
}

TEST_F(KeeperTest, TwoPodsHaveDifferentIds) {
  ask_for<nexus::PodStatus>(CreatePod{pod_spec("pod-2")});
  ask_for<nexus::ContainerStatus>(script("sleep 1000"));
  ask_for<nexus::ContainerStatus>(container({"/bin/sleep", "1000"}, "main", 0, "pod-2"));
  const auto owner = [&](const std::string& uid) {
    struct stat process{};
    EXPECT_EQ(::stat(fmt::format("/proc/{}", status_of("main", uid).pid).c_str(), &process), 0);
    return process.st_uid;
  };
  EXPECT_NE(owner("pod-1"), owner("pod-2"));
}

TEST_F(KeeperTest, ContainersOfAPodShareNetworkIpcAndHostName) {
  ask_for<nexus::ContainerStatus>(container({"/bin/sleep", "1000"}, "one"));
  ask_for<nexus::ContainerStatus>(container({"/bin/sleep", "1000"}, "two"));
  for (const char* kind : {"net", "ipc", "uts", "user"}) {
    const std::vector<std::string> command{"/bin/readlink", fmt::format("/proc/self/ns/{}", kind)};
    EXPECT_EQ(exec(command, "one").second, exec(command, "two").second) << kind;
  }
  for (const char* kind : {"pid", "mnt"}) {
    const std::vector<std::string> command{"/bin/readlink", fmt::format("/proc/self/ns/{}", kind)};
    EXPECT_NE(exec(command, "one").second, exec(command, "two").second) << kind;
  }
  exec({"/bin/sh", "-c", "echo shared >/dev/shm/note"}, "one");
  EXPECT_EQ(exec({"/bin/cat", "/dev/shm/note"}, "two").second, "shared\n");
}

TEST_F(KeeperTest, TheUserIsTheOneOfTheImageOrOfThePod) {
  auto start = script("id -u; id -g; id -G; echo $HOME");
  start.image.user = "web";
  ask_for<nexus::ContainerStatus>(start);
  wait_for_exit();
  EXPECT_EQ(log_of(), "1000\n1001\n1001 50\n/srv\n");
  outlet_.events.clear();
  start.spec.attempt = 1;
  start.spec.security.user = 4242;
  start.spec.security.supplemental_groups = {7};
  ask_for<nexus::ContainerStatus>(start);
  wait_for_exit();
  EXPECT_EQ(log_of("main", 1), "4242\n0\n0 7\n/\n");
}

TEST_F(KeeperTest, HostileUsersOfImagesAreRefusedAndRecorded) {
  const std::string hostile = make_layer(
      {{"etc/passwd", "-> /proc/self/environ"}, {"etc/group", "-> ../../../../../../etc/shadow"}});
  auto start = script("true");
  start.image.user = "x";
  EXPECT_EQ(error_of(start).code, base::Errc::InvalidArgument);
  EXPECT_EQ(status_of().state, ContainerState::Exited);
  EXPECT_THAT(status_of().message, HasSubstr("\"x\" is not in its /etc/passwd"));
  std::uint32_t attempt = 1;
  for (const char* user : {"99999", "web:nothing", "web:", "-1", "../../x", "\n\n"}) {
    auto next = script("true");
    next.spec.attempt = attempt++;
    next.image.user = user;
    EXPECT_EQ(error_of(next).code, base::Errc::InvalidArgument) << user;
  }
  auto linked = script("true");
  linked.spec.attempt = attempt++;
  linked.image.layers = {busybox_layer_, hostile};
  linked.image.user = "web";
  EXPECT_NE(error_of(linked).code, base::Errc::Internal)
      << "links of the image lead nowhere outside it";
  auto nonroot = script("true");
  nonroot.spec.attempt = attempt++;
  nonroot.spec.security.run_as_non_root = true;
  EXPECT_EQ(error_of(nonroot).code, base::Errc::FailedPrecondition);
}

TEST_F(KeeperTest, UpperLayersCoverLowerOnes) {
  const std::string upper = make_layer({{"srv/page", "covered"}, {"srv/new", "n"}});
  auto start = script("cat /srv/page /srv/new; rm /srv/page; ls /srv");
  start.image.layers = {busybox_layer_, upper};
  ask_for<nexus::ContainerStatus>(start);
  wait_for_exit();
  EXPECT_EQ(log_of(), "coverednnew\n");
  std::ifstream page(fmt::format("{}/layers/{}/fs/srv/page", options_.state_folder, upper));
  EXPECT_TRUE(page.good()) << "layers are shared: nothing of them changes";
}

TEST_F(KeeperTest, AMissingLayerIsNamed) {
  auto start = script("true");
  start.image.layers = {std::string(64, 'e')};
  const auto error = error_of(start);
  EXPECT_EQ(error.code, base::Errc::NotFound);
  EXPECT_THAT(error.message, HasSubstr("eeee"));
}

TEST_F(KeeperTest, ACommandThatIsNotThereIsReportedWithTheRuntimesWords) {
  const auto error = error_of(container({"/no/such/program"}));
  EXPECT_EQ(error.code, base::Errc::FailedPrecondition);
  EXPECT_THAT(error.message, HasSubstr("/no/such/program"));
  EXPECT_EQ(status_of().exit_code, 128);
  EXPECT_THAT(status_of().message, HasSubstr("/no/such/program"));
  auto retry = script("echo now");
  retry.spec.attempt = 1;
  ask_for<nexus::ContainerStatus>(retry);
  wait_for_exit();
  EXPECT_EQ(log_of("main", 1), "now\n");
}

TEST_F(KeeperTest, ItsProcessIsConfined) {
  const std::string log = run_script(
      "grep -E 'NoNewPrivs|Seccomp:|CapEff|CapBnd' /proc/self/status; mount -t tmpfs none /mnt "
      "2>&1; "
      "mknod /tmp/disk b 8 0 2>&1; cat /proc/kcore | wc -c; echo x >/proc/sys/kernel/hostname; "
      "echo x 2>&1 >/proc/sysrq-trigger");
  EXPECT_THAT(log, HasSubstr("NoNewPrivs:\t1"));
  EXPECT_THAT(log, HasSubstr("Seccomp:\t2"));
  EXPECT_THAT(log, HasSubstr("CapEff:\t00000000a80425fb"));
  EXPECT_THAT(log, HasSubstr("mount:"));
  EXPECT_THAT(log, HasSubstr("mknod: /tmp/disk"));
  EXPECT_THAT(log, HasSubstr("\n0\n"));
}

TEST_F(KeeperTest, CapabilitiesAndTheReadOnlyRootAreAsAsked) {
  auto start =
      script("grep CapEff /proc/self/status; touch /x 2>&1; touch /dev/shm/ok && echo shm");
  start.spec.security.capabilities_drop = {"ALL"};
  start.spec.security.capabilities_add = {"NET_BIND_SERVICE"};
  start.spec.security.read_only_root = true;
  ask_for<nexus::ContainerStatus>(start);
  wait_for_exit();
  EXPECT_THAT(log_of(), HasSubstr("CapEff:\t0000000000000400"));
  EXPECT_THAT(log_of(), HasSubstr("Read-only file system"));
  EXPECT_THAT(log_of(), HasSubstr("shm"));
}

TEST_F(KeeperTest, PrivilegeNeedsTheMachinesUsersAndThenHasThem) {
  auto start = script("cat /proc/self/uid_map; grep -E 'CapEff|Seccomp:' /proc/self/status");
  start.spec.security.privileged = true;
  EXPECT_EQ(error_of(start).code, base::Errc::FailedPrecondition);
  auto pod = pod_spec("pod-2");
  pod.host_users = true;
  ask_for<nexus::PodStatus>(CreatePod{pod});
  start.spec.id.pod_uid = "pod-2";
  ask_for<nexus::ContainerStatus>(start);
  wait_for_exit("main", "pod-2");
  EXPECT_THAT(log_of("main", 0, "pod-2"), HasSubstr("0          0 4294967295"));
  EXPECT_THAT(log_of("main", 0, "pod-2"), HasSubstr("Seccomp:\t0"));
}

TEST_F(KeeperTest, WhatRulesTheMachineIsRootsToAllow) {
  options_.access = {};
  open_keeper();
  auto pod = pod_spec("pod-2");
  pod.host_users = true;
  const base::Error users = error_of(CreatePod{pod});
  EXPECT_EQ(users.code, base::Errc::Forbidden);
  EXPECT_THAT(users.hints, ::testing::Contains(HasSubstr("--allow-host-users")));
  options_.access.host_users = true;
  open_keeper();
  ask_for<nexus::PodStatus>(CreatePod{pod});
  auto start = container({"/bin/true"}, "main", 0, "pod-2");
  start.spec.security.privileged = true;
  const base::Error privileged = error_of(start);
  EXPECT_EQ(privileged.code, base::Errc::Forbidden);
  EXPECT_THAT(privileged.hints, ::testing::Contains(HasSubstr("--allow-privileged")));
  start.spec.security = {};
  start.spec.security.capabilities_add = {"SYS_MODULE"};
  EXPECT_THAT(error_of(start).message, HasSubstr("CAP_SYS_MODULE"));
  start.spec.security = {};
  start.spec.security.seccomp_unconfined = true;
  EXPECT_EQ(error_of(start).code, base::Errc::Forbidden);
  start.spec.security = {};
  ask_for<nexus::ContainerStatus>(start);
  // In a user namespace of its own a container has them over itself only.
  ask_for<nexus::PodStatus>(CreatePod{pod_spec("pod-3")});
  start = container({"/bin/true"}, "main", 0, "pod-3");
  start.spec.security.capabilities_add = {"SYS_ADMIN"};
  ask_for<nexus::ContainerStatus>(start);
}

TEST_F(KeeperTest, APodWithTheMachinesUsersStillMakesNoDevices) {
  auto pod = pod_spec("pod-2");
  pod.host_users = true;
  ask_for<nexus::PodStatus>(CreatePod{pod});
  auto start = container(
      {"/bin/sh", "-c", "mknod /disk b 254 0 && head -c 1 /disk 2>&1; head -c 1 /dev/zero | wc -c"},
      "main", 0, "pod-2");
  ask_for<nexus::ContainerStatus>(start);
  wait_for_exit("main", "pod-2");
  EXPECT_THAT(log_of("main", 0, "pod-2"), HasSubstr("1\n"));
  EXPECT_THAT(log_of("main", 0, "pod-2"), HasSubstr("not permitted"));
}

TEST_F(KeeperTest, SysctlsOfThePodAreSetAndBadOnesAreNamed) {
  auto pod = pod_spec("pod-2");
  pod.sysctls = {{"net.ipv4.tcp_keepalive_time", "111"}, {"kernel.shmmni", "1000"}};
  ask_for<nexus::PodStatus>(CreatePod{pod});
  ask_for<nexus::ContainerStatus>(
      container({"/bin/cat", "/proc/sys/net/ipv4/tcp_keepalive_time", "/proc/sys/kernel/shmmni"},
                "main", 0, "pod-2"));
  wait_for_exit("main", "pod-2");
  EXPECT_EQ(log_of("main", 0, "pod-2"), "111\n1000\n");
  auto bad = pod_spec("pod-3");
  bad.sysctls = {{"net.ipv4.no_such_thing", "1"}};
  EXPECT_THAT(error_of(CreatePod{bad}).message, HasSubstr("net.ipv4.no_such_thing"));
  EXPECT_FALSE(fs::exists(options_.state_folder + "/pods/pod-3"));
}

TEST_F(KeeperTest, APodOnTheMachinesNetworkSeesIt) {
  auto pod = pod_spec("pod-2");
  pod.host_network = true;
  ask_for<nexus::PodStatus>(CreatePod{pod});
  ask_for<nexus::ContainerStatus>(
      container({"/bin/readlink", "/proc/self/ns/net"}, "main", 0, "pod-2"));
  wait_for_exit("main", "pod-2");
  EXPECT_EQ(log_of("main", 0, "pod-2"), fs::read_symlink("/proc/self/ns/net").string() + "\n");
}

TEST_F(KeeperTest, StopAsksFirstAndThenKills) {
  ask_for<nexus::ContainerStatus>(
      script("trap 'echo bye; exit 3' TERM; while :; do sleep 0.01; done"));
  until([&] { return exec({"/bin/true"}).first == 0; });
  const auto stopped =
      ask_for<nexus::ContainerStatus>(StopContainer{{"pod-1", "main"}, std::chrono::seconds(10)});
  EXPECT_EQ(stopped.exit_code, 3);
  EXPECT_EQ(log_of(), "bye\n");
  auto deaf = script("trap '' TERM; echo deaf; while :; do sleep 0.01; done");
  deaf.spec.attempt = 1;
  ask_for<nexus::ContainerStatus>(deaf);
  until([&] { return log_of("main", 1) == "deaf\n"; });
  const auto killed = ask_for<nexus::ContainerStatus>(
      StopContainer{{"pod-1", "main"}, std::chrono::milliseconds(100)});
  EXPECT_EQ(killed.exit_code, 137);
  EXPECT_EQ(killed.signal, SIGKILL);
  EXPECT_FALSE(killed.out_of_memory);
}

TEST_F(KeeperTest, TheImagesStopSignalIsUsed) {
  auto start = script("trap 'exit 5' USR1; trap '' TERM; echo up; while :; do sleep 0.01; done");
  start.image.stop_signal = SIGUSR1;
  ask_for<nexus::ContainerStatus>(start);
  until([&] { return log_of() == "up\n"; });
  EXPECT_EQ(
      ask_for<nexus::ContainerStatus>(StopContainer{{"pod-1", "main"}, std::chrono::seconds(10)})
          .exit_code,
      5);
}

TEST_F(KeeperTest, ASignalReachesTheFirstProcess) {
  ask_for<nexus::ContainerStatus>(
      script("trap 'echo got; exit 4' HUP; echo up; while :; do sleep 0.01; done"));
  until([&] { return log_of() == "up\n"; });
  ask_for<Done>(SignalContainer{{"pod-1", "main"}, SIGHUP});
  EXPECT_EQ(wait_for_exit().exit_code, 4);
  EXPECT_EQ(error_of(SignalContainer{{"pod-1", "main"}, SIGHUP}).code,
            base::Errc::FailedPrecondition);
}

TEST_F(KeeperTest, AContainerThatWasKilledFromOutsideIsReported) {
  const auto started = ask_for<nexus::ContainerStatus>(script("sleep 1000"));
  ASSERT_EQ(::kill(started.pid, SIGKILL), 0);
  const auto ended = wait_for_exit();
  EXPECT_EQ(ended.exit_code, 137);
  EXPECT_EQ(ended.signal, SIGKILL);
  EXPECT_FALSE(ended.out_of_memory);
}

TEST_F(KeeperTest, RemovingAPodEndsWhatRunsInIt) {
  const auto started =
      ask_for<nexus::ContainerStatus>(script("trap '' TERM; sleep 1000 & sleep 1000"));
  ask_for<nexus::ContainerStatus>(container({"/bin/sleep", "1000"}, "side"));
  ask_for<Done>(RemovePod{"pod-1"});
  EXPECT_NE(::kill(started.pid, 0), 0);
  EXPECT_FALSE(fs::exists("/sys/fs/cgroup/memory" + options_.cgroup + "/pod-1"));
  EXPECT_EQ(error_of(script("true")).code, base::Errc::NotFound);
  ask_for<nexus::PodStatus>(CreatePod{pod_spec()});
  ask_for<nexus::ContainerStatus>(script("true"));
}

TEST_F(KeeperTest, ManyContainersStartAtOnce) {
  unsigned ready = 0;
  for (int i = 0; i < 12; ++i) {
    spawn([](Keeper& keeper, StartContainer start, unsigned& count) -> Job<void> {
      const Answer answer = co_await keeper.handle(kConnection, std::move(start), {});
      EXPECT_TRUE(std::holds_alternative<nexus::ContainerStatus>(answer.reply));
      ++count;
    }(*keeper_, container({"/bin/sleep", "1000"}, fmt::format("c{}", i)), ready));
  }
  until([&] { return ready == 12; });
  EXPECT_EQ(ask_for<std::vector<nexus::PodStatus>>(ListPods{})[0].containers.size(), 12u);
  ask_for<Done>(RemovePod{"pod-1"});
}

TEST_F(KeeperTest, NothingStaysMountedForARunningContainerButItsPodsMemory) {
  ask_for<nexus::ContainerStatus>(script("sleep 1000"));
  std::vector<std::string> mounts;
  for (const auto& trace : traces()) {
    if (trace.starts_with("tmpfs") || trace.starts_with("overlay")) mounts.push_back(trace);
  }
  ASSERT_EQ(mounts.size(), 1u);
  EXPECT_THAT(mounts[0], HasSubstr("/shm"));
}

TEST_F(KeeperTest, TheRuntimeCanBeRunc) {
  options_.oci_runtimes = {"runc"};
  open_keeper();
  ask_for<nexus::PodStatus>(CreatePod{pod_spec()});
  EXPECT_THAT(keeper_->oci_runtime(), HasSubstr("runc"));
  auto start = script("echo by runc; grep Seccomp: /proc/self/status; sleep 1000");
  start.spec.resources.memory_bytes_max = 32 << 20;
  start.spec.attempt = 0;
  ask_for<nexus::ContainerStatus>(start);
  until([&] { return log_of().find("Seccomp") != std::string::npos; });
  EXPECT_EQ(log_of(), "by runc\nSeccomp:\t2\n");
  EXPECT_EQ(exec({"/bin/sh", "-c", "echo x >/proc/1/fd/1; exit 5"}).first, 5);
  until([&] { return log_of() == "by runc\nSeccomp:\t2\nx\n"; });
  std::ifstream limit("/sys/fs/cgroup/memory" + options_.cgroup +
                      "/pod-1/main-0/memory.limit_in_bytes");
  std::uint64_t bytes = 0;
  limit >> bytes;
  EXPECT_EQ(bytes, 32u << 20);
  EXPECT_EQ(ask_for<nexus::ContainerStatus>(StopContainer{{"pod-1", "main"}, {}}).exit_code, 137);
}

TEST_F(KeeperTest, WithoutAnOciRuntimeItSaysWhatIsWrongWithEach) {
  options_.oci_runtimes = {"no-such-runtime", "/bin/false"};
  keeper_.reset();
  const auto keeper = Keeper::open(options_, *loop_, clock_, network_, outlet_, base::Log());
  ASSERT_FALSE(keeper);
  EXPECT_EQ(keeper.error().code, base::Errc::Unsupported);
  ASSERT_EQ(keeper.error().hints.size(), 2u);
  EXPECT_EQ(keeper.error().hints[0], "no-such-runtime is not installed");
  options_.oci_runtimes = {"crun"};
}

TEST_F(KeeperTest, TwoKeepersDoNotShareAFolder) {
  const auto second = Keeper::open(options_, *loop_, clock_, network_, outlet_, base::Log());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, base::Errc::FailedPrecondition);
}

}  // namespace
}  // namespace hypermesh::keeper
