#include "rpc/frames.hpp"

#include <gmock/gmock.h>

namespace stoq::rpc {
namespace {

using ::testing::HasSubstr;

base::Bytes bytes(std::string_view hex) {
  return *base::from_hex(hex);
}

FrameDecoder decoder() {
  return FrameDecoder({.head_bytes_max = 64, .message_bytes_max = 100'000, .status_bytes_max = 64});
}

TEST(Varint, IsThatOfQuic) {
  // The examples of RFC 9000, appendix A.1, and the borders.
  const std::pair<std::uint64_t, std::string_view> kCases[] = {
      {151'288'809'941'952'652, "c2197c5eff14e88c"},
      {494'878'333, "9d7f3e7d"},
      {15'293, "7bbd"},
      {37, "25"},
      {0, "00"},
      {63, "3f"},
      {64, "4040"},
      {16'383, "7fff"},
      {16'384, "80004000"},
      {(1u << 30) - 1, "bfffffff"},
      {1u << 30, "c000000040000000"},
      {(std::uint64_t{1} << 62) - 1, "ffffffffffffffff"},
  };
  for (const auto& [value, hex] : kCases) {
    base::Bytes out;
    append_varint(out, value);
    EXPECT_EQ(base::to_hex(out), hex);
    EXPECT_EQ(varint_bytes(value), out.size());
    base::ByteReader in(out);
    EXPECT_EQ(read_varint(in), value);
  }
}

TEST(Frames, HaveTheLayoutOfTheDocument) {
  base::Bytes out;
  const std::string_view text = "hello";
  std::ranges::copy(text, append_frame(out, FrameType::Message, text.size()));
  append_frame(out, FrameType::Status, 1)[0] = 0;
  EXPECT_EQ(base::to_hex(out), "020568656c6c6f030100");
  EXPECT_EQ(out.size(), frame_bytes(5) + frame_bytes(1));
}

TEST(FrameDecoder, GivesTheSameFramesForPiecesOfAnySize) {
  base::Bytes all;
  const std::size_t kSizes[] = {0, 1, 63, 64, 300, 20'000};
  for (const std::size_t size : kSizes) {
    std::uint8_t* at = append_frame(all, FrameType::Message, size);
    for (std::size_t i = 0; i < size; ++i) at[i] = static_cast<std::uint8_t>(i * 7 + size);
  }
  for (const std::size_t piece : {1u, 2u, 3u, 64u, 1000u, 50'000u}) {
    auto frames = decoder();
    std::vector<base::Bytes> got;
    for (std::size_t at = 0; at < all.size(); at += piece) {
      const auto part = base::BytesView(all).subspan(at, std::min(piece, all.size() - at));
      frames.feed(base::Bytes(part.begin(), part.end()));
      for (auto next = frames.next(); next && *next; next = frames.next())
        got.emplace_back((*next)->payload.begin(), (*next)->payload.end());
    }
    ASSERT_EQ(got.size(), std::size(kSizes)) << piece;
    for (std::size_t i = 0; i < got.size(); ++i) {
      EXPECT_EQ(got[i].size(), kSizes[i]);
      for (std::size_t j = 0; j < got[i].size(); ++j)
        ASSERT_EQ(got[i][j], static_cast<std::uint8_t>(j * 7 + kSizes[i]));
    }
    EXPECT_TRUE(frames.end());
  }
}

TEST(FrameDecoder, AWholeFrameIsNotCopied) {
  auto frames = decoder();
  auto piece = bytes("0203616263");
  const auto* at = piece.data();
  frames.feed(std::move(piece));
  EXPECT_EQ((*frames.next())->payload.data(), at + 2);
}

TEST(FrameDecoder, RefusesWhatIsTooLongBeforeItIsThere) {
  auto frames = decoder();
  frames.feed(bytes("0280100000"));  // A message of 1 MiB is announced.
  EXPECT_EQ(frames.next().error().message, "a message of 1048576 bytes; at most 100000 are taken");
  auto heads = decoder();
  heads.feed(bytes("014041"));
  EXPECT_EQ(heads.next().error().code, base::Errc::ResourceExhausted);
}

TEST(FrameDecoder, RefusesUnknownTypes) {
  auto frames = decoder();
  frames.feed(bytes("0900"));
  EXPECT_EQ(frames.next().error().code, base::Errc::DataLoss);
  EXPECT_THAT(frames.next().error().message, HasSubstr("type 9"));
}

TEST(FrameDecoder, AnEndInsideAFrameIsDamage) {
  auto frames = decoder();
  frames.feed(bytes("02056865"));
  EXPECT_FALSE(*frames.next());
  EXPECT_THAT(frames.end().error().message, HasSubstr("4 bytes after its start"));
}

}  // namespace
}  // namespace stoq::rpc
