#include "runtime/images/unpack_report.hpp"

#include <gtest/gtest.h>

namespace hypermesh {
namespace {

UnpackReport sample() {
  return {.diff_id = digest_of("x"),
          .stream_bytes = 1,
          .file_bytes = 2,
          .entries = 3,
          .used_parents = true,
          .opaque_folders = {".", "a/b"},
          .notes = {"n"}};
}

TEST(UnpackReport, SurvivesBeingWritten) {
  const auto read = decode_unpack_report(encode_unpack_report(sample()));
  ASSERT_TRUE(read) << read.error().describe();
  EXPECT_EQ(*read, sample());
}

TEST(UnpackReport, PathsThatLeadOutAreRefused) {
  for (const char* path : {"/etc", "..", "a/../..", "a//b", "a/", "", "./a", "a/.wh.b"}) {
    UnpackReport report = sample();
    report.opaque_folders = {path};
    EXPECT_FALSE(decode_unpack_report(encode_unpack_report(report))) << path;
  }
}

TEST(UnpackReport, EveryShorteningIsNoticed) {
  const base::Bytes whole = encode_unpack_report(sample());
  for (std::size_t n = 0; n < whole.size(); ++n)
    EXPECT_FALSE(decode_unpack_report(base::BytesView(whole).first(n))) << n;
}

TEST(UnpackOutcome, CarriesErrorsWithTheirCode) {
  base::Result<UnpackReport> bad =
      std::unexpected(base::with_hint(base::make_error(base::Errc::NotVerified, "no"), "hint"));
  const auto read = decode_unpack_outcome(encode_unpack_outcome(bad));
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, base::Errc::NotVerified);
  EXPECT_EQ(read.error().message, "no");
  EXPECT_EQ(read.error().hints, std::vector<std::string>{"hint"});
  EXPECT_EQ(*decode_unpack_outcome(encode_unpack_outcome(sample())), sample());
}

TEST(LayerRecord, SurvivesBeingWritten) {
  const LayerRecord record{.id = {digest_of("i")},
                           .diff_id = digest_of("d"),
                           .used_parents = true,
                           .file_bytes = 5,
                           .entries = 6,
                           .notes = {"a", "b"}};
  const base::Bytes bytes = encode_layer_record(record);
  const auto read = decode_layer_record(bytes);
  ASSERT_TRUE(read) << read.error().describe();
  EXPECT_EQ(*read, record);
  for (std::size_t n = 0; n < bytes.size(); ++n)
    EXPECT_FALSE(decode_layer_record(base::BytesView(bytes).first(n))) << n;
}

}  // namespace
}  // namespace hypermesh
