#include "runtime/images/reference.hpp"

#include <gtest/gtest.h>

namespace hypermesh {
namespace {

const std::string kHex(64, 'a');

struct Good {
  std::string text, canonical;
};

TEST(Reference, IsCompletedAsDockerCompletesIt) {
  const std::vector<Good> cases = {
      {"nginx", "docker.io/library/nginx:latest"},
      {"nginx:1.27", "docker.io/library/nginx:1.27"},
      {"team/web", "docker.io/team/web:latest"},
      {"docker.io/nginx", "docker.io/library/nginx:latest"},
      {"index.docker.io/nginx:1", "docker.io/library/nginx:1"},
      {"localhost/web", "localhost/web:latest"},
      {"localhost:5000/web:2", "localhost:5000/web:2"},
      {"127.0.0.1:5000/web:2", "127.0.0.1:5000/web:2"},
      {"[::1]:5000/x", "[::1]:5000/x:latest"},
      {"[2001:DB8::1]/a/b:t", "[2001:db8::1]/a/b:t"},
      {"Registry.Example.org/web", "registry.example.org/web:latest"},
      {"example.org/a__b/c--d/e.f:T_1.x-y", "example.org/a__b/c--d/e.f:T_1.x-y"},
      {"nginx@sha256:" + kHex, "docker.io/library/nginx@sha256:" + kHex},
      {"[::1]:5000/x:1@sha256:" + kHex, "[::1]:5000/x:1@sha256:" + kHex},
  };
  for (const auto& c : cases) {
    const auto parsed = parse_reference(c.text);
    ASSERT_TRUE(parsed) << c.text << ": " << parsed.error().describe();
    EXPECT_EQ(parsed->text(), c.canonical) << c.text;
    const auto again = parse_reference(parsed->text());
    ASSERT_TRUE(again) << parsed->text();
    EXPECT_EQ(*again, *parsed) << c.text;
  }
}

TEST(Reference, BadNamesAreRefusedWithTheReason) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "it is empty"},
      {"https://nginx", "it is a URL"},
      {"Nginx", "upper-case"},
      {"nginx:", "is not a tag"},
      {"nginx:-x", "is not a tag"},
      {"nginx:" + std::string(129, 'x'), "is not a tag"},
      {"a..b", "is not a part of a repository's name"},
      {"a___b", "is not a part of a repository's name"},
      {"a/", "is not a part of a repository's name"},
      {"/a", "is not a part of a repository's name"},
      {"a b", "is not a part of a repository's name"},
      {"../../etc", "is not a host name"},
      {"x/../etc", "is not a part of a repository's name"},
      {"host.example:99999/x", "port 99999 is not in 1 to 65535"},
      {"host.example:0/x", "port 0"},
      {"host.example:/x", "is not a port number"},
      {"[::1/x", "\"[\" without \"]\""},
      {"[::1]x/x", "follows the address"},
      {"[1::2::3]/x", "is not an IPv6 address"},
      {"[fe80::1%eth0]/x", "is not an IPv6 address"},
      {"nginx@sha256:abc", "64 lower-case hex digits"},
      {"nginx@md5:abc", "not supported"},
      {"nginx@", "is not a digest"},
      {kHex, "an id, not a name"},
      {"docker.io/", "the repository is missing"},
      {"-a.example/x", "is not a host name"},
      {std::string(2000, 'a'), "at most 1024"},
      {std::string(300, 'a'), "more than 255"},
  };
  for (const auto& [text, why] : cases) {
    const auto parsed = parse_reference(text);
    ASSERT_FALSE(parsed) << text << " -> " << parsed->text();
    EXPECT_NE(parsed.error().message.find(why), std::string::npos) << parsed.error().message;
  }
}

TEST(Reference, OnlyLoopbackLiteralsAndLocalhostAreLoopback) {
  for (const char* host :
       {"localhost", "127.0.0.1", "127.255.1.2", "::1", "0:0:0:0:0:0:0:1", "::0001"}) {
    EXPECT_TRUE(is_loopback_host(host)) << host;
  }
  for (const char* host : {"localhost.example.org", "127.0.0.1.example.org", "127.1", "0177.0.0.1",
                           "128.0.0.1", "::2", "::", "::ffff:127.0.0.1", "1::1", "10.0.0.1",
                           "localhost.", "", "0x7f.0.0.1", "127.0.0.1 "}) {
    EXPECT_FALSE(is_loopback_host(host)) << host;
  }
}

TEST(Reference, AddressOfARegistry) {
  const auto hub = registry_address("docker.io");
  ASSERT_TRUE(hub);
  EXPECT_EQ(hub->authority(), "registry-1.docker.io");
  EXPECT_FALSE(hub->loopback);
  const auto six = registry_address("[::1]:5000");
  ASSERT_TRUE(six);
  EXPECT_EQ(six->host, "::1");
  EXPECT_EQ(six->port, 5000);
  EXPECT_EQ(six->authority(), "[::1]:5000");
  EXPECT_TRUE(six->loopback);
}

}  // namespace
}  // namespace hypermesh
