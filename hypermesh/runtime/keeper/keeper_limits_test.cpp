#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "runtime/keeper/cgroups_v2.hpp"
#include "runtime/keeper/testing/keeper_fixture.hpp"

namespace hypermesh::keeper {
namespace {

using ::testing::HasSubstr;

const nexus::ContainerId kMain{"pod-1", "main"};

class KeeperLimitsTest : public testing::KeeperFixture {
 protected:
  void SetUp() override {
    KeeperFixture::SetUp();
    if (HasFatalFailure()) return;
    ask_for<nexus::PodStatus>(CreatePod{pod_spec()});
  }
  std::string group_file(const std::string& controller, const std::string& name) {
    std::ifstream file(
        fmt::format("/sys/fs/cgroup/{}{}/pod-1/main-0/{}", controller, options_.cgroup, name));
    std::string text;
    std::getline(file, text);
    return text;
  }
  StartContainer limited(const std::string& text, nexus::ResourceLimits limits) {
    auto start = script(text);
    start.spec.resources = limits;
    return start;
  }
};

TEST_F(KeeperLimitsTest, LimitsAreInTheCgroupAndChangeLive) {
  ask_for<nexus::ContainerStatus>(limited("sleep 1000", {32 << 20, 200, 20, 50, 1 << 20, 2 << 20}));
  EXPECT_EQ(group_file("memory", "memory.limit_in_bytes"), "33554432");
  EXPECT_EQ(group_file("cpu", "cpu.cfs_quota_us"), "20000");
  EXPECT_EQ(group_file("cpu", "cpu.shares"), "20");
  EXPECT_EQ(group_file("pids", "pids.max"), "50");
  EXPECT_THAT(group_file("blkio", "blkio.throttle.write_bps_device"), HasSubstr(" 2097152"));
  ask_for<Done>(SetLimits{kMain, {64 << 20, 500, 0, 60, 0, 0}});
  EXPECT_EQ(group_file("memory", "memory.limit_in_bytes"), "67108864");
  EXPECT_EQ(group_file("cpu", "cpu.cfs_quota_us"), "50000");
  EXPECT_EQ(group_file("pids", "pids.max"), "60");
  EXPECT_EQ(group_file("blkio", "blkio.throttle.write_bps_device"), "");
  ask_for<Done>(SetLimits{kMain, {}});
  EXPECT_EQ(group_file("cpu", "cpu.cfs_quota_us"), "-1");
  EXPECT_EQ(group_file("pids", "pids.max"), "4096");
}

TEST_F(KeeperLimitsTest, SmallLimitsHoldOnceTheContainerRuns) {
  ask_for<nexus::ContainerStatus>(limited("sleep 1000", {8 << 20, 0, 0, 3, 0, 0}));
  EXPECT_EQ(group_file("memory", "memory.limit_in_bytes"), "8388608");
  EXPECT_EQ(group_file("pids", "pids.max"), "3");
}

TEST_F(KeeperLimitsTest, ALimitBelowWhatIsUsedIsRefusedWithTheReason) {
  ask_for<nexus::ContainerStatus>(
      limited("dd if=/dev/zero of=/dev/shm/big bs=1M count=30 2>/dev/null; echo full; sleep 1000",
              {64 << 20}));
  until([&] { return log_of() == "full\n"; });
  const auto error = error_of(SetLimits{kMain, {4 << 20}});
  EXPECT_EQ(error.code, base::Errc::FailedPrecondition);
  EXPECT_THAT(error.message, HasSubstr("cannot give back"));
}

TEST_F(KeeperLimitsTest, AFirstProcessKilledForMemoryIsReportedSo) {
  ask_for<nexus::ContainerStatus>(
      container({"/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"}));
  EXPECT_EQ(wait_for_exit().exit_code, 0);
  outlet_.events.clear();
  auto start =
      container({"/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"}, "main", 1);
  start.spec.resources.memory_bytes_max = 32 << 20;
  ask_for<nexus::ContainerStatus>(start);
  const auto ended = wait_for_exit();
  EXPECT_EQ(ended.exit_code, 137);
  EXPECT_TRUE(ended.out_of_memory);
}

TEST_F(KeeperLimitsTest, ACommandKilledForMemoryIsNotTheContainersEnd) {
  const auto started = ask_for<nexus::ContainerStatus>(limited("sleep 1000", {32 << 20}));
  EXPECT_EQ(exec({"/bin/sh", "-c", "dd if=/dev/zero of=/dev/null bs=8M count=1"}).first, 0);
  EXPECT_EQ(exec({"/bin/sh", "-c", "dd if=/dev/zero of=/dev/null bs=200M count=1"}).first, 137);
  EXPECT_EQ(status_of().state, nexus::ContainerState::Running);
  // Killed by hand right afterwards: that was not for memory.
  ASSERT_EQ(::kill(started.pid, SIGKILL), 0);
  const auto ended = wait_for_exit();
  EXPECT_EQ(ended.exit_code, 137);
  EXPECT_FALSE(ended.out_of_memory);
}

TEST_F(KeeperLimitsTest, AForkBombIsBoundedAndRemoved) {
  ask_for<nexus::ContainerStatus>(
      limited("bomb() { bomb | bomb & }; bomb 2>/dev/null; sleep 1000", {0, 0, 0, 64, 0, 0}));
  // How often the kernel refused another process: a shell that may not fork ends, so their number
  // may fall as soon as it has risen.
  until([&] {
    const std::string refused = group_file("pids", "pids.events");
    return refused.starts_with("max ") && refused != "max 0";
  });
  const auto stats = ask_for<std::vector<nexus::ContainerStats>>(Stats{"pod-1"});
  EXPECT_LE(stats.at(0).processes, 64u);
  ask_for<Done>(RemovePod{"pod-1"});
  EXPECT_FALSE(std::filesystem::exists("/sys/fs/cgroup/pids" + options_.cgroup + "/pod-1"));
}

TEST_F(KeeperLimitsTest, StatsAreTheContainersOwn) {
  ask_for<nexus::ContainerStatus>(
      limited("dd if=/dev/zero of=/dev/shm/big bs=1M count=10 2>/dev/null; i=0; while [ $i -lt "
              "20000 ]; do i=$((i+1)); done; sleep 1000 & echo done; wait",
              {}));
  until([&] { return log_of() == "done\n"; });
  const auto stats = ask_for<std::vector<nexus::ContainerStats>>(Stats{"pod-1"});
  ASSERT_EQ(stats.size(), 1u);
  EXPECT_EQ(stats[0].id, kMain);
  EXPECT_GT(stats[0].cpu_nanoseconds, 1'000'000u);
  EXPECT_GT(stats[0].memory_bytes, 10u << 20);
  EXPECT_EQ(stats[0].processes, 2u);
}

// --- version 2, as far as this machine has it: every machine has the hierarchy, few have its
// controllers -------

class CgroupsV2Test : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/hypermesh-cgroup2-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    mount_point_ = name;
    ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr), 0);
    ASSERT_EQ(::mount("cgroup2", name, "cgroup2", 0, nullptr), 0);
    cgroups_ = open_cgroups_v2(mount_point_);
    ASSERT_TRUE(cgroups_->create(group_ + "/pod/container"));
  }
  void TearDown() override {
    cgroups_->kill(group_);
    for (int i = 0; i < 200 && !cgroups_->remove(group_); ++i) ::usleep(5000);
    EXPECT_FALSE(std::filesystem::exists(mount_point_ + group_));
    unmount(mount_point_);
    ::rmdir(mount_point_.c_str());
  }
  pid_t start_in_group(const std::function<int()>& body) {
    auto child =
        start_copy({}, [&] { return cgroups_->join(group_ + "/pod/container") ? body() : 99; });
    EXPECT_TRUE(child);
    return *child;
  }
  static int wait_for(pid_t child) {
    int status = 0;
    ::waitpid(child, &status, 0);
    return exit_code_of(status);
  }
  std::string mount_point_, group_ = fmt::format("/hypermesh-test2-{}", ::getpid());
  std::unique_ptr<Cgroups> cgroups_;
};

TEST_F(CgroupsV2Test, KillEndsEverythingInAndBelowAGroup) {
  const pid_t child = start_in_group([] { return ::pause(); });
  for (int i = 0; i < 1000 && cgroups_->processes(group_).empty(); ++i) ::usleep(1000);
  EXPECT_EQ(cgroups_->processes(group_), std::vector<pid_t>{child});
  EXPECT_EQ(cgroups_->remove(group_).error().code, base::Errc::FailedPrecondition);
  cgroups_->kill(group_);
  EXPECT_EQ(wait_for(child), 137);
}

TEST_F(CgroupsV2Test, OnlyTheDefaultDevicesAreLeft) {
  ASSERT_TRUE(cgroups_->confine_devices(group_ + "/pod/container"));
  const std::string node = mount_point_ + ".node";
  ::unlink(node.c_str());
  ASSERT_EQ(::mknod(node.c_str(), S_IFCHR | 0600, makedev(1, 1)), 0) << "/dev/mem";
  const auto try_open = [&](const char* path) {
    return wait_for(start_in_group([&] {
      const UniqueFd fd(::open(path, O_RDONLY));
      return fd ? 0 : errno;
    }));
  };
  EXPECT_EQ(try_open("/dev/null"), 0);
  EXPECT_EQ(try_open("/dev/urandom"), 0);
  EXPECT_EQ(try_open(node.c_str()), EPERM);
  ::unlink(node.c_str());
}

TEST_F(CgroupsV2Test, AControllerThatIsElsewhereIsNamed) {
  const auto writes = limit_writes(CgroupVersion::V2, {.memory_bytes_max = 1 << 20}, "");
  const auto limited = cgroups_->limit(group_ + "/pod/container", *writes);
  if (std::filesystem::exists(mount_point_ + group_ + "/pod/container/memory.max")) {
    EXPECT_TRUE(limited);
  } else {
    EXPECT_EQ(limited.error().code, base::Errc::Unsupported);
    EXPECT_THAT(limited.error().message, HasSubstr("controller memory"));
  }
}

}  // namespace
}  // namespace hypermesh::keeper
