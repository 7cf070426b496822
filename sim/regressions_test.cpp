#include <gtest/gtest.h>

#include "sim/scenarios.hpp"

namespace sim {
namespace {

class Regression : public testing::TestWithParam<Scenario> {};

TEST_P(Regression, Holds) {
  EXPECT_EQ(GetParam().run(), "") << "as in " << GetParam().source;
}

std::string name(const testing::TestParamInfo<Scenario>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(Views, Regression, testing::ValuesIn(view_scenarios()), name);
INSTANTIATE_TEST_SUITE_P(Restarts, Regression, testing::ValuesIn(restart_scenarios()), name);
INSTANTIATE_TEST_SUITE_P(Checkpoints, Regression, testing::ValuesIn(checkpoint_scenarios()), name);
INSTANTIATE_TEST_SUITE_P(Epochs, Regression, testing::ValuesIn(epoch_scenarios()), name);
INSTANTIATE_TEST_SUITE_P(FastPath, Regression, testing::ValuesIn(fast_path_scenarios()), name);
INSTANTIATE_TEST_SUITE_P(Versions, Regression, testing::ValuesIn(version_scenarios()), name);

}  // namespace
}  // namespace sim
