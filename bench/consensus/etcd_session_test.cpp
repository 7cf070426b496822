#include "etcd_session.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "etcd_answers.hpp"

namespace bench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// How the member answers a request.
struct Answer {
  std::string status = "200";
  base::Bytes body = put_answer(1);
  std::string grpc_status = "0";  ///< Empty: none is sent.
  std::string grpc_message;
  bool reset = false;
};

/// A member that answers as it is told.
class Member {
 public:
  Answer answer;
  std::vector<std::string> paths;

  Member() {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, frame);
    nghttp2_session_server_new(&session_, callbacks, this);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, nullptr, 0);
  }
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;
  ~Member() { nghttp2_session_del(session_); }

  /// Takes what the client sends and gives what comes back.
  base::Bytes exchange(base::BytesView bytes) {
    EXPECT_EQ(nghttp2_session_mem_recv(session_, bytes.data(), bytes.size()),
              static_cast<ssize_t>(bytes.size()));
    base::Bytes out;
    const std::uint8_t* part = nullptr;
    for (ssize_t count = 0; (count = nghttp2_session_mem_send(session_, &part)) > 0;)
      out.insert(out.end(), part, part + count);
    return out;
  }

  void say_farewell() {
    constexpr std::string_view kWhy = "too_many_pings";
    nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, 0, NGHTTP2_ENHANCE_YOUR_CALM,
                          base::as_bytes(kWhy).data(), kWhy.size());
  }

 private:
  static nghttp2_nv field(std::string_view name, std::string_view value) {
    return {reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
            reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(),
            value.size(), NGHTTP2_NV_FLAG_NONE};
  }

  static int header(nghttp2_session*, const nghttp2_frame*, const std::uint8_t* name,
                    std::size_t name_bytes, const std::uint8_t* value, std::size_t value_bytes,
                    std::uint8_t, void* user) {
    if (base::as_text({name, name_bytes}) == ":path")
      static_cast<Member*>(user)->paths.emplace_back(base::as_text({value, value_bytes}));
    return 0;
  }

  static int frame(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
    static_cast<Member*>(user)->reply(session, frame->hd.stream_id);
    return 0;
  }

  void reply(nghttp2_session* session, std::int32_t stream) {
    if (answer.reset) {
      nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream, NGHTTP2_REFUSED_STREAM);
      return;
    }
    left_[stream] = answer.body;
    nghttp2_data_provider body{};
    body.source.ptr = this;
    body.read_callback = [](nghttp2_session* on, std::int32_t id, std::uint8_t* out,
                            std::size_t room, std::uint32_t* flags, nghttp2_data_source* source,
                            void*) -> ssize_t {
      auto& self = *static_cast<Member*>(source->ptr);
      base::Bytes& left = self.left_[id];
      const std::size_t bytes = std::min(room, left.size());
      std::copy_n(left.begin(), bytes, out);
      left.erase(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(bytes));
      if (!left.empty()) return static_cast<ssize_t>(bytes);
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (self.answer.grpc_status.empty()) return static_cast<ssize_t>(bytes);
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      const std::array trailers{field("grpc-status", self.answer.grpc_status),
                                field("grpc-message", self.answer.grpc_message)};
      nghttp2_submit_trailer(on, id, trailers.data(), trailers.size());
      return static_cast<ssize_t>(bytes);
    };
    const std::array headers{field(":status", answer.status),
                             field("content-type", "application/grpc")};
    nghttp2_submit_response(session, stream, headers.data(), headers.size(), &body);
  }

  nghttp2_session* session_ = nullptr;
  std::map<std::int32_t, base::Bytes> left_;
};

class EtcdSessionTest : public testing::Test {
 protected:
  base::Bytes pull() {
    base::Bytes all;
    for (;;) {
      const auto bytes = session_.to_send();
      EXPECT_TRUE(bytes);
      if (!bytes || bytes->empty()) return all;
      // In two parts, as a socket would that is nearly full.
      const std::size_t part = (bytes->size() + 1) / 2;
      all.insert(all.end(), bytes->begin(), bytes->begin() + static_cast<std::ptrdiff_t>(part));
      session_.sent(part);
    }
  }
  base::Result<> exchange() { return session_.receive(member_.exchange(pull())); }

  /// What becomes of one write.
  std::string put() {
    ended_.clear();
    EXPECT_TRUE(session_.begin({.key = key_of(1)}));
    EXPECT_TRUE(exchange());
    return ended_.size() == 1 ? ended_[0] : "(not ended)";
  }

  Member member_;
  std::vector<std::string> ended_;
  EtcdSession session_{"127.0.0.1:2379", [this](const Operation&, const base::Result<>& outcome) {
                         ended_.push_back(outcome ? "good" : outcome.error().describe());
                       }};
};

TEST_F(EtcdSessionTest, AWriteIsAcknowledged) {
  EXPECT_EQ(put(), "good");
  EXPECT_THAT(member_.paths, ElementsAre(kPutPath));
}

TEST_F(EtcdSessionTest, AReadIsAcknowledged) {
  base::Bytes value(kValueBytes);
  std::ranges::copy(key_of(1), value.begin());
  member_.answer.body = range_answer(5, {{key_of(1), value}});
  ASSERT_TRUE(session_.begin({.read = true, .key = key_of(1)}));
  ASSERT_TRUE(exchange());
  EXPECT_THAT(ended_, ElementsAre("good"));
  EXPECT_THAT(member_.paths, ElementsAre(kRangePath));
}

TEST_F(EtcdSessionTest, ManyAtOnceEachEndOnceAndItsPlaceIsUsedAgain) {
  for (int round = 0; round < 3; ++round) {
    ended_.clear();
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(session_.begin({.key = key_of(i)}));
    while (ended_.size() < 100) ASSERT_TRUE(exchange());
    EXPECT_THAT(ended_, testing::Each("good"));
  }
}

TEST_F(EtcdSessionTest, WhatIsNoAcknowledgementFails) {
  member_.answer = {.grpc_status = "14", .grpc_message = "etcdserver: leader changed"};
  EXPECT_THAT(put(), HasSubstr("gRPC status 14: etcdserver: leader changed"));
  member_.answer = {.grpc_status = ""};
  EXPECT_THAT(put(), HasSubstr("without a grpc-status"));
  member_.answer = {.grpc_status = "zero"};
  EXPECT_THAT(put(), HasSubstr("without a grpc-status"));
  member_.answer = {.status = "503"};
  EXPECT_THAT(put(), HasSubstr("HTTP status is 503"));
  member_.answer = {.body = put_answer(0)};
  EXPECT_THAT(put(), HasSubstr("revision"));
  member_.answer = {.body = {}};
  EXPECT_THAT(put(), HasSubstr("0 bytes"));
  member_.answer = {.body = base::Bytes(kAnswerBytesMax + 1)};
  EXPECT_THAT(put(), HasSubstr("more than 4096 bytes"));
  member_.answer = {.reset = true};
  EXPECT_THAT(put(), HasSubstr("REFUSED_STREAM"));
  member_.answer = {};
  EXPECT_EQ(put(), "good");
}

TEST_F(EtcdSessionTest, AFarewellIsTold) {
  EXPECT_EQ(put(), "good");
  member_.say_farewell();
  const auto result = exchange();
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().describe(), HasSubstr("too_many_pings"));
}

TEST_F(EtcdSessionTest, WhatIsNotHttp2EndsTheConnection) {
  (void)pull();
  ASSERT_TRUE(session_.begin({.key = key_of(1)}));
  EXPECT_TRUE(session_.receive(base::as_bytes("HTTP/1.1 400 Bad Request\r\n\r\n")));
  const auto end = session_.to_send();
  ASSERT_FALSE(end);
  EXPECT_THAT(end.error().describe(), HasSubstr("breaks HTTP/2"));
  EXPECT_THAT(ended_, testing::Not(testing::Contains("good")));
}

TEST_F(EtcdSessionTest, AnyByteChangedNeverDoesHarm) {
  ASSERT_TRUE(session_.begin({.key = key_of(1)}));
  const base::Bytes whole = member_.exchange(pull());
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const unsigned flip : {0x01u, 0x80u, 0xffu}) {
      EtcdSession session("127.0.0.1:2379", [](const Operation&, const base::Result<>&) {});
      ASSERT_TRUE(session.begin({.key = key_of(1)}));
      session.sent(session.to_send()->size());
      base::Bytes changed = whole;
      changed[at] ^= static_cast<std::uint8_t>(flip);
      if (session.receive(changed)) (void)session.to_send();
    }
  }
}

}  // namespace
}  // namespace bench
