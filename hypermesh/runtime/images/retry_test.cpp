#include "runtime/images/retry.hpp"

#include <gtest/gtest.h>

namespace hypermesh {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Retry, WaitsDoubleUpToTheLimitAndThenEnd) {
  base::SeededRng rng(1);
  RetryState state(
      {.failures_max = 6, .first_wait = milliseconds(100), .wait_max = milliseconds(400)}, rng);
  for (const auto most : {100, 200, 400, 400, 400}) {
    const auto wait = state.failed();
    ASSERT_TRUE(wait);
    EXPECT_GE(*wait, milliseconds(most / 2));
    EXPECT_LE(*wait, milliseconds(most));
  }
  EXPECT_FALSE(state.failed());
  EXPECT_EQ(state.failures(), 6u);
}

TEST(Retry, ProgressStartsAgainButNotForEver) {
  base::SeededRng rng(1);
  RetryState state({.failures_max = 2, .failures_total_max = 10}, rng);
  int tries = 0;
  while (state.failed()) {
    state.progressed();
    ++tries;
  }
  EXPECT_EQ(tries, 9);
}

TEST(Retry, TheServersWishIsKeptUnlessItAsksTooMuch) {
  base::SeededRng rng(1);
  RetryState state({.first_wait = milliseconds(1), .retry_after_max = seconds(60)}, rng);
  EXPECT_EQ(state.failed(seconds(7)), base::Duration(seconds(7)));
  EXPECT_FALSE(state.failed(seconds(61)));
}

}  // namespace
}  // namespace hypermesh
