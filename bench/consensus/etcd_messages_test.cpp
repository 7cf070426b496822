#include "etcd_messages.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "etcd_answers.hpp"

namespace bench {
namespace {

using testing::HasSubstr;

Operation write_of(const Key& key) {
  Operation operation{.key = key};
  std::ranges::copy(key, operation.value.begin());
  return operation;
}
Operation read_of(const Key& key) {
  return {.read = true, .key = key};
}

std::string why(const base::Result<>& result) {
  return result ? "" : result.error().describe();
}

TEST(EtcdRequest, PutIsItsKeyAndItsValueInOneFrame) {
  const Operation write = write_of(key_of(7));
  const base::Bytes frame = encode_request(write);
  // 00 | length | field 1, 16 bytes | field 2, 256 bytes
  ASSERT_EQ(frame.size(), 5u + 2 + 16 + 3 + 256);
  EXPECT_EQ(base::to_hex(base::BytesView(frame).first(7)), "00000001150a10");
  EXPECT_EQ(base::as_text(base::BytesView(frame).subspan(7, 16)), "key-000000000007");
  EXPECT_EQ(base::to_hex(base::BytesView(frame).subspan(23, 3)), "128002");
  EXPECT_TRUE(std::ranges::equal(base::BytesView(frame).subspan(26), write.value));
}

TEST(EtcdRequest, RangeIsItsKey) {
  EXPECT_EQ(base::to_hex(encode_request(read_of(key_of(7)))),
            "00000000120a106b65792d303030303030303030303037");
}

TEST(EtcdAnswer, IsTakenWithARevision) {
  EXPECT_EQ(why(check_answer(write_of(key_of(1)), put_answer(3))), "");
  EXPECT_EQ(why(check_answer(write_of(key_of(1)), put_answer(1ull << 62))), "");
}

TEST(EtcdAnswer, WithoutARevisionIsRefused) {
  EXPECT_THAT(why(check_answer(write_of(key_of(1)), put_answer(0))), HasSubstr("revision is 0"));
  EXPECT_THAT(why(check_answer(write_of(key_of(1)), put_answer(~0ull))),
              HasSubstr("revision is -1"));
  EXPECT_THAT(why(check_answer(write_of(key_of(1)), in_frame({}))), HasSubstr("revision is 0"));
}

TEST(EtcdAnswer, OfAReadHasTheKeyAndAValueThatWasWritten) {
  const Operation write = write_of(key_of(5)), read = read_of(key_of(5));
  EXPECT_EQ(why(check_answer(read, range_answer(9, {{write.key, write.value}}))), "");
  EXPECT_THAT(why(check_answer(read, range_answer(9, {}))), HasSubstr("0 values"));
  EXPECT_THAT(why(check_answer(
                  read, range_answer(9, {{write.key, write.value}, {write.key, write.value}}))),
              HasSubstr("2 values"));
  EXPECT_THAT(why(check_answer(read, range_answer(9, {{key_of(6), write.value}}))),
              HasSubstr("another key"));
  EXPECT_THAT(why(check_answer(read, range_answer(9, {{write.key, write_of(key_of(6)).value}}))),
              HasSubstr("another key"));
  EXPECT_THAT(why(check_answer(read, range_answer(9, {{write.key, base::Bytes(255)}}))),
              HasSubstr("255 bytes"));
}

TEST(EtcdAnswer, CutAnywhereIsRefused) {
  const Operation write = write_of(key_of(5)), read = read_of(key_of(5));
  const base::Bytes whole = range_answer(9, {{write.key, write.value}});
  const std::size_t count_bytes = 2;  // The last field, without which it is still an answer.
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    EXPECT_FALSE(check_answer(read, base::BytesView(whole).first(bytes))) << bytes;
    // The same with a frame's length that fits, so that the message itself is short.
    if (bytes >= 5 && bytes != whole.size() - count_bytes)
      EXPECT_FALSE(check_answer(read, in_frame(base::BytesView(whole).subspan(5, bytes - 5))))
          << bytes;
  }
}

TEST(EtcdAnswer, WithAnyByteChangedNeverDoesHarm) {
  const Operation write = write_of(key_of(5)), read = read_of(key_of(5));
  const base::Bytes whole = range_answer(9, {{write.key, write.value}});
  for (std::size_t at = 0; at < 60; ++at) {
    for (unsigned byte = 0; byte < 256; ++byte) {
      base::Bytes changed = whole;
      changed[at] = static_cast<std::uint8_t>(byte);
      (void)check_answer(read, changed);
    }
  }
}

TEST(EtcdAnswer, MalformedIsRefused) {
  const Operation write = write_of(key_of(1));
  const auto message = [&](const char* hex) {
    return why(check_answer(write, in_frame(*base::from_hex(hex))));
  };
  EXPECT_THAT(message("08ffffffffffffffffff02"), HasSubstr("64 bits"));
  EXPECT_THAT(message("08ffffffffffffffffffff01"), HasSubstr("64 bits"));
  EXPECT_THAT(message("0b"), HasSubstr("wire type 3"));
  EXPECT_NE(message("0affffffffffffffffff01"), "");  // Longer than can be.
  base::Bytes two = put_answer(1);
  const base::Bytes again = two;
  two.insert(two.end(), again.begin(), again.end());
  EXPECT_NE(why(check_answer(write, two)), "");
  base::Bytes compressed = put_answer(1);
  compressed[0] = 1;
  EXPECT_THAT(why(check_answer(write, compressed)), HasSubstr("compressed"));
}

TEST(EtcdAnswer, FieldsThatAreNotKnownAreSteppedOver) {
  // Field 1 { 1: 7, 3: 5 }, field 9 as fixed64, field 10 as fixed32, field 11 "ab".
  const auto message = *base::from_hex("0a0408071805490102030405060708550a0b0c0d5a026162");
  EXPECT_EQ(why(check_answer(write_of(key_of(1)), in_frame(message))), "");
}

}  // namespace
}  // namespace bench
