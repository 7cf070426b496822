#include "rpc/link.hpp"

#include <gmock/gmock.h>

#include <base/testing/manual_clock.hpp>

namespace stoq::rpc {
namespace {

using namespace std::chrono_literals;
using base::Errc;
using ::testing::HasSubstr;

// A link in virtual time, which writes down what it is to do.
class Script {
 public:
  explicit Script(std::uint64_t seed = 1) : link({}, seed) { clock.advance(1000s); }

  std::string step(const Link::Event& event) {
    std::string text;
    for (const auto& effect : link.step(event, clock.now())) {
      if (!text.empty()) text += ' ';
      if (std::holds_alternative<Link::Dial>(effect)) text += "dial";
      if (std::holds_alternative<Link::Wake>(effect)) text += "wake";
      if (const auto* close = std::get_if<Link::Close>(&effect)) text += "close: " + close->reason;
    }
    return text;
  }
  std::string want(base::Duration patience) { return step(Link::Wanted{clock.now() + patience}); }
  std::optional<base::Error> refusal(base::Duration patience) const {
    return link.refusal(clock.now(), clock.now() + patience);
  }
  std::string fail(Errc code = Errc::Unavailable) {
    return step(Link::Failed{base::make_error(code, "nobody listens")});
  }
  // How long the link backs off after one more failure.
  base::Duration backoff() {
    EXPECT_EQ(want(1h), "dial");
    EXPECT_EQ(fail(), "wake");
    EXPECT_EQ(want(1h), "");
    const auto delay = link.next_timeout() - clock.now();
    clock.advance(delay);
    return delay;
  }

  base::ManualClock clock;
  Link link;
};

TEST(Link, OneAttemptServesAllCallers) {
  Script s;
  EXPECT_EQ(s.want(1s), "dial");
  EXPECT_EQ(s.want(1s), "");
  EXPECT_EQ(s.link.next_timeout(), base::MonotonicTime::max());
  EXPECT_EQ(s.step(Link::Connected{}), "wake");
  EXPECT_EQ(s.link.state(), Link::State::Open);
  EXPECT_EQ(s.want(1s), "");
}

TEST(Link, ClosesWhenIdleAndComesBackAtOnce) {
  Script s;
  (void)s.want(1s);
  (void)s.step(Link::Connected{});
  (void)s.step(Link::CallBegan{});
  EXPECT_EQ(s.link.next_timeout(), base::MonotonicTime::max());
  s.clock.advance(10min);
  EXPECT_EQ(s.step(Link::CallEnded{}), "wake");
  EXPECT_EQ(s.link.next_timeout(), s.clock.now() + 20s);
  s.clock.advance(19s);
  EXPECT_EQ(s.step(Link::Time{}), "");
  s.clock.advance(1s);
  EXPECT_EQ(s.step(Link::Time{}), "close: nothing was asked for a while");
  EXPECT_EQ(s.want(1s), "dial");
}

TEST(Link, BacksOffTwiceAsLongEachTimeWithinItsLimits) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Script s(seed);
    base::Duration full = 100ms;
    for (int i = 0; i < 15; ++i, full = std::min<base::Duration>(full * 2, 30s)) {
      const auto delay = s.backoff();
      ASSERT_GE(delay, full / 2) << seed << " " << i;
      ASSERT_LE(delay, full) << seed << " " << i;
      ASSERT_EQ(s.step(Link::Time{}), "dial");
      s.step(Link::Failed{base::make_error(Errc::TimedOut, "late")});
      // Two failures for each turn of the loop: the second is counted as well.
      full = std::min<base::Duration>(full * 2, 30s);
      s.clock.advance(30s);
    }
  }
}

TEST(Link, PeersThatLostTheSameNodeDoNotComeBackAsOne) {
  std::set<base::Duration> delays;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) delays.insert(Script(seed).backoff());
  EXPECT_GT(delays.size(), 40u);
}

TEST(Link, ACallWaitsOutABackoffOnlyIfItsTimeAllows) {
  Script s;
  (void)s.want(1s);
  (void)s.fail();
  const auto hasty = s.refusal(10ms);
  ASSERT_TRUE(hasty);
  EXPECT_EQ(hasty->code, Errc::Unavailable);
  EXPECT_THAT(hasty->hints.back(), HasSubstr("next attempt"));
  EXPECT_FALSE(s.refusal(1s));
  EXPECT_EQ(s.want(10ms), "");
  EXPECT_EQ(s.link.next_timeout(), base::MonotonicTime::max());
  EXPECT_EQ(s.want(1s), "");
  s.clock.advance_to(s.link.next_timeout());
  EXPECT_EQ(s.step(Link::Time{}), "dial");
}

TEST(Link, WhoDoesNotProveItselfIsNotAskedAgainSoon) {
  Script s;
  (void)s.want(1s);
  (void)s.fail(Errc::NotVerified);
  EXPECT_EQ(s.refusal(1h)->code, Errc::NotVerified);
  EXPECT_EQ(s.want(1h), "");
  EXPECT_EQ(s.link.next_timeout(), base::MonotonicTime::max());
  s.clock.advance(30s);
  EXPECT_FALSE(s.refusal(1s));
  EXPECT_EQ(s.want(1s), "dial");
}

TEST(Link, AConnectionThatEndsYoungCountsAsAFailure) {
  Script s;
  (void)s.want(1s);
  (void)s.step(Link::Connected{});
  s.clock.advance(1s);
  EXPECT_EQ(s.step(Link::Lost{base::make_error(Errc::Unavailable, "gone")}), "wake");
  EXPECT_EQ(s.link.state(), Link::State::Backoff);
  EXPECT_EQ(s.link.failures(), 1u);
  s.clock.advance(1s);
  EXPECT_EQ(s.want(1s), "dial");
  (void)s.step(Link::Connected{});
  s.clock.advance(10s);
  EXPECT_EQ(s.step(Link::Lost{base::make_error(Errc::Unavailable, "gone")}), "wake");
  EXPECT_EQ(s.want(1s), "dial");
  // And the back-off begins anew.
  (void)s.fail();
  s.clock.advance(100ms);
  EXPECT_EQ(s.want(1s), "dial");
}

TEST(Link, WhatThePeerDialledIsThePeersToClose) {
  Script s;
  EXPECT_EQ(s.step(Link::Connected{.dialled = false}), "wake");
  EXPECT_EQ(s.want(1s), "");
  EXPECT_EQ(s.link.next_timeout(), base::MonotonicTime::max());
  // Its end is no failure of ours.
  EXPECT_EQ(s.step(Link::Lost{base::make_error(Errc::Unavailable, "gone")}), "wake");
  EXPECT_EQ(s.link.failures(), 0u);
  EXPECT_EQ(s.want(1s), "dial");
}

TEST(Link, APeerThatConnectsEndsTheWaitForAnAttempt) {
  Script s;
  (void)s.want(1s);
  EXPECT_EQ(s.step(Link::Connected{.dialled = false}), "wake");
  EXPECT_TRUE(s.link.dialling());
  EXPECT_EQ(s.fail(), "");
  EXPECT_EQ(s.link.state(), Link::State::Open);
  EXPECT_FALSE(s.link.dialling());
  // And the end of a back-off.
  (void)s.step(Link::Lost{base::make_error(Errc::Unavailable, "gone")});
  (void)s.want(1s);
  (void)s.fail();
  EXPECT_EQ(s.link.state(), Link::State::Backoff);
  EXPECT_EQ(s.step(Link::Connected{.dialled = false}), "wake");
  EXPECT_EQ(s.link.state(), Link::State::Open);
}

TEST(Link, AnAttemptThatGoesOnIsWaitedForOnceMore) {
  Script s;
  (void)s.want(1s);
  (void)s.step(Link::Connected{.dialled = false});
  EXPECT_EQ(s.step(Link::Lost{base::make_error(Errc::Unavailable, "gone")}), "wake");
  EXPECT_EQ(s.link.state(), Link::State::Dialling);
  EXPECT_EQ(s.want(1s), "");
  EXPECT_EQ(s.step(Link::Connected{}), "wake");
}

TEST(Link, WhoseIdleConnectionThePeerClosedComesBackAtOnce) {
  Script s;
  (void)s.want(1s);
  (void)s.step(Link::Connected{});
  EXPECT_EQ(s.step(Link::Lost{base::make_error(Errc::Unavailable, "idle"), true}), "wake");
  EXPECT_EQ(s.want(1s), "dial");
}

TEST(Link, CallsOfThePeerPutIdlenessOff) {
  Script s;
  (void)s.want(1s);
  (void)s.step(Link::Connected{});
  s.clock.advance(20s);
  EXPECT_EQ(s.step(Link::Used{}), "");
  EXPECT_EQ(s.link.next_timeout(), s.clock.now() + 20s);
}

// Any order of events: the link never dials twice at once, nor closes what is not open.
TEST(Link, KeepsItsPromisesInAnyOrder) {
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    base::SeededRng rng(seed);
    Script s(seed);
    bool dialling = false, open = false, dialled = false;
    std::size_t calls = 0;
    for (int i = 0; i < 300; ++i) {
      s.clock.advance(base::Duration(1 + rng.below(20'000'000'000)));
      Link::Event event = Link::Time{};
      switch (rng.below(8)) {
        case 0:
          event = Link::Wanted{s.clock.now() + base::Duration(rng.below(60'000'000'000))};
          break;
        case 1:
          if (!dialling) continue;
          event = Link::Connected{};
          dialling = false;
          open = dialled = true;
          break;
        case 2:
          if (!dialling) continue;
          event = Link::Failed{
              base::make_error(rng.below(4) == 0 ? Errc::NotVerified : Errc::TimedOut, "no")};
          dialling = false;
          break;
        case 6:
          event = Link::Connected{.dialled = false};
          open = true;
          dialled = false;
          break;
        case 7:
          if (!dialling || !open) continue;
          event = Link::Surplus{};
          dialling = false;
          break;
        case 3:
          if (!open) continue;
          event = Link::Lost{base::make_error(Errc::Unavailable, "gone")};
          open = false;
          break;
        case 4:
          if (!open) continue;
          event = Link::CallBegan{};
          ++calls;
          break;
        default:
          if (calls == 0) break;
          event = Link::CallEnded{};
          --calls;
      }
      for (const auto& effect : s.link.step(event, s.clock.now())) {
        if (std::holds_alternative<Link::Dial>(effect)) {
          ASSERT_FALSE(dialling || open) << seed;
          dialling = true;
        }
        if (std::holds_alternative<Link::Close>(effect)) {
          ASSERT_TRUE(open && dialled && calls == 0) << seed;
          open = false;
        }
      }
      ASSERT_EQ(s.link.calls(), calls);
      ASSERT_EQ(s.link.state() == Link::State::Open, open);
      ASSERT_EQ(s.link.dialling(), dialling);
      ASSERT_EQ(s.link.state() == Link::State::Dialling, dialling && !open);
    }
  }
}

}  // namespace
}  // namespace stoq::rpc
