#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "runtime/keeper/testing/keeper_fixture.hpp"

namespace hypermesh::keeper {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

class KeeperVolumeTest : public testing::KeeperFixture {
 protected:
  /// Runs a script in a container of a pod with these volumes and answers its log.
  std::string run_with(std::vector<nexus::Volume> volumes, std::vector<nexus::VolumeMount> mounts,
                       const std::string& text,
                       std::optional<std::uint32_t> fs_group = std::nullopt,
                       std::optional<std::uint32_t> user = std::nullopt) {
    static unsigned number = 0;
    const std::string uid = fmt::format("vol-{}", ++number);
    auto pod = pod_spec(uid);
    pod.volumes = std::move(volumes);
    pod.fs_group = fs_group;
    ask_for<nexus::PodStatus>(CreatePod{pod});
    auto start = container({"/bin/sh", "-c", text}, "main", 0, uid);
    start.spec.mounts = std::move(mounts);
    start.spec.security.user = user;
    ask_for<nexus::ContainerStatus>(start);
    wait_for_exit("main", uid);
    last_uid_ = uid;
    return log_of("main", 0, uid);
  }
  std::string last_uid_;
};

TEST_F(KeeperVolumeTest, AnEmptyDirIsSharedAndOutlivesAttempts) {
  auto pod = pod_spec();
  pod.volumes = {{"scratch", nexus::EmptyDirVolume{}}};
  ask_for<nexus::PodStatus>(CreatePod{pod});
  auto writer = container({"/bin/sh", "-c", "echo kept >/one/file; id -u"}, "writer");
  writer.spec.mounts = {{"scratch", "/one", "", false}};
  writer.spec.security.user = 1234;
  ask_for<nexus::ContainerStatus>(writer);
  wait_for_exit("writer");
  auto reader = container(
      {"/bin/sh", "-c", "cat /deep/two/file; stat -c %u /deep/two/file; touch /deep/two/x 2>&1"},
      "reader");
  reader.spec.mounts = {{"scratch", "/deep/two", "", true}};
  ask_for<nexus::ContainerStatus>(reader);
  wait_for_exit("reader");
  EXPECT_THAT(log_of("reader"), HasSubstr("kept\n1234\n"));
  EXPECT_THAT(log_of("reader"), HasSubstr("Read-only"));
}

TEST_F(KeeperVolumeTest, AnEmptyDirInMemoryIsBounded) {
  const std::string log =
      run_with({{"mem", nexus::EmptyDirVolume{true, 1 << 20}}}, {{"mem", "/mem", "", false}},
               "df /mem | tail -1; dd if=/dev/zero of=/mem/big bs=1M count=2 2>&1; ls /mem");
  EXPECT_THAT(log, HasSubstr("tmpfs"));
  EXPECT_THAT(log, HasSubstr("No space left"));
}

TEST_F(KeeperVolumeTest, FilesAppearWithTheirModesAndCannotBeChangedInside) {
  nexus::FilesVolume files{{{"app.conf", "one", 0644}, {"sub/key", "two", 0400}}, false};
  const std::string log =
      run_with({{"config", files}}, {{"config", "/config", "", false}},
               "cat /config/app.conf /config/sub/key; echo; stat -c %a /config/app.conf "
               "/config/sub/key -L; touch /config/x 2>&1; ls /config");
  EXPECT_THAT(log, HasSubstr("onetwo\n644\n400\n"));
  EXPECT_THAT(log, HasSubstr("Read-only"));
  EXPECT_THAT(log, HasSubstr("app.conf\nsub\n"));
}

TEST_F(KeeperVolumeTest, SecretsAreInMemoryAndTheirTextIsNowhereOnDisk) {
  nexus::FilesVolume files{{{"token", "very-secret-text", 0600}}, true};
  const std::string log = run_with({{"secret", files}}, {{"secret", "/secret", "", false}},
                                   "cat /secret/token; echo; mount | grep ' /secret '");
  EXPECT_THAT(log, HasSubstr("very-secret-text\ntmpfs on /secret"));
  for (const auto& entry : fs::recursive_directory_iterator(
           options_.state_folder + "/pods", fs::directory_options::skip_permission_denied)) {
    if (!entry.is_regular_file() ||
        entry.path().string().find("/volumes/secret/") != std::string::npos)
      continue;
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    EXPECT_THAT(text, Not(HasSubstr("very-secret-text"))) << entry.path();
  }
}

TEST_F(KeeperVolumeTest, AnUpdateReplacesTheWholeSetAtOnce) {
  auto pod = pod_spec();
  pod.volumes = {
      {"config",
       nexus::FilesVolume{{{"a", "old", 0644}, {"b", "old", 0644}, {"gone", "x", 0644}}, false}}};
  ask_for<nexus::PodStatus>(CreatePod{pod});
  // Reads both through one opened folder, over and over: what it finds is of one set every time. A
  // set that was replaced goes, also from under who reads it.
  auto start = script(
      "seen=; while :; do cd /config/..data; a=$(cat a) b=$(cat b); cd /; "
      "[ -z \"$a\" -o -z \"$b\" -o \"$a\" = \"$b\" ] || echo torn $a $b; "
      "[ \"$a\" = \"$seen\" ] || { echo $a; seen=$a; }; [ \"$a\" = last ] && exit 0; done");
  start.spec.mounts = {{"config", "/config", "", false}};
  ask_for<nexus::ContainerStatus>(start);
  for (const char* value : {"one", "two", "three", "last"}) {
    ask_for<Done>(UpdateFiles{
        "pod-1", "config", {{"a", value, 0644}, {"b", value, 0644}, {"new", value, 0644}}});
  }
  EXPECT_EQ(wait_for_exit().exit_code, 0);
  EXPECT_THAT(log_of(), Not(HasSubstr("torn")));
  EXPECT_THAT(log_of(), HasSubstr("last\n"));
  EXPECT_TRUE(fs::exists(options_.state_folder + "/pods/pod-1/volumes/config/new"));
  EXPECT_FALSE(
      fs::exists(fs::symlink_status(options_.state_folder + "/pods/pod-1/volumes/config/gone")));
  EXPECT_EQ(error_of(UpdateFiles{"pod-1", "other", {}}).code, base::Errc::NotFound);
}

TEST_F(KeeperVolumeTest, FilesOfASecretAreWrittenToMemoryOnly) {
  auto pod = pod_spec();
  pod.volumes = {{"token", nexus::FilesVolume{{{"a", "one", 0400}}, true}}};
  ask_for<nexus::PodStatus>(CreatePod{pod});
  ask_for<Done>(UpdateFiles{"pod-1", "token", {{"a", "two", 0400}}});
  shut_down();
  open_keeper();
  EXPECT_EQ(error_of(UpdateFiles{"pod-1", "token", {{"a", "three", 0400}}}).code,
            base::Errc::FailedPrecondition)
      << "its tmpfs is not mounted";
  EXPECT_TRUE(fs::is_empty(options_.state_folder + "/pods/pod-1/volumes/token"));
}

TEST_F(KeeperVolumeTest, ANamedVolumeOutlivesItsPod) {
  const std::vector<nexus::Volume> volumes{{"data", nexus::NamedVolume{"default/data"}}};
  const std::vector<nexus::VolumeMount> mounts{{"data", "/data", "", false}};
  run_with(volumes, mounts, "echo durable >/data/file; chmod 600 /data/file");
  ask_for<Done>(RemovePod{last_uid_});
  const std::string log = run_with(volumes, mounts, "cat /data/file; stat -c '%u %a' /data/file");
  EXPECT_EQ(log, "durable\n0 600\n")
      << "another pod has other ids, the file's owner is root in both";
  struct stat status{};
  ASSERT_EQ(::stat((options_.state_folder + "/volumes/default_data/file").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, options_.id_base);
}

TEST_F(KeeperVolumeTest, AHostPathShowsTheMachinesFilesUnderTheirOwnIds) {
  const std::string host = scratch_ + "/host";
  fs::create_directories(host);
  std::ofstream(host + "/note") << "from the machine";
  ASSERT_EQ(::chown((host + "/note").c_str(), 1000, 1000), 0);
  const std::string log =
      run_with({{"host", nexus::HostPathVolume{host, nexus::HostPathVolume::Type::Directory}}},
               {{"host", "/host", "", false}},
               "cat /host/note; stat -c ' %u' /host/note; echo back >/host/made");
  EXPECT_EQ(log, "from the machine 1000\n");
  struct stat status{};
  ASSERT_EQ(::stat((host + "/made").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, 0u);
}

TEST_F(KeeperVolumeTest, KindsOfHostPathsAreHeldTo) {
  using Type = nexus::HostPathVolume::Type;
  const auto attempt = [&](const std::string& path, Type type) {
    auto pod = pod_spec();
    pod.volumes = {{"host", nexus::HostPathVolume{path, type}}};
    Answer answer = ask(CreatePod{pod});
    const auto* failed = std::get_if<Failed>(&answer.reply);
    if (!failed) ask_for<Done>(RemovePod{"pod-1"});
    return failed ? std::string(base::to_string(failed->error.code)) : "made";
  };
  std::ofstream(scratch_ + "/file") << "x";
  EXPECT_EQ(attempt(scratch_ + "/absent", Type::Directory), "NotFound");
  EXPECT_EQ(attempt(scratch_ + "/absent", Type::Any), "NotFound");
  EXPECT_EQ(attempt(scratch_ + "/file", Type::Directory), "FailedPrecondition");
  EXPECT_EQ(attempt(scratch_, Type::File), "FailedPrecondition");
  EXPECT_EQ(attempt(scratch_ + "/file", Type::File), "made");
  EXPECT_EQ(attempt(scratch_ + "/made/deep", Type::DirectoryOrCreate), "made");
  EXPECT_TRUE(fs::is_directory(scratch_ + "/made/deep"));
  EXPECT_EQ(attempt(scratch_ + "/made-file", Type::FileOrCreate), "made");
  EXPECT_TRUE(fs::is_regular_file(scratch_ + "/made-file"));
}

// What a daemon that was taken over would try.
TEST_F(KeeperVolumeTest, HostPathsLeadOnlyWhereRootAllows) {
  using Type = nexus::HostPathVolume::Type;
  fs::create_directories(scratch_ + "/allowed/real");
  fs::create_directories(scratch_ + "/allowed-not");
  fs::create_symlink(scratch_ + "/allowed/real", scratch_ + "/way-in");
  fs::create_symlink(scratch_ + "/allowed-not", scratch_ + "/allowed/way-out");
  options_.access.host_paths = {scratch_ + "/allowed"};
  open_keeper();
  const auto attempt = [&](const std::string& path, Type type) -> std::string {
    auto pod = pod_spec();
    pod.volumes = {{"host", nexus::HostPathVolume{path, type}}};
    Answer answer = ask(CreatePod{pod});
    const auto* failed = std::get_if<Failed>(&answer.reply);
    if (!failed) ask_for<Done>(RemovePod{"pod-1"});
    return failed ? failed->error.describe() : "made";
  };
  EXPECT_EQ(attempt(scratch_ + "/allowed", Type::Directory), "made");
  EXPECT_EQ(attempt(scratch_ + "/way-in", Type::Directory), "made");
  EXPECT_EQ(attempt(scratch_ + "/allowed/real/", Type::Any), "made");
  EXPECT_EQ(attempt(scratch_ + "/allowed/new/deep", Type::DirectoryOrCreate), "made");
  EXPECT_THAT(attempt("/", Type::Any), HasSubstr("allows: " + scratch_ + "/allowed"));
  EXPECT_THAT(attempt(scratch_ + "/allowed-not", Type::Any), HasSubstr("is in no folder"));
  EXPECT_THAT(attempt(scratch_ + "/allowed/way-out", Type::Any),
              HasSubstr("which leads to " + scratch_ + "/allowed-not"));
  for (const Type type : {Type::DirectoryOrCreate, Type::FileOrCreate})
    EXPECT_THAT(attempt(scratch_ + "/allowed/way-out/made", type), HasSubstr("is in no folder"));
  EXPECT_TRUE(fs::is_empty(scratch_ + "/allowed-not"));
  // A link set after the pod was made.
  auto pod = pod_spec();
  pod.volumes = {{"host", nexus::HostPathVolume{scratch_ + "/allowed/real", Type::Directory}}};
  ask_for<nexus::PodStatus>(CreatePod{pod});
  fs::remove(scratch_ + "/allowed/real");
  fs::create_symlink("/", scratch_ + "/allowed/real");
  auto start = script("ls /host");
  start.spec.mounts = {{"host", "/host", "", false}};
  const base::Error late = error_of(start);
  EXPECT_EQ(late.code, base::Errc::Forbidden) << late.describe();
  ask_for<Done>(RemovePod{"pod-1"});

  options_.access.host_paths = {};
  open_keeper();
  EXPECT_THAT(attempt(scratch_ + "/allowed", Type::Any), HasSubstr("allows none"));
}

TEST_F(KeeperVolumeTest, ASubPathIsMadeAndNeverLeavesItsVolume) {
  const std::vector<nexus::Volume> volumes{{"data", nexus::NamedVolume{"default/sub"}}};
  EXPECT_EQ(
      run_with(volumes, {{"data", "/data", "logs/web", false}}, "echo x >/data/file; ls /data"),
      "file\n");
  EXPECT_TRUE(fs::exists(options_.state_folder + "/volumes/default_sub/logs/web/file"));
  EXPECT_EQ(run_with(volumes, {{"data", "/data", "empty", true}}, "ls /data; touch /data/x"),
            "stderr:touch: /data/x: Read-only file system\n");
  // A container left links behind; another one asks for them as sub paths.
  run_with(volumes, {{"data", "/data", "", false}},
           "ln -s /etc /data/absolute; ln -s ../../../../../../etc /data/relative");
  for (const char* link : {"absolute", "relative"}) {
    auto pod = pod_spec("trick-" + std::string(link));
    pod.volumes = volumes;
    ask_for<nexus::PodStatus>(CreatePod{pod});
    auto start = container({"/bin/ls", "/data"}, "main", 0, pod.uid);
    start.spec.mounts = {{"data", "/data", link, true}};
    const auto error = error_of(start);
    EXPECT_EQ(error.code, base::Errc::NotFound) << link << ": " << error.message;
  }
}

TEST_F(KeeperVolumeTest, ASingleFileOfAVolumeCanBeMounted) {
  nexus::FilesVolume files{{{"app.conf", "content", 0644}, {"other", "x", 0644}}, false};
  EXPECT_EQ(run_with({{"config", files}}, {{"config", "/srv/app.conf", "app.conf", false}},
                     "cat /srv/app.conf; ls /srv"),
            "contentapp.conf\npage\n");
}

TEST_F(KeeperVolumeTest, TheGroupOfThePodOwnsItsVolumes) {
  const std::string log = run_with({{"scratch", nexus::EmptyDirVolume{}},
                                    {"data", nexus::NamedVolume{"default/grouped"}},
                                    {"config", nexus::FilesVolume{{{"key", "k", 0600}}, true}}},
                                   {{"scratch", "/scratch", "", false},
                                    {"data", "/data", "", false},
                                    {"config", "/config", "", false}},
                                   "id -G; stat -c '%g %a' /scratch /data; touch /scratch/a "
                                   "/data/b; stat -c %g /scratch/a /data/b; "
                                   "cat /config/key",
                                   2000, 1000);
  EXPECT_EQ(log, "1001 50 2000\n2000 2777\n2000 2777\n2000\n2000\nk\n");
}

TEST_F(KeeperVolumeTest, AMountOfNoVolumeIsNamed) {
  ask_for<nexus::PodStatus>(CreatePod{pod_spec()});
  auto start = script("true");
  start.spec.mounts = {{"nothing", "/data", "", false}};
  const auto error = error_of(start);
  EXPECT_EQ(error.code, base::Errc::NotFound);
  EXPECT_THAT(error.message, HasSubstr("no volume nothing"));
}

TEST_F(KeeperVolumeTest, MountsWithinMountsComeInTheirOrder) {
  const std::string log = run_with(
      {{"outer", nexus::EmptyDirVolume{}}, {"inner", nexus::EmptyDirVolume{}}},
      {{"inner", "/a/b", "", false}, {"outer", "/a", "", false}}, "touch /a/b/in; ls /a; ls /a/b");
  EXPECT_EQ(log, "b\nin\n");
}

}  // namespace
}  // namespace hypermesh::keeper
