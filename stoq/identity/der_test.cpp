#include "identity/der.hpp"

#include <gtest/gtest.h>

namespace stoq {
namespace {

TEST(DerReader, WalksFromElementToElement) {
  const base::Bytes bytes = *base::from_hex("30030201050401ff");
  DerReader outer(bytes);
  const auto sequence = *outer.next(DerReader::kSequence);
  EXPECT_EQ(base::to_hex(sequence.whole), "3003020105");
  DerReader inner(sequence.content);
  EXPECT_EQ(base::to_hex(inner.next(DerReader::kInteger)->content), "05");
  EXPECT_TRUE(inner.done());
  EXPECT_FALSE(inner.next());
  EXPECT_FALSE(outer.next(DerReader::kInteger));
  EXPECT_TRUE(outer.done());
}

TEST(DerReader, ReadsLongLengths) {
  for (const std::size_t size : {127u, 128u, 255u, 256u, 65'535u, 65'536u}) {
    base::Bytes bytes{DerReader::kOctetString};
    int count = 0;
    for (std::size_t rest = size; rest > 0 && size >= 128; rest >>= 8) ++count;
    if (count > 0) bytes.push_back(static_cast<std::uint8_t>(0x80 | count));
    for (int i = std::max(count, 1); i > 0; --i)
      bytes.push_back(static_cast<std::uint8_t>(size >> (8 * (i - 1))));
    bytes.resize(bytes.size() + size);
    const auto element = DerReader(bytes).next();
    ASSERT_TRUE(element) << size;
    EXPECT_EQ(element->content.size(), size);
    bytes.pop_back();
    EXPECT_FALSE(DerReader(bytes).next()) << size;
  }
}

TEST(DerReader, RefusesWhatIsNotDer) {
  for (const char* hex : {"", "30", "3080", "308100", "30817f", "3082007f", "30840000000100",
                          "3001", "1f0100", "3082"}) {
    const base::Bytes bytes = *base::from_hex(hex);
    EXPECT_FALSE(DerReader(bytes).next()) << hex;
  }
}

}  // namespace
}  // namespace stoq
