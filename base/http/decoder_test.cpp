#include "decoder.hpp"

#include <gtest/gtest.h>

namespace base::http {
namespace {

struct Outcome {
  int fault = 0;
  std::string method, target, body, rest;
  bool operator==(const Outcome&) const = default;
  friend void PrintTo(const Outcome& o, std::ostream* out) {
    *out << o.fault << ' ' << o.method << ' ' << o.target << " body=" << o.body
         << " rest=" << o.rest;
  }
};

// Feeds `bytes` in pieces of `piece` and reads the body as a handler would.
Outcome decode(std::string_view bytes, std::size_t piece, DecoderLimits limits = {}) {
  Decoder decoder(Decoder::Kind::Request, limits);
  Outcome outcome;
  bool body = false;
  while (!bytes.empty()) {
    auto fed = decoder.feed(bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
    if (fed && decoder.head_done() && !body) {
      body = true;
      fed = decoder.go_on_to_body();
    }
    outcome.body += decoder.take_body();
    if (!fed) {
      outcome.fault = fed.error().status;
      return outcome;
    }
  }
  if (!decoder.done()) outcome.fault = -1;
  outcome.method = decoder.request().method;
  outcome.target = decoder.request().target;
  outcome.rest = decoder.take_rest();
  return outcome;
}

struct Case {
  const char* name;
  std::string bytes;
  Outcome outcome;
};

const std::vector<Case> kCases = {
    {"WithoutBody", "GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n", {0, "GET", "/a?b", "", ""}},
    {"WithLength",
     "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
     {0, "PUT", "/", "abc", ""}},
    {"TheNextRequestStays",
     "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET",
     {0, "PUT", "/", "abc", "GET"}},
    {"Chunked",
     "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
     "chunked\r\n\r\n3;x=y\r\nabc\r\n1\r\nd\r\n0\r\n\r\n",
     {0, "PUT", "/", "abcd", ""}},
    {"TrailersChangeNothing",
     "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nAuthorization: y\r\n\r\n",
     {0, "PUT", "/", "", ""}},
    {"Cut",
     "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nabc",
     {-1, "PUT", "/", "abc", ""}},
    {"TwoLengths",
     "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
     {400}},
    {"LengthAndChunks",
     "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
     {400}},
    {"ForeignCoding",
     "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
     {501}},
    {"BadChunkSize",
     "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc",
     {400}},
    {"HugeChunkSize",
     "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffffff\r\n",
     {400}},
    {"BadChunkEnd",
     "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n",
     {400, "", "", "a"}},
    {"NoHost", "GET / HTTP/1.1\r\n\r\n", {400}},
    {"TwoHosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", {400}},
    {"Version2", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", {400}},
    {"Garbage", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a b\r\n\r\n", 19), {400}},
    {"SpaceInFieldName", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", {400}},
};

TEST(Decoder, ReadsTheSameHoweverTheBytesAreCut) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    for (std::size_t piece : {1uz, 2uz, 3uz, 7uz, 64uz, 4096uz}) {
      Outcome outcome = decode(c.bytes, piece);
      Outcome wanted = c.outcome;
      if (outcome.fault > 0 && outcome.fault == wanted.fault) outcome = wanted;
      // Bytes of the next request are handed over in the pieces in which they came.
      EXPECT_EQ(outcome, wanted) << "in pieces of " << piece;
    }
  }
}

TEST(Decoder, HoldsItsLimits) {
  const DecoderLimits limits{
      .target_bytes_max = 100, .header_bytes_max = 400, .chunk_line_bytes_max = 64};
  for (std::size_t piece : {1uz, 13uz, 4096uz}) {
    EXPECT_EQ(
        decode("GET /" + std::string(150, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n", piece, limits)
            .fault,
        414);
    EXPECT_EQ(decode("GET /" + std::string(5000, 'a'), piece, limits).fault, 414);
    EXPECT_EQ(
        decode("GET / HTTP/1.1\r\nHost: x\r\nA: " + std::string(5000, 'a'), piece, limits).fault,
        431);
    std::string many = "GET / HTTP/1.1\r\nHost: x\r\n";
    for (int i = 0; i < 200; ++i) many += "A: b\r\n";
    EXPECT_EQ(decode(many, piece, limits).fault, 431);
    EXPECT_EQ(decode("PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;" +
                         std::string(5000, 'a'),
                     piece, limits)
                  .fault,
              400);
  }
}

TEST(Decoder, KnowsAWebSocketRequest) {
  Decoder decoder(Decoder::Kind::Request, {});
  ASSERT_TRUE(decoder.feed(
      "GET /x HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\nmore"));
  EXPECT_TRUE(decoder.request().web_socket);
  EXPECT_EQ(decoder.take_rest(), "more");
}

TEST(Decoder, AnAnswerWithoutLengthEndsWithItsConnection) {
  Decoder decoder(Decoder::Kind::Response, {});
  ASSERT_TRUE(decoder.feed("HTTP/1.1 200 OK\r\n\r\nabc"));
  ASSERT_TRUE(decoder.go_on_to_body());
  EXPECT_EQ(decoder.take_body(), "abc");
  EXPECT_FALSE(decoder.done());
  ASSERT_TRUE(decoder.end());
  EXPECT_TRUE(decoder.done());
}

TEST(Message, AFieldCannotForgeAnother) {
  EXPECT_EQ(format_response_head(200, {{"A", "b\r\nC: d"}}),
            "HTTP/1.1 200 OK\r\nA: b  C: d\r\n\r\n");
  EXPECT_EQ(format_request_head("GET", "/a b\r\nX: y", {}), "GET /a+b++X:+y HTTP/1.1\r\n\r\n");
}

TEST(Message, TokensAreComparedWithoutCaseAndSpace) {
  const Headers headers{{"Accept", "text/html , Application/JSON"}, {"accept", "x"}};
  EXPECT_TRUE(headers.has_token("ACCEPT", "application/json"));
  EXPECT_TRUE(headers.has_token("Accept", "X"));
  EXPECT_FALSE(headers.has_token("Accept", "json"));
}

}  // namespace
}  // namespace base::http
