#include <gtest/gtest.h>

#include <api_client/client.hpp>

namespace api_client {
namespace {

TEST(RequestText, EverythingUnusualIsEncoded) {
  EXPECT_EQ(path({"api", "v1", "a b/c"}), "/api/v1/a%20b%2Fc");
  EXPECT_EQ(target("/x", {{"labelSelector", "a in (b,c)"}, {"empty", ""}, {"é", "&"}}),
            "/x?labelSelector=a%20in%20%28b%2Cc%29&%C3%A9=%26");
  EXPECT_EQ(target("/x?a=b", {{"c", "d"}}), "/x?a=b&c=d");
  EXPECT_EQ(target("/x", {}), "/x");
}

TEST(Response, ReadsItsHeaders) {
  const Response response{
      200,
      {{"X-Trace-Id", "t1"},
       {"Warning", R"(299 - "a \"quoted\" note")"},
       {"Warning", R"(299 - "second")"},
       {"HyperMesh-Changed", "false"},
       {"HyperMesh-Receipt",
        R"({"sequence":42,"treeSize":43,"root":"ab","signatures":1,"voters":1})"}},
      ""};
  EXPECT_EQ(response.trace_id(), "t1");
  EXPECT_FALSE(response.changed());
  EXPECT_EQ(response.warnings(), (std::vector<std::string>{"a \"quoted\" note", "second"}));
  ASSERT_TRUE(response.receipt());
  EXPECT_EQ(response.receipt()->sequence, 42u);
  EXPECT_EQ(response.receipt()->tree_size, 43u);
  EXPECT_FALSE(parse_receipt("x"));
  EXPECT_FALSE(parse_receipt("{}"));
}

TEST(Failure, WhatIsNoStatusIsQuoted) {
  const Failure failure = failure_of(502, "<html>bad gateway</html>");
  EXPECT_EQ(failure.error.code, base::Errc::Internal);
  EXPECT_EQ(failure.error.message, "the server answered 502: <html>bad gateway</html>");
}

}  // namespace
}  // namespace api_client
