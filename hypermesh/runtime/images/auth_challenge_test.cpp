#include "runtime/images/auth_challenge.hpp"

#include <gtest/gtest.h>

namespace hypermesh {
namespace {

TEST(AuthChallenge, ReadsWhatRegistriesSend) {
  const auto one = parse_www_authenticate(
      R"(Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push")");
  ASSERT_TRUE(one) << one.error().describe();
  ASSERT_EQ(one->size(), 1u);
  EXPECT_EQ((*one)[0].scheme, "bearer");
  EXPECT_EQ((*one)[0].parameters.at("realm"), "https://auth.docker.io/token");
  EXPECT_EQ((*one)[0].parameters.at("scope"), "repository:a/b:pull,push");

  const auto basic = parse_www_authenticate("Basic realm=\"a \\\"b\\\" c\"");
  ASSERT_TRUE(basic);
  EXPECT_EQ((*basic)[0].parameters.at("realm"), "a \"b\" c");
}

TEST(AuthChallenge, ReadsSeveralInOneField) {
  const auto all = parse_www_authenticate(
      R"(Negotiate, NTLM abc/+==, Basic realm="x" , BEARER Realm=y , Service = "z")");
  ASSERT_TRUE(all) << all.error().describe();
  ASSERT_EQ(all->size(), 4u);
  EXPECT_EQ((*all)[0].scheme, "negotiate");
  EXPECT_EQ((*all)[1].token68, "abc/+==");
  EXPECT_EQ((*all)[2].parameters.at("realm"), "x");
  EXPECT_EQ((*all)[3].scheme, "bearer");
  EXPECT_EQ((*all)[3].parameters.at("realm"), "y");
  EXPECT_EQ((*all)[3].parameters.at("service"), "z");
}

TEST(AuthChallenge, MalformedFieldsAreRefused) {
  for (const std::string& text : std::vector<std::string>{
           "", ",", "Bearer realm=\"x", "Bearer realm=\"x\" y=\"z\"", "Bearer realm=x,realm=y",
           "=x", "Bearer\trealm=x", "Bearer realm=\"a\nb\"", "\"x\"", std::string(9000, 'a'),
           "A,B,C,D,E,F,G,H,I"}) {
    EXPECT_FALSE(parse_www_authenticate(text)) << text.substr(0, 60);
  }
}

}  // namespace
}  // namespace hypermesh
