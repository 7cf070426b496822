#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "runtime/keeper/testing/keeper_fixture.hpp"

namespace hypermesh::keeper {
namespace {

namespace fs = std::filesystem;
using nexus::ContainerState;
using ::testing::HasSubstr;
using ::testing::Not;

const nexus::ContainerId kMain{"pod-1", "main"};

class KeeperFaultTest : public testing::KeeperFixture {
 protected:
  /// Puts a program in crun's place that does what a file says: "", or WHEN VERB, where WHEN is
  /// fail (instead of the real call), late (after it) or hang.
  void use_faulty_runtime() {
    const std::string path = scratch_ + "/crun";
    std::ofstream(path) << "#!/bin/sh\n"
                           "read when verb 2>/dev/null <"
                        << scratch_
                        << "/fault\n"
                           "for word in \"$@\"; do [ \"$word\" = \"$verb\" ] && hit=1; done\n"
                           "if [ \"$hit\" ]; then case $when in\n"
                           "fail) exit 1;;\n"
                           "late) /usr/bin/crun \"$@\"; exit 1;;\n"
                           "hang) exec sleep 1000;;\n"
                           "esac; fi\n"
                           "exec /usr/bin/crun \"$@\"\n";
    ASSERT_EQ(::chmod(path.c_str(), 0755), 0);
    options_.oci_runtimes = {path};
    open_keeper();
    ask_for<nexus::PodStatus>(CreatePod{pod_spec()});
  }
  void inject(const std::string& fault) { std::ofstream(scratch_ + "/fault") << fault << "\n"; }
  /// Groups of containers that are left.
  std::size_t groups() {
    const std::string pod = "/sys/fs/cgroup/pids" + options_.cgroup + "/pod-1";
    std::size_t count = 0;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(pod, error)) count += entry.is_directory();
    return count;
  }
};

TEST_F(KeeperFaultTest, ARuntimeThatFailsAtEachStepLeavesNothing) {
  use_faulty_runtime();
  std::uint32_t attempt = 0;
  for (const char* fault : {"fail run", "late run"}) {
    inject(fault);
    auto start = container({"/bin/sleep", "1000"}, "main", attempt++);
    EXPECT_EQ(error_of(start).code, base::Errc::FailedPrecondition) << fault;
    EXPECT_EQ(status_of().state, ContainerState::Exited) << fault;
    EXPECT_NE(status_of().message, "");
    until([&] { return groups() == 0; });
  }
  inject("fail delete");
  ask_for<nexus::ContainerStatus>(container({"/bin/true"}, "main", attempt++));
  wait_for_exit();
  until([&] { return fs::is_empty(options_.run_folder + "/oci"); });
  inject("fail exec");
  ask_for<nexus::ContainerStatus>(container({"/bin/sleep", "1000"}, "main", attempt++));
  EXPECT_EQ(error_of(Exec{{kMain, {"/bin/true"}, false, false, 24, 80}}).code,
            base::Errc::FailedPrecondition);
  inject("");
  EXPECT_EQ(exec({"/bin/true"}).first, 0);
  ask_for<Done>(RemovePod{"pod-1"});
}

TEST_F(KeeperFaultTest, ARuntimeThatHangsIsGivenUp) {
  options_.oci_time_limit = std::chrono::seconds(2);
  use_faulty_runtime();
  inject("hang run");
  EXPECT_EQ(error_of(container({"/bin/true"})).code, base::Errc::TimedOut);
  inject("");
  until([&] { return groups() == 0; });
  ask_for<nexus::ContainerStatus>(container({"/bin/true"}, "main", 1));
}

TEST_F(KeeperFaultTest, AContainerThatEndsAtOnceIsReportedOnceWithItsOutput) {
  ask_for<nexus::PodStatus>(CreatePod{pod_spec()});
  for (std::uint32_t attempt = 0; attempt < 5; ++attempt) {
    outlet_.events.clear();
    ask_for<nexus::ContainerStatus>(
        container({"/bin/sh", "-c", "echo only; exit 2"}, "main", attempt));
    EXPECT_EQ(wait_for_exit().exit_code, 2);
    EXPECT_EQ(log_of("main", attempt), "only\n");
    ASSERT_EQ(outlet_.events.size(), 2u);
    EXPECT_EQ(outlet_.events[0].kind, nexus::DriverEvent::Kind::ContainerStarted);
  }
}

TEST_F(KeeperFaultTest, AFloodOfOutputFillsNothingAndStopsNobody) {
  ask_for<nexus::PodStatus>(CreatePod{pod_spec()});
  auto flood = container({"/bin/yes", "the same line over and over"}, "flood");
  flood.logs = {200'000, 3};
  ask_for<nexus::ContainerStatus>(flood);
  const std::string folder = keeper_->log_folder() + "/pod-1/flood";
  until([&] { return fs::exists(folder + "/0.log.2"); });
  // Others go on meanwhile.
  ask_for<nexus::ContainerStatus>(container({"/bin/echo", "hello"}));
  wait_for_exit();
  EXPECT_EQ(log_of(), "hello\n");
  std::uintmax_t bytes = 0;
  std::size_t files = 0;
  for (const auto& entry : fs::directory_iterator(folder)) bytes += entry.file_size(), ++files;
  EXPECT_LE(files, 3u);
  EXPECT_LE(bytes, 3 * 200'000u + 200'000u);
  EXPECT_EQ(ask_for<nexus::ContainerStatus>(StopContainer{{"pod-1", "flood"}, {}}).exit_code, 137);
}

TEST_F(KeeperFaultTest, AFullDiskLosesOutputWithANoteAndNoContainer) {
  const std::string disk = scratch_ + "/small";
  ASSERT_TRUE(make_folder(disk, 0711));
  ASSERT_TRUE(mount_tmpfs(disk, 12 << 20, 0711, {}, false));
  keeper_.reset();
  options_.state_folder = disk;
  open_keeper();
  busybox_layer_ = make_layer({{"bin/busybox", "=/bin/busybox"},
                               {"bin/sh", "-> busybox"},
                               {"bin/echo", "-> busybox"},
                               {"bin/mkfifo", "-> busybox"},
                               {"bin/seq", "-> busybox"},
                               {"tmp/.keep", ""}});
  ask_for<nexus::PodStatus>(CreatePod{pod_spec()});
  ask_for<nexus::ContainerStatus>(
      script("mkfifo /tmp/go /tmp/said /tmp/end; echo before; read x </tmp/go; seq 5000; "
             "read x </tmp/said; read x </tmp/end; echo after"));
  until([&] { return log_of() == "before\n"; });
  {
    std::ofstream filler(disk + "/filler");
    const std::string block(1 << 16, 'x');
    while (filler.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
    }
  }
  const auto tell = [&](const std::string& pipe) {
    EXPECT_EQ(exec({"/bin/sh", "-c", "echo >/tmp/" + pipe}).first, 0);
  };
  tell("go");
  tell("said");
  const auto failed = error_of(container({"/bin/echo"}, "late"));
  EXPECT_EQ(failed.code, base::Errc::ResourceExhausted) << failed.message;
  EXPECT_EQ(status_of().state, ContainerState::Running);
  auto pod = pod_spec("pod-2");
  EXPECT_EQ(error_of(CreatePod{pod}).code, base::Errc::ResourceExhausted);
  fs::remove(disk + "/filler");
  // The container may be over before this command of it is, which ends with it.
  exec({"/bin/sh", "-c", "echo >/tmp/end"});
  EXPECT_EQ(wait_for_exit().exit_code, 0);
  EXPECT_THAT(log_of(), ::testing::StartsWith("before\n"));
  EXPECT_THAT(log_of(), HasSubstr("of this log are missing: the disk was full\n"));
  EXPECT_THAT(log_of(), ::testing::EndsWith("after\n"));
  ask_for<nexus::PodStatus>(CreatePod{pod});
  ask_for<nexus::ContainerStatus>(container({"/bin/echo", "room again"}, "late", 1));
  wait_for_exit("late");
  EXPECT_EQ(log_of("late", 1), "room again\n");
  ask_for<Done>(RemovePod{"pod-1"});
  ask_for<Done>(RemovePod{"pod-2"});
  shut_down();
  keeper_.reset();
  unmount(disk);
}

TEST_F(KeeperFaultTest, ASuccessorEndsWhatItsPredecessorRanAndKeepsWhatWasWrittenDown) {
  auto spec = pod_spec();
  spec.volumes = {{"scratch", nexus::EmptyDirVolume{}}, {"mem", nexus::EmptyDirVolume{true, 0}}};
  ask_for<nexus::PodStatus>(CreatePod{spec});
  auto ended = container({"/bin/sh", "-c", "echo it ended; exit 3"}, "ended");
  ask_for<nexus::ContainerStatus>(ended);
  wait_for_exit("ended");
  auto start = script("echo it ran; sleep 1000");
  start.spec.mounts = {{"scratch", "/scratch", "", false}};
  const auto running = ask_for<nexus::ContainerStatus>(start);
  // Jobs of a keeper that is replaced are never resumed: what they hold would be counted as left.
  until([&] {
    return log_of() == "it ran\n" && groups() == 1 &&
           !fs::exists(options_.run_folder + "/pods/pod-1/ended-0");
  });
  loop_->after(std::chrono::milliseconds(50), [this] { loop_->stop_once(); });
  loop_->run();

  replace_keeper();

  int ended_by = 0;
  EXPECT_EQ(::waitpid(running.pid, &ended_by, WNOHANG), running.pid);
  EXPECT_EQ(exit_code_of(ended_by), 137);
  const auto pods = ask_for<std::vector<nexus::PodStatus>>(ListPods{});
  ASSERT_EQ(pods.size(), 1u);
  EXPECT_FALSE(pods[0].ready);
  EXPECT_EQ(pods[0].name, "web");
  EXPECT_EQ(status_of("ended").exit_code, 3);
  EXPECT_EQ(status_of("ended").message, "");
  EXPECT_EQ(status_of().exit_code, 137);
  EXPECT_EQ(status_of().message, "ended with its keeper");
  EXPECT_EQ(log_of(), "it ran\n");
  EXPECT_EQ(log_of("ended"), "it ended\n");
  EXPECT_EQ(error_of(container({"/bin/true"}, "main", 1)).code, base::Errc::FailedPrecondition)
      << "the sandbox is gone";
  // The pod is made again with what it had, and goes on.
  EXPECT_TRUE(ask_for<nexus::PodStatus>(CreatePod{spec}).ready);
  start.spec.attempt = 1;
  ask_for<nexus::ContainerStatus>(start);
  ask_for<Done>(RemovePod{"pod-1"});
}

TEST_F(KeeperFaultTest, DamagedRecordsCostTheirPodAloneAndAreCleanedUp) {
  ask_for<nexus::PodStatus>(CreatePod{pod_spec()});
  ask_for<nexus::PodStatus>(CreatePod{pod_spec("pod-2")});
  ask_for<nexus::ContainerStatus>(script("sleep 1000"));
  keeper_.reset();
  std::ofstream(options_.state_folder + "/pods/pod-2/record") << "garbage";
  fs::create_directories(options_.state_folder + "/pods/pod-3/containers/x");
  fs::create_directories(options_.state_folder + "/logs/pod-4/x");
  std::ofstream(options_.state_folder + "/pods/pod-1/containers/main/0/record") << "half";
  open_keeper();
  const auto pods = ask_for<std::vector<nexus::PodStatus>>(ListPods{});
  ASSERT_EQ(pods.size(), 1u);
  EXPECT_EQ(pods[0].uid, "pod-1");
  EXPECT_TRUE(pods[0].containers.empty());
  for (const char* gone : {"/pods/pod-2", "/pods/pod-3", "/logs/pod-4"})
    EXPECT_FALSE(fs::exists(options_.state_folder + gone)) << gone;
}

TEST_F(KeeperFaultTest, RecordsOfALaterVersionAreLeftAlone) {
  for (const char* uid : {"pod-1", "pod-2"}) {
    auto spec = pod_spec(uid);
    spec.volumes = {{"scratch", nexus::EmptyDirVolume{}}};
    ask_for<nexus::PodStatus>(CreatePod{spec});
    auto start =
        container({"/bin/sh", "-c", "echo said; echo kept >/scratch/file"}, "main", 0, uid);
    start.spec.mounts = {{"scratch", "/scratch", "", false}};
    ask_for<nexus::ContainerStatus>(start);
    wait_for_exit("main", uid);
  }
  shut_down();
  keeper_.reset();
  const std::string pods = options_.state_folder + "/pods";
  // As by a keeper that writes its version after the magic number.
  const auto make_later = [](const std::string& path) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(4);
    file.write("\0\x63", 2);
    ASSERT_TRUE(file.good()) << path;
  };
  make_later(pods + "/pod-1/record");
  make_later(pods + "/pod-2/containers/main/0/record");
  open_keeper();
  EXPECT_TRUE(ask_for<std::vector<nexus::PodStatus>>(ListPods{}).empty());
  for (const char* uid : {"pod-1", "pod-2"}) {
    EXPECT_EQ(error_of(CreatePod{pod_spec(uid)}).code, base::Errc::Unsupported);
    EXPECT_EQ(error_of(RemovePod{uid}).code, base::Errc::Unsupported);
    EXPECT_TRUE(fs::exists(pods + "/" + uid + "/record"));
    EXPECT_TRUE(fs::exists(pods + "/" + uid + "/volumes/scratch/file"));
    EXPECT_TRUE(fs::exists(pods + "/" + uid + "/containers/main/0/record"));
    EXPECT_EQ(log_of("main", 0, uid), "said\n");
  }
}

TEST_F(KeeperFaultTest, ShuttingDownAsksContainersFirst) {
  ask_for<nexus::PodStatus>(CreatePod{pod_spec()});
  ask_for<nexus::ContainerStatus>(
      script("trap 'echo told; told=1' TERM; echo up; while [ -z $told ]; do sleep 0.01; done; "
             "sleep 0.1; echo bye"));
  until([&] { return log_of() == "up\n"; });
  shut_down(std::chrono::seconds(20));
  EXPECT_EQ(traces(), std::vector<std::string>{});
  EXPECT_EQ(log_of(), "up\ntold\nbye\n") << "it was told once";
  EXPECT_EQ(error_of(script("true")).code, base::Errc::Unavailable);
  open_keeper();
  EXPECT_EQ(status_of().exit_code, 0);
}

TEST_F(KeeperFaultTest, ADiskWithoutRoomForALogCostsNoLogThatWasPutAside) {
  const std::string disk = scratch_ + "/small";
  ASSERT_TRUE(make_folder(disk, 0711));
  ASSERT_EQ(::mount("tmpfs", disk.c_str(), "tmpfs", 0, "nr_inodes=3"), 0);  // two files
  {
    LogFile log(disk + "/0.log", {.file_bytes_max = 10, .files_max = 3});
    for (const char* records : {"first----\n", "second---\n", "third----\n", "fourth---\n"})
      log.append(records, "now");
    EXPECT_EQ(log.dropped_bytes(), 20u);
  }
  EXPECT_EQ(read_file(disk + "/0.log.2", 100).value_or(""), "first----\n");
  EXPECT_EQ(read_file(disk + "/0.log.1", 100).value_or(""), "second---\n");
  unmount(disk);
}

TEST_F(KeeperFaultTest, OutputThatNeverEndsIsNotReadForEver) {
  ContainerIo io(*loop_, clock_,
                 LogFile(scratch_ + "/0.log", {.file_bytes_max = 1u << 30, .files_max = 1}));
  // As a container's output that another one was handed and goes on to write to.
  UniqueFd endless(::open("/dev/random", O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(endless);
  ASSERT_TRUE(io.use_terminal(std::move(endless)));
  ASSERT_TRUE(io.start());
  io.finish();
  EXPECT_GT(fs::file_size(scratch_ + "/0.log"), 1u << 20) << "a pipe's content is read";
}

TEST_F(KeeperFaultTest, ARemovedTreeTakesNoMountAlong) {
  const std::string victim = scratch_ + "/victim", tree = scratch_ + "/tree";
  fs::create_directories(victim + "/inside");
  std::ofstream(victim + "/precious") << "x";
  fs::create_directories(tree + "/a/mounted");
  ASSERT_EQ(::mount(victim.c_str(), (tree + "/a/mounted").c_str(), nullptr, MS_BIND, nullptr), 0);
  fs::create_symlink(victim, tree + "/link");
  EXPECT_FALSE(remove_tree(tree));
  EXPECT_TRUE(fs::exists(victim + "/precious")) << "the same file system, and yet another mount";
  EXPECT_FALSE(remove_tree(tree + "/a/mounted"));
  EXPECT_TRUE(fs::exists(victim + "/precious"));
  unmount(tree + "/a/mounted");
  EXPECT_TRUE(remove_tree(tree));
  EXPECT_FALSE(fs::exists(tree));
  EXPECT_TRUE(remove_tree(tree));
}

TEST_F(KeeperFaultTest, ATreeOfHostileDepthIsRemoved) {
  const std::string tree = scratch_ + "/deep";
  fs::create_directories(tree);
  const int back = ::open(".", O_PATH | O_DIRECTORY);
  ASSERT_EQ(::chdir(tree.c_str()), 0);
  const std::string name(200, 'd');
  for (int i = 0; i < 3000; ++i) {
    ASSERT_EQ(::mkdir(name.c_str(), 0700), 0);
    ASSERT_EQ(::chdir(name.c_str()), 0);
  }
  ASSERT_EQ(::fchdir(back), 0);
  ::close(back);
  fs::create_directories(tree + "/.removed-1/taken");
  std::ofstream(tree + "/.removed-2") << "taken";
  EXPECT_TRUE(remove_tree(tree));
  EXPECT_FALSE(fs::exists(tree));
}

}  // namespace
}  // namespace hypermesh::keeper
