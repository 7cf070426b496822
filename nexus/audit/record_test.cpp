#include "audit/record.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nexus {
namespace {

AuditRecord sample() {
  AuditRecord record;
  record.sequence = 1842;
  record.revision = 77;
  record.entry = {base::WallTime(base::Duration(1'700'000'000'123'456'789)),
                  "ana",
                  "deploy",
                  "update",
                  "default",
                  "deployment/web",
                  "ok",
                  "",
                  "fd00::9",
                  "7f3a",
                  base::sha256("object")};
  record.previous = base::sha256("before");
  return record;
}

TEST(AuditRecord, ComesBackAsItWent) {
  const auto bytes = encode_record(sample());
  EXPECT_EQ(decode_record(bytes), sample());
  auto without = sample();
  without.entry.digest.reset();
  EXPECT_EQ(decode_record(encode_record(without)), without);
}

TEST(AuditRecord, EveryPrefixAndEveryTrailingByteIsRefused) {
  auto bytes = encode_record(sample());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode_record(base::BytesView(bytes).first(size))) << size;
  }
  bytes.push_back(0);
  EXPECT_FALSE(decode_record(bytes));
}

TEST(AuditRecord, TextsOfStrangersAreCut) {
  auto record = sample();
  record.entry.who = std::string(10'000, 'x');
  const auto bytes = encode_record(record);
  EXPECT_LE(bytes.size(), kAuditRecordBytesMax);
  EXPECT_EQ(decode_record(bytes)->entry.who, std::string(kAuditTextBytesMax - 3, 'x') + "...");
}

TEST(AuditRecord, ANewerFormatIsNamed) {
  auto bytes = encode_record(sample());
  bytes[0] = 9;
  EXPECT_EQ(decode_record(bytes).error().code, base::Errc::Unsupported);
  EXPECT_EQ(decode_record(bytes).error().message,
            "an audit record has format 9; this build reads 1");
}

TEST(TreeHead, TheSignatureCoversEveryField) {
  base::SeededRng rng(1);
  const auto key = base::SigningKey::generate(rng);
  const auto signed_head =
      sign_tree_head({5, base::sha256("root"), base::WallTime(base::Duration(42))}, key);
  EXPECT_TRUE(verify_tree_head(signed_head));
  const auto bytes = encode_signed_tree_head(signed_head);
  EXPECT_EQ(bytes.size(), kSignedTreeHeadBytes);
  EXPECT_EQ(decode_signed_tree_head(bytes), signed_head);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    auto changed = bytes;
    changed[i] ^= 4;
    EXPECT_FALSE(verify_tree_head(decode_signed_tree_head(changed).value())) << "byte " << i;
  }
}

}  // namespace
}  // namespace nexus
