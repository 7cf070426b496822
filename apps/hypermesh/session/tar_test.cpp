#include "session/tar.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <filesystem>
#include <fstream>

#include "testing/home.hpp"

namespace cli {
namespace {

namespace fs = std::filesystem;
using base::Errc;

class Archive {
 public:
  Archive() {
    archive_write_set_format_pax_restricted(tar_);
    archive_write_open_memory(tar_, bytes_.data(), bytes_.size(), &used_);
  }
  ~Archive() { archive_write_free(tar_); }

  Archive& folder(const char* name) { return add(name, AE_IFDIR, 0755, nullptr, nullptr, ""); }
  Archive& file(const char* name, std::string_view content, mode_t mode = 0644) {
    return add(name, AE_IFREG, mode, nullptr, nullptr, content);
  }
  Archive& link(const char* name, const char* target) {
    return add(name, AE_IFLNK, 0777, target, nullptr, "");
  }
  Archive& hard_link(const char* name, const char* target) {
    return add(name, AE_IFREG, 0644, nullptr, target, "");
  }
  Archive& pipe(const char* name) { return add(name, AE_IFIFO, 0644, nullptr, nullptr, ""); }
  std::string_view bytes() {
    archive_write_close(tar_);
    return {bytes_.data(), used_};
  }

 private:
  Archive& add(const char* name, unsigned type, mode_t mode, const char* symlink,
               const char* hard_link, std::string_view content) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, type);
    archive_entry_set_perm(entry, mode);
    archive_entry_set_size(entry, static_cast<la_int64_t>(content.size()));
    if (symlink) archive_entry_set_symlink(entry, symlink);
    if (hard_link) archive_entry_set_hardlink(entry, hard_link);
    archive_write_header(tar_, entry);
    archive_write_data(tar_, content.data(), content.size());
    archive_entry_free(entry);
    return *this;
  }

  std::array<char, 1 << 16> bytes_{};
  std::size_t used_ = 0;
  archive* tar_ = archive_write_new();
};

class Tar : public ::testing::Test {
 protected:
  Tar() {
    fs::create_directory(inside_);
    std::ofstream(top_ / "precious") << "precious";
  }
  base::Result<Unpacked> unpack(Archive& archive, const std::string& name = "copy") {
    TarUnpacker unpacker(inside_, name);
    if (auto written = unpacker.write(archive.bytes()); !written)
      return std::unexpected(written.error());
    return unpacker.finish();
  }
  std::string content(const fs::path& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  testing::Home home_;
  fs::path top_ = home_.path(), inside_ = top_ / "inside";
};

TEST_F(Tar, WhatTheArchiveHoldsGetsItsNewName) {
  Archive folder;
  folder.folder("site/").file("site/index", "hello").link("site/same", "index");
  folder.hard_link("site/twin", "site/index");
  const auto unpacked = unpack(folder);
  ASSERT_TRUE(unpacked) << unpacked.error().describe();
  EXPECT_EQ(unpacked->entries, 4u);
  EXPECT_EQ(unpacked->left_out, 0u);
  EXPECT_EQ(content(inside_ / "copy/same"), "hello");
  EXPECT_EQ(fs::hard_link_count(inside_ / "copy/twin"), 2u);
  Archive file;
  file.file("page", "text", 06755);
  ASSERT_TRUE(unpack(file, "renamed"));
  EXPECT_EQ(content(inside_ / "renamed"), "text");
  struct stat status{};
  ASSERT_EQ(::stat((inside_ / "renamed").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07000, 0u) << "no set-id bits";
}

TEST_F(Tar, WhatLeadsOutOrIsNoFileIsLeftOutAndCounted) {
  Archive archive;
  archive.folder("a").link("a/absolute", "/etc/passwd").link("a/up", "../../precious");
  archive.pipe("a/pipe").link("a/fine", "./file").file("a/file", "x");
  // As text it stays inside; by way of the link "self" it does not.
  archive.link("a/self", ".").link("a/through", "self/../../precious");
  const auto unpacked = unpack(archive);
  ASSERT_TRUE(unpacked) << unpacked.error().describe();
  EXPECT_EQ(unpacked->left_out, 4u);
  EXPECT_EQ(unpacked->entries, 4u);
  for (const char* name : {"absolute", "up", "pipe", "through"})
    EXPECT_FALSE(fs::exists(fs::symlink_status(inside_ / "copy" / name))) << name;
  EXPECT_TRUE(fs::is_symlink(inside_ / "copy/fine"));
}

TEST_F(Tar, HostileArchivesStayInside) {
  Archive up, beside, through, twin;
  up.folder("a").file("a/../../precious", "taken");
  beside.folder("a").file("b", "taken");
  through.folder("a").folder("a/real").link("a/link", "real").file("a/link/file", "x");
  twin.folder("a").hard_link("a/twin", "a/../../precious").file("a/twin", "taken");
  for (Archive* archive : {&up, &beside, &twin}) EXPECT_FALSE(unpack(*archive));
  EXPECT_TRUE(unpack(through, "through"));
  EXPECT_FALSE(fs::exists(inside_ / "through/real/file")) << "nothing is written through a link";
  EXPECT_EQ(content(top_ / "precious"), "precious");
  EXPECT_FALSE(fs::exists(inside_ / "b"));
}

TEST_F(Tar, DamageAndAMissingFolderAreErrors) {
  TarUnpacker damaged(inside_, "copy");
  (void)damaged.write(std::string(2048, 'x'));
  EXPECT_EQ(damaged.finish().error().code, Errc::DataLoss);
  TarUnpacker nowhere(top_ / "absent", "copy");
  EXPECT_FALSE(nowhere.finish());
}

}  // namespace
}  // namespace cli
