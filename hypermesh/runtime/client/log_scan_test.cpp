#include "runtime/client/log_scan.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "runtime/core/cri_log.hpp"

namespace hypermesh {
namespace {

namespace fs = std::filesystem;

class LogScanTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = fs::temp_directory_path() / "hypermesh-log-scan-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    top_ = name;
    folder_ = top_ / "main";
    fs::create_directory(folder_);
  }
  void TearDown() override { fs::remove_all(top_); }

  void write(const std::string& file, const std::string& bytes) {
    std::ofstream(folder_ / file, std::ios::app) << bytes;
  }
  static std::string line(const std::string& text) {
    std::string record;
    keeper::append_log_record(record, base::WallTime{}, false, false, text);
    return record;
  }
  LogScan open(std::optional<std::uint64_t> tail_lines = {}, bool previous = false) {
    auto scan = LogScan::open({folder_.string(), previous, {}, tail_lines});
    EXPECT_TRUE(scan) << scan.error().describe();
    return *std::move(scan);
  }
  /// What is there now.
  static std::string read(LogScan& scan) {
    std::string text;
    for (;;) {
      const auto batch = scan.next_batch();
      EXPECT_TRUE(batch);
      if (!batch || batch->empty()) return text;
      for (const auto& record : *batch) text += record.text + "\n";
    }
  }

  fs::path top_, folder_;
};

TEST_F(LogScanTest, FilesThatWerePutAsideComeFirst) {
  write("0.log.2", line("one"));
  write("0.log.1", line("two"));
  write("0.log", line("three"));
  LogScan scan = open();
  EXPECT_EQ(read(scan), "one\ntwo\nthree\n");
  fs::rename(folder_ / "0.log.1", folder_ / "0.log.2");
  fs::rename(folder_ / "0.log", folder_ / "0.log.1");
  write("0.log.1", line("four"));
  write("0.log", line("five"));
  EXPECT_EQ(read(scan), "four\nfive\n");
  write("1.log", line("again"));
  EXPECT_EQ(read(scan), "again\n") << "a later attempt goes on";
  LogScan before = open({}, true);
  EXPECT_EQ(read(before), "two\nthree\nfour\nfive\n");
}

TEST_F(LogScanTest, TheTailMayReachOverFiles) {
  write("0.log.1", line("one") + line("two"));
  write("0.log", line("three"));
  LogScan two = open(2);
  EXPECT_EQ(read(two), "two\nthree\n");
  LogScan none = open(0);
  EXPECT_EQ(read(none), "");
  write("0.log", line("four"));
  EXPECT_EQ(read(none), "four\n");
}

TEST_F(LogScanTest, ALogThatIsRemovedWhileItIsReadEnds) {
  write("0.log", line("one"));
  LogScan scan = open();
  EXPECT_EQ(read(scan), "one\n");
  fs::remove(folder_ / "0.log");
  EXPECT_EQ(read(scan), "");
  EXPECT_FALSE(scan.gone());
  fs::remove(folder_);
  EXPECT_EQ(read(scan), "");
  EXPECT_TRUE(scan.gone());
}

TEST_F(LogScanTest, DamageIsPassedOverHoweverLongItIs) {
  write("0.log", line("one") + std::string(1u << 20, '\0') + "\n" + "no record\n" + line("two"));
  LogScan scan = open();
  EXPECT_EQ(read(scan), "one\ntwo\n");
}

}  // namespace
}  // namespace hypermesh
