#include "commands/development.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "testing/home.hpp"

namespace cli {
namespace {

using ::testing::IsSupersetOf;

TEST(Development, TheClusterIsStartedWithTheCallersHomeAndEnvironment) {
  Environment environment;
  environment.variables = {{"HM_HOME", "/srv/dev"},
                           {"STOQ_LISTEN", "[::]:9292"},
                           {"NEXUS_LOG_LEVEL", "debug"},
                           {"HYPERMESH_OCI_RUNTIME", "runc=1.1"}};
  Console console(-1, -1, -1, environment);
  const testing::FixedWallClock clock;
  const Session session(console, environment, clock);
  const dev::DevOptions options = development_options(session);
  EXPECT_EQ(options.home, "/srv/dev");
  EXPECT_THAT(options.environment, IsSupersetOf({"STOQ_LISTEN=[::]:9292", "NEXUS_LOG_LEVEL=debug",
                                                 "HYPERMESH_OCI_RUNTIME=runc=1.1"}));
}

}  // namespace
}  // namespace cli
