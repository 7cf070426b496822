#include "state/transfer_sources.hpp"

#include <gtest/gtest.h>

#include <array>

namespace hypermesh::state {
namespace {

using namespace std::chrono_literals;
using Sources = TransferSources<char>;
using Asked = Sources::Asked;
using base::Errc;

std::string choices(Sources& sources, int count) {
  std::string chosen;
  for (int i = 0; i < count; ++i) {
    if (const auto asked = sources.choose()) chosen += asked->source;
  }
  return chosen;
}

TEST(TransferSources, TheWorkIsShared) {
  Sources sources;
  sources.begin(std::array{'a', 'b', 'c'});
  EXPECT_EQ(choices(sources, 7), "abcabca");
  EXPECT_TRUE(sources.on_answer({'b', sources.transfer()}, {}));
  EXPECT_EQ(choices(sources, 2), "bb");
}

TEST(TransferSources, WhoWasSilentIsAskedLastInTheNextTransferToo) {
  Sources sources;
  sources.begin(std::array{'a', 'b'});
  const Asked asked = *sources.choose();
  EXPECT_EQ(asked.source, 'a');
  sources.on_silent(asked);
  EXPECT_EQ(choices(sources, 3), "bbb");
  sources.begin(std::array{'a', 'b', 'c'});
  EXPECT_EQ(choices(sources, 4), "bcbc");
}

TEST(TransferSources, SilenceInATransferThatWasGivenUpCounts) {
  Sources sources;
  sources.begin(std::array{'a', 'b'});
  const Asked asked = *sources.choose();
  sources.begin(std::array{'a', 'b'});
  sources.on_silent(asked);
  EXPECT_EQ(choices(sources, 2), "bb");
}

TEST(TransferSources, WhoIsSilentAgainAndAgainIsLeftAloneUntilTheNextTransfer) {
  Sources sources;
  sources.begin(std::array{'a'});
  for (int i = 0; i < 4; ++i) {
    const auto asked = sources.choose();
    ASSERT_TRUE(asked);
    sources.on_silent(*asked);
  }
  EXPECT_FALSE(sources.choose());
  sources.begin(std::array{'a'});
  EXPECT_TRUE(sources.choose());
}

TEST(TransferSources, WhoNoLongerKeepsACheckpointMayKeepTheNext) {
  Sources sources;
  sources.begin(std::array{'a', 'b'});
  EXPECT_TRUE(sources.on_answer(*sources.choose(), base::fail(Errc::NotFound, "gone")));
  EXPECT_EQ(choices(sources, 2), "bb");
  sources.begin(std::array{'a', 'b'});
  EXPECT_EQ(choices(sources, 2), "ab");
}

TEST(TransferSources, NobodyIsToBlameForOurOwnDisk) {
  Sources sources;
  sources.begin(std::array{'a'});
  EXPECT_FALSE(sources.on_answer(*sources.choose(), base::fail(Errc::ResourceExhausted, "full")));
  EXPECT_TRUE(sources.choose());
}

TEST(TransferSources, WhoSentSomethingWrongIsAskedAfterAllOthers) {
  Sources sources;
  sources.begin(std::array{'a', 'b'});
  EXPECT_TRUE(sources.on_answer(*sources.choose(), base::fail(Errc::NotVerified, "a lie")));
  for (int i = 0; i < 3; ++i) sources.on_silent(*sources.choose());
  sources.begin(std::array{'a', 'b'});
  EXPECT_EQ(choices(sources, 3), "bbb");
}

TEST(TransferSources, ThoseWhoNeverAnsweredAreNotWaitedForLong) {
  Sources sources;
  sources.begin(std::array{'a'});
  EXPECT_EQ(sources.patience('a'), 1s);
  sources.on_silent(*sources.choose());
  EXPECT_EQ(sources.patience('a'), 2s);
  sources.on_silent(*sources.choose());
  sources.on_silent(*sources.choose());
  EXPECT_EQ(sources.patience('a'), 8s);
  // Slow, but it answers.
  EXPECT_TRUE(sources.on_answer(*sources.choose(), {}));
  EXPECT_EQ(sources.patience('a'), 10s);
}

}  // namespace
}  // namespace hypermesh::state
