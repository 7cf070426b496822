// Runs as root: a layer's files belong to many.
#include "runtime/images/unpack_layer.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <algorithm>

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
using testing::TarEntry;
using testing::zstd;

struct stat status_of(const fs::path& path) {
  struct stat status{};
  EXPECT_EQ(lstat(path.c_str(), &status), 0) << path;
  return status;
}
bool is_whiteout(const fs::path& path) {
  struct stat status{};
  return lstat(path.c_str(), &status) == 0 && S_ISCHR(status.st_mode) &&
         status.st_rdev == makedev(0, 0);
}
bool present(const fs::path& path) {
  struct stat status{};
  return lstat(path.c_str(), &status) == 0;
}

class UnpackLayer : public ::testing::Test {
 protected:
  base::Result<UnpackReport> unpack(const std::string& tar, const std::string& blob,
                                    std::vector<ParentLayer> parents = {},
                                    const std::string& into = "layer") {
    target_ = scratch_.open_folder(into);
    const Fd file = memory_file(blob);
    return unpack_layer(file.get(), target_.get(), limits_, digest_of(tar), parents);
  }
  base::Result<UnpackReport> unpack(const std::string& tar) { return unpack(tar, tar); }
  fs::path at(const std::string& path) const { return scratch_.path() / "layer" / path; }
  // A layer below, unpacked for good.
  ParentLayer below(const std::string& name, const TarBuilder& tar) {
    folders_.push_back(scratch_.open_folder(name));
    const Fd file = memory_file(tar.done());
    auto report = unpack_layer(file.get(), folders_.back().get(), limits_, digest_of(tar.done()));
    EXPECT_TRUE(report) << report.error().describe();
    return {folders_.back().get(), report->opaque_folders};
  }

  Scratch scratch_;
  UnpackLimits limits_;
  Fd target_;
  std::vector<Fd> folders_;
};

TEST_F(UnpackLayer, KeepsWhatTheArchiveSays) {
  const std::string long_name = std::string(120, 'n') + "/" + std::string(200, 'm');
  const std::string tar =
      TarBuilder()
          .add({.name = "./", .type = '5', .mode = 0711, .mtime = 5})
          .add({.name = "etc/",
                .type = '5',
                .mode = 01770,
                .uid = 7,
                .gid = 8,
                .mtime = 1'600'000'000})
          .add({.name = "etc/passwd",
                .data = "root",
                .mode = 04755,
                .uid = 1000,
                .gid = 50,
                .mtime = 1'600'000'001,
                .pax = {{"mtime", "1600000001.5"},
                        {"SCHILY.xattr.user.colour", "blue"},
                        {"SCHILY.xattr.security.selinux", "x"},
                        {"SCHILY.xattr.user.overlay.opaque", "y"},
                        {"SCHILY.xattr.trusted.overlay.opaque", "y"}}})
          .symlink("etc/link", "../bin/sh")
          .symlink("abs", "/etc/passwd")
          .hard_link("etc/same", "./etc/passwd")
          .add({.name = "pipe", .type = '6', .mode = 0640, .uid = 3})
          .folder(std::string(120, 'n'))
          .file(long_name, "long")
          .add({.name = "u", .data = "x", .pax = {{"path", "gr\xc3\xbc\xc3\x9f-\xe6\xbc\xa2"}}})
          .add({.name = "big", .data = "x", .pax = {{"uid", "70000"}, {"gid", "4294967294"}}})
          .done();
  const auto report = unpack(tar);
  ASSERT_TRUE(report) << report.error().describe();
  EXPECT_EQ(status_of(at(".")).st_mode & 07777, 0711u);
  EXPECT_EQ(status_of(at(".")).st_mtime, 5);
  EXPECT_EQ(status_of(at("etc")).st_mode & 07777, 01770u);
  EXPECT_EQ(status_of(at("etc")).st_uid, 7u);
  EXPECT_EQ(status_of(at("etc")).st_mtime, 1'600'000'000) << "after its files were made";
  const auto passwd = status_of(at("etc/passwd"));
  EXPECT_EQ(passwd.st_mode & 07777, 04755u);
  EXPECT_EQ(passwd.st_uid, 1000u);
  EXPECT_EQ(passwd.st_gid, 50u);
  EXPECT_EQ(passwd.st_mtim.tv_sec, 1'600'000'001);
  EXPECT_EQ(passwd.st_mtim.tv_nsec, 500'000'000);
  EXPECT_EQ(passwd.st_nlink, 2u);
  EXPECT_EQ(status_of(at("etc/same")).st_ino, passwd.st_ino);
  EXPECT_EQ(fs::read_symlink(at("etc/link")), "../bin/sh");
  EXPECT_EQ(fs::read_symlink(at("abs")), "/etc/passwd");
  EXPECT_TRUE(S_ISFIFO(status_of(at("pipe")).st_mode));
  EXPECT_EQ(read_text(at(long_name)), "long");
  EXPECT_EQ(read_text(at("gr\xc3\xbc\xc3\x9f-\xe6\xbc\xa2")), "x");
  EXPECT_EQ(status_of(at("big")).st_uid, 65534u);
  char value[16] = {};
  EXPECT_EQ(getxattr(at("etc/passwd").c_str(), "user.colour", value, sizeof value), 4);
  EXPECT_EQ(getxattr(at("etc/passwd").c_str(), "user.overlay.opaque", value, sizeof value), -1);
  EXPECT_EQ(getxattr(at("etc/passwd").c_str(), "trusted.overlay.opaque", value, sizeof value), -1);
  EXPECT_EQ(report->file_bytes, 4u + 4 + 1 + 1);
  EXPECT_EQ(report->entries, 11u);
  EXPECT_EQ(report->stream_bytes, tar.size());
  EXPECT_EQ(report->diff_id, digest_of(tar));
  EXPECT_FALSE(report->used_parents);
  EXPECT_EQ(report->notes.size(), 4u);
}

TEST_F(UnpackLayer, KeepsFileCapabilities) {
  // VFS_CAP_REVISION_2, effective, CAP_NET_RAW permitted.
  const std::string capability(
      "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 20);
  ASSERT_TRUE(unpack(TarBuilder()
                         .add({.name = "ping",
                               .data = "x",
                               .mode = 0755,
                               .uid = 5,
                               .pax = {{"SCHILY.xattr.security.capability", capability}}})
                         .done()));
  char value[64] = {};
  ASSERT_EQ(getxattr(at("ping").c_str(), "security.capability", value, sizeof value), 20);
  EXPECT_EQ(std::string(value, 20), capability);
}

TEST_F(UnpackLayer, ReadsEveryCompression) {
  const std::string tar = TarBuilder().file("a", std::string(300'000, 'a')).file("b", "b").done();
  const std::string half = tar.substr(0, 1000), rest = tar.substr(1000);
  const std::vector<std::pair<std::string, std::string>> blobs = {
      {"plain", tar},
      {"gzip", gzip(tar)},
      {"gzip in two members", gzip(half) + gzip(rest)},
      {"zstd", zstd(tar)},
      {"zstd in two frames", zstd(half) + zstd(rest)},
      {"zstd with a skippable frame",
       std::string("\x50\x2a\x4d\x18\x02\x00\x00\x00xx", 10) + zstd(tar)},
  };
  for (const auto& [name, blob] : blobs) {
    const auto report = unpack(tar, blob, {}, name);
    ASSERT_TRUE(report) << name << ": " << report.error().describe();
    EXPECT_EQ(fs::file_size(scratch_.path() / name / "a"), 300'000u) << name;
    EXPECT_EQ(read_text(scratch_.path() / name / "b"), "b") << name;
  }
}

TEST_F(UnpackLayer, AnEmptyLayerIsALayer) {
  EXPECT_TRUE(unpack(TarBuilder().done(), gzip(TarBuilder().done()), {}, "zeros"));
  EXPECT_TRUE(unpack("", "", {}, "nothing"));
}

TEST_F(UnpackLayer, BytesAfterTheArchiveCountForTheDigest) {
  const std::string tar = TarBuilder().file("a", "a").done() + std::string(5000, '\0');
  EXPECT_TRUE(unpack(tar, gzip(tar)));
  const auto changed = unpack(tar, gzip(tar + "x"), {}, "changed");
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().code, base::Errc::NotVerified);
  EXPECT_NE(changed.error().message.find(digest_of(tar).text()), std::string::npos);
  EXPECT_NE(changed.error().message.find(digest_of(tar + "x").text()), std::string::npos);
}

TEST_F(UnpackLayer, WhiteoutsBecomeOverlays) {
  const auto report = unpack(TarBuilder()
                                 .file(".wh.gone", "")
                                 .folder("d")
                                 .file("d/.wh.x", "")
                                 .folder("opaque")
                                 .file("opaque/.wh..wh..opq", "")
                                 .file("opaque/new", "n")
                                 .file(".wh..wh.plnk/1.2", "")
                                 .done());
  ASSERT_TRUE(report) << report.error().describe();
  EXPECT_TRUE(is_whiteout(at("gone")));
  EXPECT_TRUE(is_whiteout(at("d/x")));
  EXPECT_EQ(report->opaque_folders, std::vector<std::string>{"opaque"});
  EXPECT_EQ(read_text(at("opaque/new")), "n");
  for (const auto& entry : fs::recursive_directory_iterator(at(".")))
    EXPECT_FALSE(entry.path().filename().string().starts_with(".wh.")) << entry.path();
}

TEST_F(UnpackLayer, AWhiteoutNeverHidesItsOwnLayer) {
  const auto report = unpack(TarBuilder()
                                 .file("file", "f")
                                 .file(".wh.file", "")
                                 .folder("before")
                                 .file("before/x", "x")
                                 .file(".wh.before", "")
                                 .file(".wh.after", "")
                                 .folder("after")
                                 .file("after/y", "y")
                                 .file(".wh.implied", "")
                                 .file("implied/z", "z")
                                 .file(".wh.again", "")
                                 .file("again", "a")
                                 .done());
  ASSERT_TRUE(report) << report.error().describe();
  EXPECT_EQ(read_text(at("file")), "f");
  EXPECT_EQ(read_text(at("before/x")), "x");
  EXPECT_EQ(read_text(at("after/y")), "y");
  EXPECT_EQ(read_text(at("implied/z")), "z");
  EXPECT_EQ(read_text(at("again")), "a");
  EXPECT_EQ(report->opaque_folders, (std::vector<std::string>{"after", "before", "implied"}));
}

TEST_F(UnpackLayer, LaterEntriesReplaceEarlierOnes) {
  const auto report = unpack(TarBuilder()
                                 .file("a", "old")
                                 .file("a", "new")
                                 .folder("d")
                                 .file("d/x", "x")
                                 .file("d/.wh..wh..opq", "")
                                 .file("d", "now a file")
                                 .file("f", "f")
                                 .folder("f")
                                 .symlink("l", "a")
                                 .file("l", "now a file")
                                 .file("h", "same")
                                 .hard_link("h", "h")
                                 .done());
  ASSERT_TRUE(report) << report.error().describe();
  EXPECT_EQ(read_text(at("a")), "new") << "not written through the link";
  EXPECT_EQ(read_text(at("d")), "now a file");
  EXPECT_TRUE(fs::is_directory(at("f")));
  EXPECT_EQ(read_text(at("l")), "now a file");
  EXPECT_EQ(read_text(at("h")), "same");
  EXPECT_EQ(report->opaque_folders, std::vector<std::string>{"f"})
      << "a file would have hidden a folder below";
}

TEST_F(UnpackLayer, FoldersThatTheArchiveDoesNotHoldAreAsBelow) {
  const auto lowest = below(
      "lowest",
      TarBuilder()
          .folder("tmp", 01777)
          .add({.name = "home/", .type = '5', .mode = 0700, .uid = 42, .gid = 43, .mtime = 99})
          .folder("hidden", 0700)
          .folder("cut", 0700)
          .folder("cut/in", 0711));
  const auto middle =
      below("middle",
            TarBuilder().file(".wh.hidden", "").folder("cut", 0750).file("cut/.wh..wh..opq", ""));
  const std::string tar = TarBuilder()
                              .file("tmp/x", "")
                              .file("home/deep/y", "")
                              .file("hidden/z", "")
                              .file("cut/in/w", "")
                              .file("new/v", "")
                              .done();
  const auto report = unpack(tar, tar, {lowest, middle});
  ASSERT_TRUE(report) << report.error().describe();
  EXPECT_TRUE(report->used_parents);
  EXPECT_EQ(status_of(at("tmp")).st_mode & 07777, 01777u);
  EXPECT_EQ(status_of(at("home")).st_mode & 07777, 0700u);
  EXPECT_EQ(status_of(at("home")).st_uid, 42u);
  EXPECT_EQ(status_of(at("home")).st_mtime, 99);
  EXPECT_EQ(status_of(at("home/deep")).st_mode & 07777, 0755u);
  EXPECT_EQ(status_of(at("hidden")).st_mode & 07777, 0755u)
      << "a whiteout between hides the lowest one";
  EXPECT_EQ(status_of(at("cut")).st_mode & 07777, 0750u);
  EXPECT_EQ(status_of(at("cut/in")).st_mode & 07777, 0755u)
      << "an opaque folder between hides the lowest one";
  EXPECT_EQ(status_of(at("new")).st_mode & 07777, 0755u);
}

TEST_F(UnpackLayer, LinksBelowAreFollowedAsOnTheFinishedStack) {
  const auto base = below("base", TarBuilder()
                                      .folder("usr")
                                      .folder("usr/lib", 0711)
                                      .symlink("lib", "usr/lib")
                                      .symlink("abs", "/usr")
                                      .symlink("loop", "loop"));
  const std::string tar =
      TarBuilder().file("lib/x.so", "x").file("abs/lib/y.so", "y").file("lib/.wh.z.so", "").done();
  const auto report = unpack(tar, tar, {base});
  ASSERT_TRUE(report) << report.error().describe();
  EXPECT_EQ(read_text(at("usr/lib/x.so")), "x");
  EXPECT_EQ(read_text(at("usr/lib/y.so")), "y");
  EXPECT_TRUE(is_whiteout(at("usr/lib/z.so")));
  EXPECT_EQ(status_of(at("usr/lib")).st_mode & 07777, 0711u);
  EXPECT_FALSE(present(at("lib"))) << "the link below stays what it is";
  const auto loop = unpack(TarBuilder().file("loop/x", "").done(),
                           TarBuilder().file("loop/x", "").done(), {base}, "loops");
  ASSERT_FALSE(loop);
  EXPECT_NE(loop.error().message.find("more than 40 symbolic links"), std::string::npos);
}

struct Hostile {
  std::string name;
  std::string tar;
  std::string why;
  base::Errc code = base::Errc::InvalidArgument;
};

std::vector<Hostile> hostile_archives() {
  const TarBuilder empty;
  const auto of = [](TarBuilder& builder) { return builder.done(); };
  TarBuilder b[40];
  std::size_t i = 0;
  return {
      {"absolute name", of(b[i++].file("/etc/evil", "x")),
       "entry \"/etc/evil\" has an absolute name"},
      {"climbing name", of(b[i++].file("../evil", "x")), "has \"..\" in its name"},
      {"climbing name inside", of(b[i++].file("a/../../evil", "x")), "has \"..\" in its name"},
      {"climbing link", of(b[i++].symlink("l", "../outside")),
       "is a symbolic link out of the image's root: \"../outside\""},
      {"climbing link in a folder", of(b[i++].folder("d").symlink("d/l", "../../outside")),
       "is a symbolic link out of the image's root"},
      {"through two links",
       of(b[i++]
              .folder("a")
              .folder("a/b")
              .symlink("x", "a/b")
              .symlink("a/b/up", "../..")
              .symlink("y", "x/up/..")
              .file("y/evil", "x")),
       "leads out of the image's root"},
      {"hard link out", of(b[i++].hard_link("h", "../outside/secret")),
       "is a hard link to \"../outside/secret\""},
      {"absolute hard link", of(b[i++].hard_link("h", "/etc/passwd")), "has an absolute name"},
      {"hard link through a link",
       of(b[i++].symlink("l", "/../../outside").hard_link("h", "l/secret")),
       "leads out of the image's root"},
      {"hard link to nothing", of(b[i++].hard_link("h", "missing")),
       "which the archive does not hold"},
      {"hard link into nothing", of(b[i++].hard_link("h", "no/where")),
       "names a file that the archive does not hold"},
      {"hard link to a folder", of(b[i++].folder("d").hard_link("h", "d")),
       "is a hard link to the folder"},
      {"hard link to a whiteout", of(b[i++].file(".wh.w", "").hard_link("h", "w")),
       "which the archive does not hold"},
      {"character device",
       of(b[i++].add({.name = "dev/mem", .type = '3', .device_major = 1, .device_minor = 1})),
       "entry \"dev/mem\" is a device node (1:1)"},
      {"block device", of(b[i++].add({.name = "sda", .type = '4', .device_major = 8})),
       "is a device node (8:0)"},
      {"a whiteout in overlay's own form", of(b[i++].add({.name = "w", .type = '3'})),
       "is a device node (0:0)"},
      {"file as folder", of(b[i++].file("f", "x").file("f/y", "y")),
       "lies in \"f\", which is not a folder"},
      {"link loop", of(b[i++].symlink("a", "b").symlink("b", "a").file("a/x", "")),
       "more than 40 symbolic links"},
      {"whiteout of the parent", of(b[i++].folder("d").file("d/.wh...", "")),
       "is a whiteout of nothing"},
      {"root is a file", of(b[i++].add({.name = "./", .type = '2', .link = "x"})),
       "replaces the image's root"},
      {"long name", of(b[i++].file(std::string(5000, 'x'), "")), "bytes; at most 4096"},
      {"long part", of(b[i++].file(std::string(300, 'x'), "")), "has a part of 300 bytes"},
      {"cut in a header", TarBuilder().file("a", "a").without_end().substr(0, 300),
       "the archive is refused"},
      {"cut in a body",
       TarBuilder().file("a", std::string(5000, 'a')).without_end().substr(0, 2000),
       "the archive is refused"},
      {"rubbish", std::string(2000, 'x'), "the archive is refused"},
      {"size beyond the end",
       of(b[i++].add({.name = "a", .data = "x", .size_field = "77777777777"})), "refused",
       base::Errc::InvalidArgument},
      {"size of 8 EiB",
       of(b[i++].add(
           {.name = "a",
            .data = "x",
            .size_field = std::string("\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12)})),
       "Tar entry size overflow"},
      {"size of 1 PiB",
       of(b[i++].add({.name = "a",
                      .data = "x",
                      .size_field = std::string("\x80\0\0\0\0\4\0\0\0\0\0\0", 12)})),
       "refused as a bomb", base::Errc::ResourceExhausted},
      {"sparse bomb",
       of(b[i++].add({.name = "a",
                      .data = "x",
                      .pax = {{"GNU.sparse.size", "1125899906842624"},
                              {"GNU.sparse.numblocks", "1"},
                              {"GNU.sparse.map", "0,1"}}})),
       "refused as a bomb", base::Errc::ResourceExhausted},
  };
}

TEST_F(UnpackLayer, HostileArchivesAreRefusedAndTouchNothingOutside) {
  const Fd outside = scratch_.open_folder("outside");
  testing::write_text(scratch_ / "outside/secret", "secret");
  for (const auto& archive : hostile_archives()) {
    const auto report = unpack(archive.tar, gzip(archive.tar), {}, "targets/" + archive.name);
    ASSERT_FALSE(report) << archive.name;
    EXPECT_NE(report.error().message.find(archive.why), std::string::npos)
        << archive.name << ": " << report.error().message;
    EXPECT_EQ(report.error().code, archive.code) << archive.name << ": " << report.error().message;
    EXPECT_EQ(status_of(scratch_ / "outside/secret").st_nlink, 1u) << archive.name;
    EXPECT_EQ(std::distance(fs::directory_iterator(scratch_ / "outside"), {}), 1) << archive.name;
    EXPECT_FALSE(present(scratch_ / "evil")) << archive.name;
    EXPECT_FALSE(present(scratch_ / "targets/evil")) << archive.name;
    EXPECT_FALSE(present("/etc/evil")) << archive.name;
  }
}

TEST_F(UnpackLayer, BombsAreRefused) {
  const std::string zeros = TarBuilder().file("z", std::string(8 << 20, '\0')).done();
  limits_.bytes_max = 1 << 20;
  auto report = unpack(zeros, gzip(zeros), {}, "bytes");
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, base::Errc::ResourceExhausted);
  EXPECT_NE(report.error().message.find("1048576 bytes"), std::string::npos)
      << report.error().message;

  limits_ = {.ratio_max = 100, .ratio_free_bytes = 1 << 20};
  report = unpack(zeros, gzip(zeros), {}, "ratio");
  ASSERT_FALSE(report);
  EXPECT_NE(report.error().message.find("over 100 times as many"), std::string::npos)
      << report.error().message;

  limits_ = {.entries_max = 10};
  TarBuilder many;
  for (int n = 0; n < 11; ++n) many.file(fmt::format("f{}", n), "");
  report = unpack(many.done(), gzip(many.done()), {}, "entries");
  ASSERT_FALSE(report);
  EXPECT_NE(report.error().message.find("more than 10 entries"), std::string::npos)
      << report.error().message;

  limits_ = {};
  const std::string padded = TarBuilder().file("a", "a").done() + std::string(8 << 20, '\0');
  limits_.bytes_max = 1 << 20;
  report = unpack(padded, gzip(padded), {}, "padding");
  ASSERT_FALSE(report) << "bytes after the archive count too";
}

TEST_F(UnpackLayer, DamagedAndCutStreamsAreRefused) {
  const std::string tar = TarBuilder().file("a", "hello").done();
  for (const auto& [kind, blob] : {std::pair("gzip", gzip(tar)), std::pair("zstd", zstd(tar))}) {
    for (std::size_t n = 6; n < blob.size(); ++n) {
      const auto report = unpack(tar, blob.substr(0, n), {}, fmt::format("{} cut {}", kind, n));
      ASSERT_FALSE(report) << kind << " cut at " << n;
      EXPECT_EQ(report.error().code, base::Errc::InvalidArgument) << report.error().message;
    }
    std::string damaged = blob;
    damaged[damaged.size() / 2] ^= 0x55;
    EXPECT_FALSE(unpack(tar, damaged, {}, fmt::format("{} damaged", kind)));
    EXPECT_FALSE(unpack(tar, blob + "rubbish", {}, fmt::format("{} followed", kind)));
  }
  const auto xz = unpack("",
                         std::string("\xfd"
                                     "7zXZ\0....",
                                     10),
                         {}, "xz");
  ASSERT_FALSE(xz);
  EXPECT_EQ(xz.error().code, base::Errc::Unsupported);
}

TEST_F(UnpackLayer, SparseFilesAreWhole) {
  // GNU's form 1.0 would need a map in the data; 0.1 carries it in the header.
  const auto report = unpack(TarBuilder()
                                 .add({.name = "s",
                                       .data = "AB",
                                       .pax = {{"GNU.sparse.size", "1000"},
                                               {"GNU.sparse.numblocks", "2"},
                                               {"GNU.sparse.map", "100,1,500,1"}}})
                                 .done());
  ASSERT_TRUE(report) << report.error().describe();
  const std::string text = read_text(at("s"));
  ASSERT_EQ(text.size(), 1000u);
  EXPECT_EQ(text[100], 'A');
  EXPECT_EQ(text[500], 'B');
  EXPECT_EQ(std::count(text.begin(), text.end(), '\0'), 998);
}

}  // namespace
}  // namespace hypermesh
