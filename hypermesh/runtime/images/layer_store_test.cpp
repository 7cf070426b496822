// Runs as root, in a mount namespace of its own: layers are unpacked in the sandbox and mounted as
// overlays.
#include "runtime/images/layer_store.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include <cstring>
#include <thread>

#include "runtime/images/image_config.hpp"
#include "runtime/images/testing/scratch.hpp"
#include "runtime/images/testing/tar_builder.hpp"

namespace hypermesh {
namespace {

namespace fs = std::filesystem;
using testing::gzip;
using testing::memory_file;
using testing::read_text;
using testing::Scratch;
using testing::TarBuilder;
using testing::write_text;
using testing::zstd;

constexpr std::uint32_t kIdBase = 300'000;

void use_private_mounts() {
  static const bool done = [] {
    return unshare(CLONE_NEWNS) == 0 &&
           mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
  }();
  ASSERT_TRUE(done) << strerror(errno);
}

class LayerStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    use_private_mounts();
    open();
  }
  void TearDown() override {
    for (auto it = mounts_.rbegin(); it != mounts_.rend(); ++it) umount2(it->c_str(), MNT_DETACH);
  }
  void open() {
    store_.reset();
    options_.root = scratch_ / "layers";
    options_.id_base = kIdBase;
    if (options_.unpacker_path.empty())
      options_.unpacker_path = std::string(PROJECT_BINARY_DIR) + "/bin/hypermesh-unpack";
    auto opened = LayerStore::open(options_);
    ASSERT_TRUE(opened) << opened.error().describe();
    store_ = *std::move(opened);
  }
  base::Result<LayerRecord> install(const std::string& tar, std::vector<LayerId> parents = {}) {
    const Fd blob = memory_file(gzip(tar));
    return store_->install(blob.get(), digest_of(tar), parents);
  }
  LayerId must_install(const TarBuilder& tar, std::vector<LayerId> parents = {}) {
    auto made = install(tar.done(), std::move(parents));
    EXPECT_TRUE(made) << made.error().describe();
    return made ? made->id : LayerId{};
  }
  // Mounts the layers, uppermost last, and a fresh upper folder over them.
  std::string overlay(const std::vector<LayerId>& layers) {
    std::string lower;
    for (auto it = layers.rbegin(); it != layers.rend(); ++it)
      lower += (lower.empty() ? "" : ":") + store_->folder(*it);
    const std::string n = std::to_string(mounts_.size());
    for (const char* folder : {"upper", "work", "merged"})
      fs::create_directories(scratch_ / (folder + n));
    const std::string target = scratch_ / ("merged" + n);
    const std::string options = fmt::format("lowerdir={},upperdir={},workdir={}", lower,
                                            scratch_ / ("upper" + n), scratch_ / ("work" + n));
    EXPECT_EQ(mount("overlay", target.c_str(), "overlay", 0, options.c_str()), 0)
        << strerror(errno);
    mounts_.push_back(target);
    return target;
  }
  std::vector<std::string> names() {
    std::vector<std::string> out;
    for (const auto& entry : fs::directory_iterator(scratch_ / "layers"))
      out.push_back(entry.path().filename());
    return out;
  }

  Scratch scratch_;
  LayerStoreOptions options_;
  std::unique_ptr<LayerStore> store_;
  std::vector<std::string> mounts_;
};

TEST_F(LayerStoreTest, LayersMakeTheRootThatTheImageMeans) {
  const auto lowest = must_install(TarBuilder()
                                       .folder("etc")
                                       .file("etc/a", "a")
                                       .file("etc/b", "b")
                                       .folder("var")
                                       .file("var/old", "old")
                                       .folder("var/deep")
                                       .file("var/deep/x", "x")
                                       .file("gone", "g")
                                       .folder("merged")
                                       .file("merged/one", "1"));
  const auto upper = must_install(TarBuilder()
                                      .folder("etc")
                                      .file("etc/.wh.a", "")
                                      .file(".wh.gone", "")
                                      .folder("var")
                                      .file("var/.wh..wh..opq", "")
                                      .file("var/new", "new")
                                      .folder("merged")
                                      .file("merged/two", "2"));
  const fs::path root = overlay({lowest, upper});
  EXPECT_FALSE(fs::exists(root / "etc/a"));
  EXPECT_EQ(read_text(root / "etc/b"), "b");
  EXPECT_FALSE(fs::exists(root / "gone"));
  EXPECT_FALSE(fs::exists(root / "var/old"));
  EXPECT_FALSE(fs::exists(root / "var/deep"));
  EXPECT_EQ(read_text(root / "var/new"), "new");
  EXPECT_EQ(read_text(root / "merged/one") + read_text(root / "merged/two"), "12");
  write_text(root / "etc/b", "changed");
  EXPECT_EQ(read_text(store_->folder(lowest) + "/etc/b"), "b")
      << "the layer is shared and must not change";
}

TEST_F(LayerStoreTest, FilesBelongToTheRangeOfIds) {
  const auto id = must_install(
      TarBuilder()
          .add({.name = "f", .data = "x", .mode = 04755, .uid = 1000, .gid = 5})
          .file("root", "r")
          .file(".wh.w", "")
          .add({.name = "u", .data = "x", .pax = {{"path", "gr\xc3\xbc\xc3\x9f-\xe6\xbc\xa2"}}}));
  EXPECT_TRUE(fs::exists(store_->folder(id) + "/gr\xc3\xbc\xc3\x9f-\xe6\xbc\xa2"))
      << "names of any script, also where no locale can be loaded";
  struct stat status{};
  ASSERT_EQ(lstat((store_->folder(id) + "/f").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, kIdBase + 1000);
  EXPECT_EQ(status.st_gid, kIdBase + 5);
  EXPECT_EQ(status.st_mode & 07777, 04755u);
  ASSERT_EQ(lstat((store_->folder(id) + "/root").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, kIdBase);
  ASSERT_EQ(lstat((store_->folder(id) + "/w").c_str(), &status), 0);
  EXPECT_TRUE(S_ISCHR(status.st_mode));
  ASSERT_EQ(stat((scratch_ / "layers").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700u) << "its set-user-id programs are out of reach";
}

// A user namespace whose root is `base`.
Fd user_namespace(std::uint32_t base) {
  int go[2];
  if (pipe(go) != 0) return Fd();
  const pid_t child = fork();
  if (child == 0) {
    close(go[0]);
    const bool made = unshare(CLONE_NEWUSER) == 0;
    (void)!write(go[1], made ? "y" : "n", 1);
    pause();
    _exit(0);
  }
  char byte = 0;
  (void)!read(go[0], &byte, 1);
  write_text(fmt::format("/proc/{}/uid_map", child), fmt::format("0 {} 65536\n", base));
  write_text(fmt::format("/proc/{}/gid_map", child), fmt::format("0 {} 65536\n", base));
  Fd fd(::open(fmt::format("/proc/{}/ns/user", child).c_str(), O_RDONLY | O_CLOEXEC));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  close(go[0]);
  close(go[1]);
  return fd;
}

// How a pod with its own user namespace gets the layers: one copy on disk, an idmapped mount for
// each pod.
TEST_F(LayerStoreTest, APodsUserNamespaceSeesTheArchivesIdsAndCapabilities) {
  constexpr std::uint32_t kPod = 900'000;
  const std::string capability(
      "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 20);
  const auto id =
      must_install(TarBuilder()
                       .folder("d")
                       .file("d/.wh..wh..opq", "")
                       .add({.name = "d/ping",
                             .data = "x",
                             .mode = 0755,
                             .uid = 7,
                             .pax = {{"SCHILY.xattr.security.capability", capability}}}));
  // On disk: base + n. In the mount: pod + n. The map of an idmapped mount goes from the file
  // system's ids.
  int go[2];
  ASSERT_EQ(pipe(go), 0);
  const pid_t child = fork();
  if (child == 0) {
    (void)!(unshare(CLONE_NEWUSER) == 0 && write(go[1], "y", 1));
    pause();
    _exit(0);
  }
  char byte = 0;
  ASSERT_EQ(read(go[0], &byte, 1), 1);
  write_text(fmt::format("/proc/{}/uid_map", child), fmt::format("{} {} 65536\n", kIdBase, kPod));
  write_text(fmt::format("/proc/{}/gid_map", child), fmt::format("{} {} 65536\n", kIdBase, kPod));
  Fd map(::open(fmt::format("/proc/{}/ns/user", child).c_str(), O_RDONLY | O_CLOEXEC));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  close(go[0]);
  close(go[1]);
  ASSERT_TRUE(map);

  Fd tree(int(syscall(SYS_open_tree, AT_FDCWD, store_->folder(id).c_str(),
                      OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
  ASSERT_TRUE(tree);
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = std::uint64_t(map.get());
  ASSERT_EQ(
      syscall(SYS_mount_setattr, tree.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes), 0)
      << strerror(errno);
  const std::string mapped = scratch_ / "mapped";
  fs::create_directories(mapped);
  ASSERT_EQ(
      syscall(SYS_move_mount, tree.get(), "", AT_FDCWD, mapped.c_str(), MOVE_MOUNT_F_EMPTY_PATH), 0)
      << strerror(errno);
  mounts_.push_back(mapped);
  for (const char* folder : {"pod-upper", "pod-work", "pod-root"})
    fs::create_directories(scratch_ / folder);
  const std::string root = scratch_ / "pod-root";
  ASSERT_EQ(mount("overlay", root.c_str(), "overlay", 0,
                  fmt::format("lowerdir={},upperdir={},workdir={}", mapped, scratch_ / "pod-upper",
                              scratch_ / "pod-work")
                      .c_str()),
            0)
      << strerror(errno);
  mounts_.push_back(root);

  struct stat status{};
  ASSERT_EQ(stat((root + "/d/ping").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, kPod + 7);
  // Seen from outside it is a version 3 capability of the pod's root; inside it is the archive's
  // own.
  std::uint8_t value[64] = {};
  ASSERT_EQ(getxattr((root + "/d/ping").c_str(), "security.capability", value, sizeof value), 24)
      << strerror(errno);
  std::uint32_t root_id;
  std::memcpy(&root_id, value + 20, 4);
  EXPECT_EQ(root_id, kPod);
  EXPECT_EQ(value[3], 3);
  Fd pod = user_namespace(kPod);
  ASSERT_TRUE(pod);
  const pid_t inside = fork();
  if (inside == 0) {
    if (setns(pod.get(), CLONE_NEWUSER) != 0) _exit(1);
    if (getxattr((root + "/d/ping").c_str(), "security.capability", value, sizeof value) != 20)
      _exit(2);
    _exit(std::memcmp(value, capability.data(), 20) == 0 ? 0 : 3);
  }
  int ended = 0;
  waitpid(inside, &ended, 0);
  EXPECT_EQ(WEXITSTATUS(ended), 0);
}

TEST_F(LayerStoreTest, ALayerIsUnpackedOnceAndShared) {
  const TarBuilder base = TarBuilder().folder("d").file("d/x", "x");
  const auto first = must_install(base);
  const auto other = must_install(TarBuilder().file("o", ""));
  const TarBuilder top = TarBuilder().folder("e").file("e/y", "y");
  const auto once = must_install(top, {first});
  EXPECT_EQ(must_install(top, {other}), once);
  EXPECT_EQ(must_install(top), once);
  EXPECT_EQ(once.digest, digest_of(top.done()));
  EXPECT_EQ(names().size(), 3u);
  const auto unread = store_->install(-1, digest_of(top.done()), {});
  EXPECT_TRUE(unread) << "what is there is not unpacked again";
}

TEST_F(LayerStoreTest, ALayerThatTakesFoldersFromItsParentsBelongsToThem) {
  const auto sticky = must_install(TarBuilder().folder("tmp", 01777));
  const auto plain = must_install(TarBuilder().folder("tmp", 0700));
  const TarBuilder top = TarBuilder().file("tmp/x", "x");
  const auto on_sticky = must_install(top, {sticky});
  const auto on_plain = must_install(top, {plain});
  const auto alone = must_install(top);
  EXPECT_NE(on_sticky, on_plain);
  EXPECT_EQ(alone.digest, digest_of(top.done()));
  EXPECT_EQ(on_sticky.digest, chain_ids({sticky.digest, digest_of(top.done())})[1]);
  EXPECT_EQ(must_install(top, {sticky}), on_sticky);
  struct stat status{};
  ASSERT_EQ(stat((overlay({sticky, on_sticky}) + "/tmp").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 01777u);
  ASSERT_EQ(stat((overlay({plain, on_plain}) + "/tmp").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0700u);
}

TEST_F(LayerStoreTest, ManyThreadsWantOneLayer) {
  TarBuilder tar;
  for (int n = 0; n < 200; ++n) tar.file(fmt::format("f{}", n), "x");
  std::vector<std::thread> threads;
  for (int n = 0; n < 4; ++n) threads.emplace_back([&] { must_install(tar); });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(names().size(), 1u);
}

TEST_F(LayerStoreTest, RefusedArchivesLeaveNothing) {
  const auto refused = install(TarBuilder().file("ok", "x").file("../evil", "x").done());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, base::Errc::InvalidArgument);
  EXPECT_NE(refused.error().message.find("\"../evil\" has \"..\" in its name"), std::string::npos)
      << refused.error().message;
  const std::string tar = TarBuilder().file("ok", "x").done();
  const Fd blob = memory_file(tar);
  const auto wrong = store_->install(blob.get(), digest_of("other"), {});
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, base::Errc::NotVerified);
  EXPECT_TRUE(names().empty());
  const auto parentless = install(tar, {LayerId{digest_of("missing")}});
  EXPECT_EQ(parentless.error().code, base::Errc::NotFound);
}

TEST_F(LayerStoreTest, WhatACrashLeftIsRemovedAndWhatIsWholeStays) {
  const auto id = must_install(TarBuilder().file("a", "a"));
  store_.reset();
  fs::create_directories(scratch_ / "layers/.new-1234/fs/some/where");
  write_text(scratch_ / "layers/.new-1234/fs/some/file", "x");
  fs::create_directories(scratch_ / "layers/.old-99/fs");
  open();
  EXPECT_EQ(names(), std::vector<std::string>{id.text()});
  const auto listed = store_->list();
  ASSERT_TRUE(listed);
  ASSERT_EQ(listed->size(), 1u);
  EXPECT_EQ(listed->front().file_bytes, 1u);
}

TEST_F(LayerStoreTest, AFolderWithoutARecordIsNoLayer) {
  const std::string tar = TarBuilder().file("a", "a").done();
  fs::create_directories(scratch_ / ("layers/" + digest_of(tar).hex() + "/fs"));
  EXPECT_TRUE(store_->list()->empty());
  EXPECT_EQ(store_->find({digest_of(tar)}).error().code, base::Errc::NotFound);
}

TEST_F(LayerStoreTest, RemovesLayersThatNobodyUses) {
  const auto id = must_install(
      TarBuilder().folder("d").file("d/a", "12345").folder("d/e").symlink("d/e/l", "/etc"));
  bool used = true;
  options_.in_use = [&](const LayerId& asked) { return asked == id && used; };
  open();
  EXPECT_EQ(store_->remove(id).error().code, base::Errc::FailedPrecondition);
  EXPECT_EQ(names().size(), 1u);
  used = false;
  EXPECT_EQ(*store_->remove(id), 5u);
  EXPECT_TRUE(names().empty());
  EXPECT_EQ(*store_->remove(id), 0u);
  EXPECT_TRUE(fs::exists("/etc/passwd"));
}

TEST_F(LayerStoreTest, TwoStoresDoNotShareAFolder) {
  const auto second = LayerStore::open(options_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, base::Errc::FailedPrecondition);
}

TEST_F(LayerStoreTest, AFullDiskLeavesNothing) {
  store_.reset();
  const std::string small = scratch_ / "layers";
  ASSERT_EQ(mount("tmpfs", small.c_str(), "tmpfs", 0, "size=1m"), 0) << strerror(errno);
  mounts_.push_back(small);
  open();
  const std::string tar =
      TarBuilder().file("fits", "x").file("big", std::string(4 << 20, 'x')).done();
  const auto full = install(tar);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, base::Errc::ResourceExhausted);
  EXPECT_NE(full.error().message.find("No space left on device"), std::string::npos)
      << full.error().message;
  EXPECT_FALSE(full.error().hints.empty());
  EXPECT_TRUE(names().empty());
  must_install(TarBuilder().file("fits", "x"));
}

TEST_F(LayerStoreTest, AnUnpackerThatFailsIsAnError) {
  const std::string tar = TarBuilder().file("a", "a").done();
  const auto with = [&](const std::string& program) {
    options_.unpacker_path = program;
    open();
    return install(tar);
  };
  const auto missing = with("/does/not/exist");
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("the program is missing"), std::string::npos)
      << missing.error().message;
  const auto silent = with("/bin/false");
  ASSERT_FALSE(silent);
  EXPECT_NE(silent.error().message.find("exit code 1"), std::string::npos)
      << silent.error().message;
  const std::string script = scratch_ / "unpacker";
  write_text(script, "#!/bin/sh\nkill -SEGV $$\n");
  fs::permissions(script, fs::perms::all);
  const auto crashed = with(script);
  ASSERT_FALSE(crashed);
  EXPECT_NE(crashed.error().message.find("killed by SEGV"), std::string::npos)
      << crashed.error().message;
  write_text(script, "#!/bin/sh\necho rubbish\n");
  EXPECT_FALSE(with(script));
  write_text(script, "#!/bin/sh\nexec sleep 1000\n");
  options_.limits.time_max = std::chrono::seconds(0);
  const auto slow = with(script);
  ASSERT_FALSE(slow);
  EXPECT_EQ(slow.error().code, base::Errc::TimedOut);
  EXPECT_TRUE(fs::is_empty(scratch_ / "layers"));
}

TEST_F(LayerStoreTest, MarksStayInsideTheLayer) {
  fs::create_directories(scratch_ / "layer/d");
  fs::create_directories(scratch_ / "outside");
  fs::create_directory_symlink(scratch_ / "outside", scratch_ / "layer/link");
  const Fd layer = scratch_.open_folder("layer");
  EXPECT_TRUE(mark_opaque_folders(layer.get(), {".", "d"}));
  for (const char* path : {"link", "../outside", "/etc", "missing"})
    EXPECT_FALSE(mark_opaque_folders(layer.get(), {path})) << path;
  char value[4];
  EXPECT_EQ(getxattr((scratch_ / "outside").c_str(), "trusted.overlay.opaque", value, sizeof value),
            -1);
}

}  // namespace
}  // namespace hypermesh
