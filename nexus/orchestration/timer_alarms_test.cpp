#include "orchestration/timer_alarms.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "orchestration/owned_alarms.hpp"
#include "orchestration/testing/manual_time.hpp"

namespace nexus::orchestration {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

TEST(TimerAlarms, CallsInTheOrderOfTimeAndNotWhatWasCancelled) {
  boost::asio::io_context context;
  const base::SystemClock clock;
  TimerAlarms alarms(context.get_executor(), clock);
  const base::MonotonicTime start = clock.now();
  std::vector<std::string> called;
  const auto note = [&](const char* name) {
    return [&called, name] { called.emplace_back(name); };
  };
  alarms.call_at(start + 3ms, note("third"));
  const Alarms::Id first = alarms.call_at(start + 1ms, note("cancelled"));
  alarms.call_at(start + 2ms, [&] {
    called.emplace_back("second");
    alarms.call_at(start, note("past"));
  });
  alarms.cancel(first);
  alarms.call_at(start - 1s, note("at once"));
  EXPECT_THAT(called, IsEmpty());
  context.run();
  ASSERT_EQ(called.size(), 4u);
  EXPECT_EQ(called[0], "at once");
  EXPECT_EQ(called[1], "second");
  EXPECT_THAT(called, testing::UnorderedElementsAre("at once", "second", "past", "third"));
}

TEST(TimerAlarms, NothingIsCalledWhenTheyAreGone) {
  boost::asio::io_context context;
  const base::SystemClock clock;
  bool called = false;
  {
    TimerAlarms alarms(context.get_executor(), clock);
    alarms.call_at(clock.now(), [&] { called = true; });
  }
  context.run();
  EXPECT_FALSE(called);
}

TEST(OwnedAlarms, CallNothingOnceTheyAreClosed) {
  ManualTime time;
  int called = 0;
  OwnedAlarms alarms(time);
  const Alarms::Id cancelled = alarms.call_at(time.now() + 1s, [&] { called += 100; });
  alarms.call_at(time.now() + 2s, [&] { ++called; });
  alarms.call_at(time.now() + 3s, [&] { called += 100; });
  alarms.cancel(cancelled);
  EXPECT_TRUE(time.step(time.now() + 2s));
  EXPECT_EQ(called, 1);
  alarms.close();
  alarms.call_at(time.now(), [&] { called += 100; });
  EXPECT_EQ(time.next(), std::nullopt);
  EXPECT_EQ(called, 1);
}

}  // namespace
}  // namespace nexus::orchestration
