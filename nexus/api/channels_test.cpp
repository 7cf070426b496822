#include "api/channels.hpp"

#include <gtest/gtest.h>

#include "api/status_reader.hpp"

namespace nexus::api {
namespace {

base::Bytes bytes(std::string_view text) {
  const auto view = base::as_bytes(text);
  return {view.begin(), view.end()};
}

TEST(Channels, WhatIsEncodedIsDecoded) {
  const auto data = encode_channel_data(Channel::ErrorOutput, base::as_bytes("abc"));
  const auto decoded = decode_channel_message(data);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(std::get<ChannelData>(*decoded).channel, Channel::ErrorOutput);
  EXPECT_EQ(base::as_text(std::get<ChannelData>(*decoded).data), "abc");

  const auto size = decode_channel_message(encode_channel_resize(24, 80));
  ASSERT_TRUE(size);
  EXPECT_EQ(std::get<ChannelResize>(*size).rows, 24);
  EXPECT_EQ(std::get<ChannelResize>(*size).columns, 80);

  EXPECT_EQ(encode_channel_end(Channel::Input), (base::Bytes{255, 0}));
  const auto end = decode_channel_message(base::Bytes{255, 0});
  ASSERT_TRUE(end);
  EXPECT_EQ(std::get<ChannelEnd>(*end).channel, Channel::Input);
}

TEST(Channels, WhatIsNoMessageIsRefused) {
  for (const char* text :
       {"", "\x05x", "\xff", "\xff\x09", "\x04", "\x04{}", "\x04{\"Width\":-1,\"Height\":1}",
        "\x04{\"Width\":70000,\"Height\":1}", "\x04[1,2]"}) {
    EXPECT_FALSE(decode_channel_message(bytes(text))) << text;
  }
  EXPECT_FALSE(decode_channel_message(
      bytes("\x04{\"Width\":1,\"Height\":1," + std::string(300, ' ') + "\"x\":1}")));
}

TEST(Channels, AnOutcomeIsAnExitCodeOrAnError) {
  for (int code : {0, 1, 137, 255})
    EXPECT_EQ(decode_outcome(base::as_bytes(encode_outcome(code))), code);
  const auto refused = decode_outcome(base::as_bytes(
      R"({"status":"Failure","reason":"NotFound","message":"no sh","code":404,"errc":"NotFound","hints":["try ash"]})"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, base::Errc::NotFound);
  EXPECT_EQ(refused.error().hints, std::vector<std::string>{"try ash"});
  EXPECT_EQ(decode_outcome(base::as_bytes("boo")).error().code, base::Errc::DataLoss);
  EXPECT_EQ(decode_outcome(base::as_bytes("{}")).error().code, base::Errc::DataLoss);
}

TEST(Channels, TheBestProtocolIsChosen) {
  EXPECT_EQ(choose_channel_protocol("v4.channel.k8s.io, v5.channel.k8s.io"), kChannelProtocolV5);
  EXPECT_EQ(choose_channel_protocol("channel.k8s.io,v4.channel.k8s.io"), kChannelProtocolV4);
  EXPECT_EQ(choose_channel_protocol("SPDY/3.1"), "");
  EXPECT_EQ(choose_channel_protocol(""), "");
}

TEST(StatusReader, UnderstandsOtherServers) {
  const auto status =
      read_status(R"({"status":"Failure","reason":"AlreadyExists","code":409,"message":"m"})");
  ASSERT_TRUE(status);
  EXPECT_EQ(status->error.code, base::Errc::AlreadyExists);
  EXPECT_EQ(read_status(R"({"status":"Failure","code":410})")->error.code,
            base::Errc::FailedPrecondition);
  EXPECT_FALSE(read_status("[]"));
  EXPECT_FALSE(read_status(R"({"kind":"Pod","status":{}})"));
}

}  // namespace
}  // namespace nexus::api
