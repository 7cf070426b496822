#include "runtime/core/container_image.hpp"

#include <gtest/gtest.h>

namespace hypermesh::keeper {
namespace {

using Words = std::vector<std::string>;

ImageConfig image() {
  ImageConfig config;
  config.entrypoint = {"/entry"};
  config.command = {"serve"};
  config.env = {"PATH=/bin", "A=image"};
  config.working_directory = "/srv";
  config.user = "web";
  return config;
}

TEST(Combine, CommandReplacesBothAndArgsOnlyTheImagesCommand) {
  nexus::ContainerSpec spec;
  EXPECT_EQ(combine(spec, image())->args, (Words{"/entry", "serve"}));
  spec.args = {"other"};
  EXPECT_EQ(combine(spec, image())->args, (Words{"/entry", "other"}));
  spec.command = {"/own"};
  EXPECT_EQ(combine(spec, image())->args, (Words{"/own", "other"}));
  spec.args.clear();
  EXPECT_EQ(combine(spec, image())->args, Words{"/own"});
  EXPECT_EQ(combine({}, {}).error().code, base::Errc::InvalidArgument);
}

TEST(Combine, TheContainersVariablesReplaceTheImagesInTheirPlace) {
  nexus::ContainerSpec spec;
  spec.env = {{"A", "own"}, {"B", "x=y"}, {"B", "z"}};
  EXPECT_EQ(combine(spec, image())->env, (Words{"PATH=/bin", "A=own", "B=z"}));
  EXPECT_EQ(combine(spec, image())->working_directory, "/srv");
  spec.working_directory = "/tmp";
  EXPECT_EQ(combine(spec, image())->working_directory, "/tmp");
}

TEST(Combine, StopSignalsHaveNamesAndNumbers) {
  EXPECT_EQ(*signal_number("SIGQUIT"), 3);
  EXPECT_EQ(*signal_number("TERM"), 15);
  EXPECT_EQ(*signal_number("9"), 9);
  EXPECT_EQ(*signal_number("SIGRTMIN+3"), 37);
  EXPECT_EQ(*signal_number("RTMIN"), 34);
  for (const char* bad : {"", "0", "65", "-1", "SIGNOPE", "SIGRTMIN+99", "15 ", "sigterm"})
    EXPECT_FALSE(signal_number(bad)) << bad;
  ImageConfig config = image();
  config.stop_signal = "SIGBOGUS";
  EXPECT_EQ(combine({}, config).error().code, base::Errc::InvalidArgument);
}

}  // namespace
}  // namespace hypermesh::keeper
