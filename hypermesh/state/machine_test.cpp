#include <gtest/gtest.h>

#include "state/machine_suite_testing.hpp"
#include "state/memory_storage.hpp"

namespace hypermesh::state {
namespace {

using testing::MachineTest;
using testing::Model;

INSTANTIATE_TEST_SUITE_P(Memory, MachineTest, ::testing::Values([]() -> std::unique_ptr<Storage> {
                           return std::make_unique<MemoryStorage>();
                         }));

struct OneMachine {
  MemoryStorage storage;
  std::unique_ptr<Machine> machine = *Machine::open(storage, {});
  Slot slot = 0;

  Outcome apply(Operation operation, Time time = 1) {
    auto outcomes = machine->apply(++slot, time, std::span(&operation, 1));
    BASE_ASSERT(outcomes.has_value(), "memory does not fail");
    return outcomes->front();
  }
  Outcome put(std::string key, std::string value, LeaseId lease = 0) {
    return apply({.action = Transaction{{}, {{std::move(key), std::move(value), lease}}}});
  }
  Head head() const {
    BASE_ASSERT(machine->flush().has_value(), "memory does not fail");
    return head_in(View::of(storage).value());
  }
  static Head head_in(const View& view) {
    const auto proof = prove(view.reader(), view.tree(), kHeadKey);
    const auto shown = verify_proof(view.tree().root, kHeadKey, *proof);
    return *shown ? *decode_head((**shown).value) : Head{};
  }
};

TEST(Machine, RefusalsSayWhatWasFound) {
  OneMachine one;
  EXPECT_EQ(one.put("a", "1").number, 1u);
  const auto conflict = one.apply({.action = Transaction{{{"a", 7}}, {{"b", "1"}}}});
  EXPECT_EQ(conflict.refused, base::Errc::Conflict);
  EXPECT_EQ(conflict.message, "a is at revision 1; 7 was expected");
  EXPECT_EQ(one.apply({.action = Transaction{{{"a", 0}}, {{"b", "1"}}}}).message,
            "a exists since revision 1");
  EXPECT_EQ(one.apply({.action = Transaction{{{"x", 3}}, {{"b", "1"}}}}).message,
            "x does not exist; revision 3 was expected");
  EXPECT_EQ(one.apply({.action = Transaction{}}).message, "a transaction has no writes");
  EXPECT_EQ(one.apply({.action = Transaction{{}, {{"a", "1"}, {"a", "2"}}}}).message,
            "a transaction writes a twice");
  EXPECT_EQ(one.apply({.action = Transaction{{}, {{"", "1"}}}}).refused,
            base::Errc::InvalidArgument);
  EXPECT_EQ(one.put("c", "1", 9).message, "lease 9 of c has ended");
  EXPECT_EQ(one.put("c", std::string(kValueBytesMax + 1, 'x')).refused,
            base::Errc::ResourceExhausted);
  EXPECT_EQ(one.put(std::string(kKeyBytesMax + 1, 'x'), "").refused, base::Errc::InvalidArgument);
  EXPECT_EQ(one.apply({.deadline = 5, .action = Barrier()}, 6).refused, base::Errc::TimedOut);
  EXPECT_FALSE(one.apply({.deadline = 6, .action = Barrier()}, 6).refused);
  EXPECT_EQ(one.apply({.action = KeepAlive{4}}).message, "lease 4 has ended");
  EXPECT_EQ(one.machine->revision(), 1u) << "what is refused changes nothing";
  const auto apply = one.machine->begin(++one.slot, 1);
  const auto garbage = (*apply)->apply_encoded(base::Bytes{1, 2, 3});
  ASSERT_TRUE(garbage);
  EXPECT_EQ(garbage->refused, base::Errc::InvalidArgument);
  EXPECT_EQ((*apply)->apply_encoded(base::Bytes{9})->refused, base::Errc::Unsupported);
  ASSERT_TRUE((*apply)->finish());
}

TEST(Machine, LeasesEndOnlyByOrderedTime) {
  OneMachine one;
  const LeaseId first = one.apply({.action = GrantLease{10}}, 100).number;
  const LeaseId second = one.apply({.action = GrantLease{10}}, 100).number;
  EXPECT_EQ(one.put("z", "1", first).number, 1u);
  EXPECT_EQ(one.put("b", "1", second).number, 2u);
  EXPECT_EQ(one.put("a", "1", first).number, 3u);
  EXPECT_EQ(one.put("kept", "1", first).number, 4u);
  EXPECT_EQ(one.put("kept", "2").number, 5u) << "the last write decides about the lease";
  one.apply({.action = KeepAlive{second}}, 105);
  EXPECT_EQ(one.apply({.action = Barrier()}, 109).number, 5u);
  EXPECT_EQ(one.apply({.action = Barrier()}, 110).number, 6u);
  const auto events = View::of(one.storage)->events("", 5);
  ASSERT_EQ(events->events.size(), 2u);
  EXPECT_EQ(events->events[0].key, "a");
  EXPECT_EQ(events->events[1].key, "z");
  EXPECT_EQ(events->events[1].revision, 6u);
  EXPECT_EQ(one.machine->lease_count(), 1u);
  EXPECT_FALSE(one.apply({.action = RevokeLease{second}}, 111).refused);
  EXPECT_EQ(View::of(one.storage)->range({.prefix = ""})->entries.size(), 1u);
}

TEST(Machine, SystemRecordsAreInTheTreeAndOutOfReachOfOperations) {
  OneMachine one;
  const auto empty = one.machine->root().value();
  const auto apply = one.machine->begin(++one.slot, 1);
  ASSERT_TRUE((*apply)->set_system("config", "three of four"));
  EXPECT_EQ((*apply)->system("config")->value(), "three of four");
  ASSERT_TRUE((*apply)->finish());
  EXPECT_NE(one.machine->root().value(), empty);
  EXPECT_EQ(one.machine->revision(), 0u);
  one.put("sconfig", "mine");
  one.put("config", "mine");
  const auto again = one.machine->begin(++one.slot, 1);
  EXPECT_EQ((*again)->system("config")->value(), "three of four");
  ASSERT_TRUE((*again)->finish());
  ASSERT_TRUE(one.machine->flush());
  const auto view = View::of(one.storage);
  EXPECT_EQ(view->range({.prefix = ""})->entries.size(), 2u);
  const std::string full = full_key(Space::System, "config");
  const auto proof = prove(view->reader(), view->tree(), full);
  EXPECT_EQ((*verify_proof(one.machine->root().value(), full, *proof))->value, "three of four");
}

TEST(Machine, GoesOnAfterAFullDiskFromWhatWasFlushed) {
  OneMachine one;
  one.put("a", "1");
  ASSERT_TRUE(one.machine->flush());
  one.put("a", "2");
  const auto root = one.machine->root().value();
  one.storage.set_full(true);
  const Operation put{.action = Transaction{{}, {{"b", "1"}}}};
  EXPECT_EQ(one.machine->apply(3, 1, std::span(&put, 1)).error().code,
            base::Errc::ResourceExhausted);
  EXPECT_EQ(one.machine->recover().error().code, base::Errc::ResourceExhausted);
  one.storage.set_full(false);
  ASSERT_TRUE(one.machine->recover());
  EXPECT_EQ(one.machine->applied(), 1u) << "the rest is replayed";
  one.slot = 1;
  one.put("a", "2");
  EXPECT_EQ(one.machine->root().value(), root);
}

// A client with two certified roots checks the events between them.
TEST(EventProof, ShowsThatNothingIsMissing) {
  OneMachine one;
  for (int i = 0; i < 5; ++i) one.put("w/" + std::to_string(i), "v" + std::to_string(i));
  const Head from = one.head();
  one.put("other/secret", "not for the watcher");
  one.put("w/1", "changed");
  one.apply({.action = Transaction{{}, {{"w/2", std::nullopt}, {"w/9", "new"}, {"x", "y"}}}});
  one.put("other/b", "1");
  const Head to = one.head();
  EXPECT_EQ(to.revision, 9u);
  const auto proof = View::of(one.storage)->prove_events("w/", from.revision, to.revision);
  ASSERT_TRUE(proof);
  const auto events = verify_events("w/", from, to, *proof);
  ASSERT_TRUE(events) << events.error().describe();
  const std::vector<Event> wanted = {
      {7, "w/1", "changed", {}}, {8, "w/2", {}, {}}, {8, "w/9", "new", {}}};
  EXPECT_EQ(*events, wanted);
  EXPECT_EQ(base::as_text(*proof).find("not for the watcher"), std::string_view::npos);

  base::SeededRng rng(1);
  for (std::size_t at = 0; at < proof->size(); ++at) {
    base::Bytes changed = *proof;
    changed[at] ^= static_cast<std::uint8_t>(1 + rng.below(255));
    EXPECT_FALSE(verify_events("w/", from, to, changed)) << at;
  }
  EXPECT_FALSE(verify_events("other/", from, to, *proof)) << "a value was left out";
  const auto part = View::of(one.storage)->prove_events("w/", from.revision, to.revision - 1);
  EXPECT_FALSE(verify_events("w/", from, to, *part)) << "the last revision was dropped";
  const auto more = View::of(one.storage)->prove_events("w/", from.revision - 1, to.revision);
  EXPECT_FALSE(verify_events("w/", from, to, *more)) << "a revision was added";
  const auto none = verify_events("w/", from, from, base::Bytes{1});
  ASSERT_TRUE(none);
  EXPECT_TRUE(none->empty());
}

// The honest encoding of dishonest histories: each differs from the real one in one way.
TEST(EventProof, CatchesDroppedAddedReorderedAndChangedEvents) {
  using Put = std::pair<std::string, std::string>;
  const auto history = [](const std::vector<std::vector<Put>>& revisions) {
    auto one = std::make_unique<OneMachine>();
    for (const auto& puts : revisions) {
      Transaction transaction;
      for (const auto& [key, value] : puts) transaction.writes.push_back({key, value});
      one->apply({.action = transaction});
    }
    return one;
  };
  const std::vector<std::vector<Put>> real = {{{"a", "1"}, {"b", "1"}}, {{"a", "2"}}, {{"c", "1"}}};
  const auto honest = history(real);
  const std::vector<std::vector<std::vector<Put>>> lies = {
      {{{"a", "1"}}, {{"a", "2"}}, {{"c", "1"}}},                          // one dropped
      {{{"a", "1"}, {"b", "1"}}, {{"a", "2"}, {"d", "1"}}, {{"c", "1"}}},  // one added
      {{{"b", "1"}, {"a", "1"}}, {{"a", "2"}}, {{"c", "1"}}},              // swapped within
      {{{"a", "1"}, {"b", "1"}}, {{"c", "1"}}, {{"a", "2"}}},              // revisions swapped
      {{{"a", "1"}, {"b", "1"}}, {{"a", "3"}}, {{"c", "1"}}},              // changed
  };
  const auto check = [&](const OneMachine& told) {
    const auto proof = View::of(told.storage)->prove_events("", 0, 3);
    return verify_events("", Head{}, honest->head(), *proof);
  };
  EXPECT_TRUE(check(*honest));
  for (const auto& lie : lies)
    EXPECT_EQ(check(*history(lie)).error().code, base::Errc::NotVerified);
}

}  // namespace
}  // namespace hypermesh::state
