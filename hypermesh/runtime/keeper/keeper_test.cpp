#include <gmock/gmock.h>

#include "runtime/keeper/testing/keeper_fixture.hpp"

namespace hypermesh::keeper {
namespace {

using nexus::ContainerState;
using nexus::DriverEvent;
using ::testing::HasSubstr;

class KeeperTest : public testing::KeeperFixture {};

TEST_F(KeeperTest, AContainerRunsWritesAndEnds) {
  const auto pod = ask_for<nexus::PodStatus>(CreatePod{pod_spec()});
  EXPECT_TRUE(pod.ready);
  const auto started = ask_for<nexus::ContainerStatus>(script("echo out; echo err >&2; exit 7"));
  EXPECT_EQ(started.id.name, "main");
  const auto ended = wait_for_exit();
  EXPECT_EQ(ended.exit_code, 7);
  EXPECT_EQ(ended.state, ContainerState::Exited);
  EXPECT_THAT(log_of(), HasSubstr("out\n"));
  EXPECT_THAT(log_of(), HasSubstr("stderr:err\n"));
  ask_for<Done>(RemovePod{"pod-1"});
}

}  // namespace
}  // namespace hypermesh::keeper
