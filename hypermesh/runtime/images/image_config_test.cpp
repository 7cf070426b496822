#include "runtime/images/image_config.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace hypermesh {
namespace {

const std::string kDiff = "sha256:" + std::string(64, 'd');
std::string config(std::string_view run) {
  return fmt::format(
      R"({{"os":"linux","architecture":"amd64","rootfs":{{"type":"layers","diff_ids":["{}"]}}{}}})",
      kDiff, run);
}

TEST(ImageConfig, ReadsHowToRun) {
  const auto parsed = parse_image_config(
      config(
          R"(,"created":"2026-01-02T03:04:05.5Z","config":{"Entrypoint":["/bin/x","-a"],"Cmd":null,"Env":["PATH=/bin","E="],
        "User":"web:staff","WorkingDir":"/srv","StopSignal":"SIGQUIT","ExposedPorts":{"8080/tcp":{},"53/udp":{}},
        "Volumes":{"/data":{}},"Labels":{"a":"b"}},"history":[{"created_by":"x"}])"),
      "c");
  ASSERT_TRUE(parsed) << parsed.error().describe();
  EXPECT_EQ(parsed->entrypoint, (std::vector<std::string>{"/bin/x", "-a"}));
  EXPECT_TRUE(parsed->command.empty());
  EXPECT_EQ(parsed->env, (std::vector<std::string>{"PATH=/bin", "E="}));
  EXPECT_EQ(parsed->user, "web:staff");
  EXPECT_EQ(parsed->working_directory, "/srv");
  EXPECT_EQ(parsed->stop_signal, "SIGQUIT");
  EXPECT_EQ(parsed->exposed_ports, (std::vector<std::string>{"53/udp", "8080/tcp"}));
  EXPECT_EQ(parsed->diff_ids.at(0).text(), kDiff);
  EXPECT_TRUE(parsed->created.has_value());
}

TEST(ImageConfig, EverythingButPlatformAndLayersMayBeMissing) {
  EXPECT_TRUE(parse_image_config(config(""), "c"));
  EXPECT_TRUE(parse_image_config(config(R"(,"created":"yesterday","config":null)"), "c"));
}

TEST(ImageConfig, MistakesAreNamed) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"{}", "os is missing"},
      {R"({"os":"linux","architecture":"amd64"})", "rootfs is missing"},
      {R"({"os":"windows","architecture":"amd64"})", "only linux"},
      {R"({"os":"linux","architecture":"amd64","rootfs":{"type":"x"}})", "must be \"layers\""},
      {R"({"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["x"]}})",
       "diff_ids[0]"},
      {config(R"(,"config":{"Env":["nothing"]})"),
       "config.Env[0] is \"nothing\"; must be NAME=VALUE"},
      {config(R"(,"config":{"Cmd":"sh"})"), "config.Cmd is string; must be an array"},
      {config(R"(,"config":{"Entrypoint":["a\u0000b"]})"), "config.Entrypoint[0] holds a NUL"},
      {config(R"(,"config":{"User":7})"), "config.User is number; must be a string"},
  };
  for (const auto& [text, why] : cases) {
    const auto parsed = parse_image_config(text, "c");
    ASSERT_FALSE(parsed) << text;
    EXPECT_NE(parsed.error().message.find(why), std::string::npos) << parsed.error().message;
  }
}

TEST(ImageConfig, ChainIdsFollowTheSpecification) {
  const ContentDigest a = digest_of("a"), b = digest_of("b"), c = digest_of("c");
  const auto chain = chain_ids({a, b, c});
  ASSERT_EQ(chain.size(), 3u);
  EXPECT_EQ(chain[0], a);
  EXPECT_EQ(chain[1], digest_of(a.text() + " " + b.text()));
  EXPECT_EQ(chain[2], digest_of(chain[1].text() + " " + c.text()));
}

}  // namespace
}  // namespace hypermesh
