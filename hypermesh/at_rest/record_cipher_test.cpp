#include "at_rest/record_cipher.hpp"

#include <gtest/gtest.h>

#include "at_rest/testing/fixed_key_cipher.hpp"

namespace hypermesh::at_rest {
namespace {

TEST(FixedKeyCipher, OpensInTheSamePlaceOnly) {
  FixedKeyCipher cipher;
  const auto sealed = cipher.seal(base::as_bytes("value"), base::as_bytes("here"));
  const auto opened = cipher.open(sealed, base::as_bytes("here"));
  ASSERT_TRUE(opened) << opened.error().describe();
  EXPECT_EQ(base::as_text(*opened), "value");
  EXPECT_EQ(cipher.open(sealed, base::as_bytes("there")).error().code, base::Errc::NotVerified);
  EXPECT_EQ(FixedKeyCipher(2).open(sealed, base::as_bytes("here")).error().code,
            base::Errc::NotVerified);
}

TEST(FixedKeyCipher, SealsEqualRecordsDifferentlyAndEveryRunTheSame) {
  FixedKeyCipher first(7), second(7);
  const auto one = first.seal(base::as_bytes("value"), {});
  const auto two = first.seal(base::as_bytes("value"), {});
  EXPECT_NE(one, two);
  EXPECT_EQ(second.seal(base::as_bytes("value"), {}), one);
  EXPECT_EQ(second.seal(base::as_bytes("value"), {}), two);
}

}  // namespace
}  // namespace hypermesh::at_rest
