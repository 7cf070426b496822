#include "runtime/images/auth_config.hpp"

#include <gtest/gtest.h>

namespace hypermesh {
namespace {

std::optional<RegistrySecret> find(const AuthConfig& config, std::string_view reference) {
  return config.find(*parse_reference(reference));
}

TEST(AuthConfig, ReadsWhatDockerLoginWrites) {
  const auto config = AuthConfig::parse(R"({"auths":{
      "https://index.docker.io/v1/":{"auth":"dXNlcjpwYTpzcw=="},
      "Registry.example.org:5000":{"username":"u","password":"p"},
      "registry.example.org:5000/team":{"username":"t","password":"q"},
      "[::1]:5000":{"identitytoken":"tok"},
      "empty.example.org":{}},
      "credsStore":"desktop","HttpHeaders":{}})");
  ASSERT_TRUE(config) << config.error().describe();
  EXPECT_EQ(config->size(), 4u);
  EXPECT_EQ(find(*config, "nginx"), (RegistrySecret{"user", "pa:ss", ""}));
  EXPECT_EQ(find(*config, "registry.example.org:5000/x")->user, "u");
  EXPECT_EQ(find(*config, "registry.example.org:5000/team/x")->user, "t");
  EXPECT_EQ(find(*config, "registry.example.org:5000/teams/x")->user, "u");
  EXPECT_EQ(find(*config, "[::1]:5000/x")->identity_token, "tok");
  EXPECT_FALSE(find(*config, "empty.example.org/x"));
  EXPECT_FALSE(find(*config, "other.example.org/x"));
}

TEST(AuthConfig, ReadsTheOlderFormWithoutAuths) {
  const auto config = AuthConfig::parse(R"({"example.org":{"auth":"YTpi","email":"x@y"}})");
  ASSERT_TRUE(config);
  EXPECT_EQ(find(*config, "example.org/x")->password, "b");
}

TEST(AuthConfig, MalformedOnesAreRefusedWithoutShowingSecrets) {
  for (const char* text :
       {"", "[]", R"({"auths":[]})", R"({"auths":{"a":"b"}})",
        R"({"auths":{"a":{"auth":"!!c2VjcmV0"}}})", R"({"auths":{"a":{"auth":"c2VjcmV0"}}})",
        R"({"auths":{"a":{"username":"secret\r\nx","password":"p"}}})", R"({"credsStore":"x"})"}) {
    const auto config = AuthConfig::parse(text);
    ASSERT_FALSE(config) << text;
    EXPECT_EQ(config.error().describe().find("c2VjcmV0"), std::string::npos);
    EXPECT_EQ(config.error().describe().find("secret\r"), std::string::npos);
  }
}

}  // namespace
}  // namespace hypermesh
