#include "rpc/head.hpp"

#include <gmock/gmock.h>

#include <base/error_mapping.hpp>

#include "rpc/frames.hpp"

namespace stoq::rpc {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The payload of the only frame in `bytes`.
base::Bytes payload(const base::Bytes& bytes) {
  FrameDecoder frames({.message_bytes_max = 1000});
  frames.feed(bytes);
  const auto frame = *frames.next();
  return {frame->payload.begin(), frame->payload.end()};
}

Head example() {
  Head head{Kind::ServerStream, "a.B/C", 1500ms, {}};
  for (std::uint8_t i = 0; i < 16; ++i) head.trace.id[i] = i;
  head.trace.span = 0x1122'3344'5566'7788;
  return head;
}

TEST(Head, HasTheLayoutOfTheDocument) {
  base::Bytes out;
  append_head(out, example());
  EXPECT_EQ(base::to_hex(out),
            "0123"
            "02"
            "05612e422f43"
            "8016e360"
            "000102030405060708090a0b0c0d0e0f"
            "1122334455667788");
}

TEST(Head, ComesBack) {
  base::Bytes out;
  append_head(out, example());
  const auto bytes = payload(out);
  const auto head = *decode_head(bytes);
  EXPECT_EQ(head.kind, Kind::ServerStream);
  EXPECT_EQ(head.method, "a.B/C");
  EXPECT_EQ(head.time_left, 1500ms);
  EXPECT_EQ(head.trace.id, example().trace.id);
  EXPECT_EQ(head.trace.span, example().trace.span);
}

TEST(Head, WithoutADeadlineAndWithOneThatIsOver) {
  for (const auto& [left, read] :
       std::vector<std::pair<std::optional<base::Duration>, std::optional<base::Duration>>>{
           {std::nullopt, std::nullopt}, {-5s, 1us}, {0s, 1us}}) {
    auto head = example();
    head.time_left = left;
    base::Bytes out;
    append_head(out, head);
    const auto bytes = payload(out);
    EXPECT_EQ(decode_head(bytes)->time_left, read);
  }
}

TEST(Head, WhatANewerPeerAddsIsPassedOver) {
  base::Bytes out;
  append_head(out, example());
  auto bytes = payload(out);
  bytes.push_back(0x77);
  EXPECT_EQ(decode_head(bytes)->method, "a.B/C");
}

TEST(Head, CutShortAnywhereIsRefused) {
  base::Bytes out;
  append_head(out, example());
  const auto bytes = payload(out);
  for (std::size_t i = 0; i < bytes.size(); ++i)
    EXPECT_FALSE(decode_head(base::BytesView(bytes).first(i))) << i;
}

TEST(Head, RefusesWhatCannotBe) {
  base::Bytes out;
  append_head(out, example());
  const auto good = payload(out);
  auto kind = good;
  kind[0] = 4;
  EXPECT_THAT(decode_head(kind).error().message, HasSubstr("kind 4"));
  auto name = good;
  name[3] = '\n';
  EXPECT_THAT(decode_head(name).error().message, HasSubstr("cannot be shown"));
  base::Bytes nameless{0, 0};
  EXPECT_EQ(decode_head(nameless).error().code, base::Errc::InvalidArgument);
  base::Bytes long_name{0};
  append_varint(long_name, kMethodNameBytesMax + 1);
  EXPECT_THAT(decode_head(long_name).error().message, HasSubstr("at most 200"));
}

base::Result<> round(const base::Error* error) {
  base::Bytes out;
  append_status(out, error);
  const auto bytes = payload(out);
  base::Result<> status;
  EXPECT_TRUE(decode_status(bytes, status));
  return status;
}

TEST(Status, HasTheLayoutOfTheDocument) {
  base::Bytes out;
  append_status(out, nullptr);
  EXPECT_EQ(base::to_hex(out), "030100");
  out.clear();
  const auto error = base::with_hint(base::make_error(base::Errc::NotFound, "no x"), "make one");
  append_status(out, &error);
  EXPECT_EQ(base::to_hex(out),
            "031005046e6f20780108"
            "6d616b65206f6e65");
}

TEST(Status, CarriesCodeMessageCauseAndHints) {
  EXPECT_TRUE(round(nullptr));
  for (int i = 0; i <= static_cast<int>(base::Errc::NotVerified); ++i) {
    auto error = base::make_error(static_cast<base::Errc>(i), "the disk is full");
    error = base::with_hint(base::wrap(std::move(error), "node 7"), "free some space");
    const auto back = round(&error);
    ASSERT_FALSE(back);
    EXPECT_EQ(back.error().code, static_cast<base::Errc>(i));
    EXPECT_EQ(back.error().message, "node 7: the disk is full");
    EXPECT_THAT(back.error().hints, ElementsAre("free some space"));
  }
}

TEST(Status, OfANewerPeerIsInternalAndSaysSo) {
  base::Result<> status;
  ASSERT_TRUE(decode_status(base::Bytes{99, 2, 'n', 'o', 0}, status));
  EXPECT_EQ(status.error().code, base::Errc::Internal);
  EXPECT_EQ(status.error().message, "no");
  EXPECT_THAT(status.error().hints, ElementsAre(HasSubstr("status 99")));
}

TEST(Status, CutsWhatIsTooLongAtACharacter) {
  auto error = base::make_error(base::Errc::Internal,
                                std::string(kStatusMessageBytesMax - 1, 'x') + "\xc3\xa9");
  for (std::size_t i = 0; i < 2 * kStatusHintsMax; ++i)
    error = base::with_hint(std::move(error), std::string(3000, 'h'));
  const auto back = round(&error);
  EXPECT_EQ(back.error().message, std::string(kStatusMessageBytesMax - 1, 'x'));
  EXPECT_EQ(back.error().hints.size(), kStatusHintsMax);
  EXPECT_EQ(back.error().hints[0].size(), kStatusHintBytesMax);
}

TEST(Status, DamageIsRefused) {
  const auto error = base::with_hint(base::make_error(base::Errc::NotFound, "no x"), "make one");
  base::Bytes out;
  append_status(out, &error);
  const auto bytes = payload(out);
  base::Result<> status;
  for (std::size_t i = 0; i < bytes.size(); ++i)
    EXPECT_FALSE(decode_status(base::BytesView(bytes).first(i), status)) << i;
  EXPECT_FALSE(decode_status(base::Bytes{5, 0, 200}, status));
}

}  // namespace
}  // namespace stoq::rpc
