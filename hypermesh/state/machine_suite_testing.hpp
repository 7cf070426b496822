#pragma once

// What every Machine must do, whatever storage lies below it. A test program defines StorageTest
// parameters and gets the suite.

#include <gtest/gtest.h>

#include <functional>

#include "state/machine_testing.hpp"
#include "state/proof.hpp"

namespace hypermesh::state::testing {

using StorageMaker = std::function<std::unique_ptr<Storage>()>;
class MachineTest : public ::testing::TestWithParam<StorageMaker> {};

inline void expect_equal(const View& view, const Model& model) {
  ASSERT_EQ(view.revision(), model.revision);
  const auto page = view.range({.prefix = ""});
  ASSERT_TRUE(page) << page.error().describe();
  ASSERT_EQ(page->entries.size(), model.values.size());
  auto at = model.values.begin();
  for (const KeyValue& entry : page->entries) {
    ASSERT_EQ(entry.key, at->first);
    const Model::Value found{entry.value, entry.created, entry.modified, entry.lease};
    ASSERT_EQ(found, at->second) << entry.key;
    ++at;
  }
}

TEST_P(MachineTest, AgreesWithTheModel) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(seed);
    base::SeededRng rng(seed);
    const auto storage = GetParam()();
    auto machine = Machine::open(
        *storage, {.tree_cache_bytes = 8 << 10, .waiting_keys_max = 20, .changed_pages_max = 10});
    ASSERT_TRUE(machine) << machine.error().describe();
    Model model;
    Time time = 100;
    const std::size_t keys = 1 + rng.below(60);
    for (Slot slot = 1; slot <= 60; ++slot) {
      time += rng.below(10);
      auto apply = (*machine)->begin(slot, time);
      ASSERT_TRUE(apply) << apply.error().describe();
      model.begin(time);
      for (auto i = rng.below(12); i > 0; --i) {
        const Operation operation = random_operation(rng, model, time, keys);
        ASSERT_EQ(*decode_operation(encode(operation)), operation);
        const auto outcome = (*apply)->apply_encoded(encode(operation));
        ASSERT_TRUE(outcome) << outcome.error().describe();
        const Outcome wanted = model.apply(operation, time);
        ASSERT_EQ(outcome->refused, wanted.refused) << outcome->message;
        ASSERT_EQ(outcome->number, wanted.number);
        ASSERT_EQ(*decode_outcome(encode(*outcome)), *outcome);
      }
      for (auto i = rng.below(4); i > 0; --i) {
        const std::string name = std::to_string(rng.below(5));
        const auto found = (*apply)->system(name);
        ASSERT_TRUE(found);
        ASSERT_EQ(found->value_or(""), model.system[name]);
        model.system[name] = rng.below(3) == 0 ? "" : std::to_string(rng.u64());
        const auto& value = model.system[name];
        ASSERT_TRUE((*apply)->set_system(
            name, value.empty() ? std::nullopt : std::optional<std::string_view>(value),
            rng.below(2) == 0 ? Shown::AtOnce : Shown::WhenStored));
      }
      ASSERT_TRUE((*apply)->finish());
      ASSERT_EQ((*machine)->lease_count(), model.leases.size());
      if (slot % 7 == 0) ASSERT_TRUE((*machine)->checkpoint());
      if (slot % 11 == 0) {
        const auto root = (*machine)->root().value();
        if (slot % 2 == 0) ASSERT_TRUE((*machine)->flush());
        machine = Machine::open(
            *storage,
            {.tree_cache_bytes = 8 << 10, .waiting_keys_max = 20, .changed_pages_max = 10});
        ASSERT_TRUE(machine) << machine.error().describe();
        ASSERT_EQ((*machine)->applied(), slot);
        ASSERT_EQ((*machine)->root().value(), root);
        ASSERT_EQ((*machine)->lease_count(), model.leases.size());
        const auto shown = View::of(*storage);
        for (const auto& [name, value] : model.system) {
          const auto row = read_row_at(shown->reader(), full_key(Space::System, name), slot);
          ASSERT_TRUE(row);
          ASSERT_EQ(*row && !(*row)->second.deleted ? (*row)->second.value : "", value) << name;
        }
      }
      const auto view = View::of(*storage);
      ASSERT_TRUE(view);
      expect_equal(*view, model);
      if (HasFatalFailure()) return;
    }
    ASSERT_TRUE((*machine)->flush());
    const auto view = View::of(*storage);
    EXPECT_EQ(view->tree().root, (*machine)->root().value());
    const auto page = view->events("", 0, 100'000);
    ASSERT_TRUE(page) << page.error().describe();
    EXPECT_EQ(page->events, model.events);
    for (const auto& [revision, values] : model.past) {
      if (revision == 0) continue;
      const auto then = view->range({.prefix = "k/", .at = revision});
      ASSERT_TRUE(then);
      ASSERT_EQ(then->entries.size(), values.size());
      for (const auto& entry : then->entries) ASSERT_EQ(entry.value, values.at(entry.key).value);
    }
    for (std::size_t i = 0; i < keys; ++i) {
      const std::string key = "k/" + std::to_string(i);
      const auto proof = view->prove(key);
      ASSERT_TRUE(proof) << proof.error().describe();
      const auto shown =
          verify_proof((*machine)->root().value(), full_key(Space::User, key), *proof);
      ASSERT_TRUE(shown) << shown.error().describe();
      ASSERT_EQ(shown->has_value(), model.values.contains(key));
      if (*shown) {
        EXPECT_EQ((*shown)->value, model.values[key].value);
      }
    }
  }
}

TEST_P(MachineTest, TheRootDoesNotDependOnStorageCacheHistoryOrCheckpoints) {
  for (std::uint64_t seed = 50; seed <= 54; ++seed) {
    SCOPED_TRACE(seed);
    base::SeededRng rng(seed);
    const auto one_storage = GetParam()(), two_storage = GetParam()();
    const auto one = Machine::open(*one_storage, {});
    const auto two = Machine::open(*two_storage, {.history_revisions_max = 20,
                                                  .tree_cache_bytes = 1 << 10,
                                                  .waiting_keys_max = 7,
                                                  .changed_pages_max = 9});
    Model model;
    Time time = 0;
    for (Slot slot = 1; slot <= 120; ++slot) {
      time += rng.below(9);
      model.begin(time);
      std::vector<Operation> operations;
      for (auto i = rng.below(9); i > 0; --i) {
        operations.push_back(random_operation(rng, model, time, 40));
        model.apply(operations.back(), time);
      }
      const auto a = (*one)->apply(slot, time, operations);
      const auto b = (*two)->apply(slot, time, operations);
      ASSERT_TRUE(a && b);
      ASSERT_EQ(*a, *b);
      ASSERT_EQ((*one)->root().value(), (*two)->root().value());
      if (slot % 10 == 0) ASSERT_TRUE((*two)->checkpoint());
    }
    for (Slot slot = 121; slot <= 128; ++slot)  // lets go what the last checkpoint freed
      ASSERT_TRUE((*two)->apply(slot, time, {}));
    const auto view = View::of(*two_storage);
    expect_equal(*view, model);
    EXPECT_GT((*two)->compacted(), 0u);
    EXPECT_EQ((*two)->compacted(),
              std::min((*two)->revision() - 20, (*two)->checkpoints().front().revision));
    const auto events = view->events("", (*two)->compacted());
    ASSERT_TRUE(events);
    EXPECT_EQ(view->events("", (*two)->compacted() - 1).error().code,
              base::Errc::FailedPrecondition);
    EXPECT_EQ(view->get("k/1", (*two)->compacted() - 1).error().code,
              base::Errc::FailedPrecondition);
    for (const auto& [revision, values] : model.past) {
      if (revision < (*two)->compacted()) continue;
      const auto then = view->range({.prefix = "k/", .at = revision});
      ASSERT_TRUE(then);
      ASSERT_EQ(then->entries.size(), values.size());
    }
    // Nothing is left behind: rows are those of the values, of the history and of the checkpoints.
    std::size_t rows = 0;
    const std::string users = row_prefix("u");
    ASSERT_TRUE(
        two_storage->scan(users, end_of_prefix(users), [&](auto, auto) { return ++rows > 0; }));
    EXPECT_LE(rows, model.values.size() + 2 * events->events.size());
  }
}

TEST_P(MachineTest, CheckpointsStayProvableWhileSlotsAreApplied) {
  const auto storage = GetParam()();
  const auto machine = Machine::open(*storage, {.history_revisions_max = 5});
  base::SeededRng rng(3);
  Model model;
  std::map<Slot, std::pair<Checkpoint, Model::Values>> taken;
  for (Slot slot = 1; slot <= 80; ++slot) {
    std::vector<Operation> operations;
    model.begin(slot);
    for (int i = 0; i < 6; ++i) {
      operations.push_back(random_operation(rng, model, slot, 50));
      model.apply(operations.back(), slot);
    }
    ASSERT_TRUE((*machine)->apply(slot, slot, operations));
    if (slot % 13 == 0) {
      const auto checkpoint = (*machine)->checkpoint();
      ASSERT_TRUE(checkpoint);
      taken[slot] = {*checkpoint, model.values};
    }
    const auto view = View::of(*storage);
    for (const Checkpoint& kept : view->checkpoints()) {
      const auto& [checkpoint, values] = taken.at(kept.slot);
      ASSERT_EQ(kept, checkpoint);
      for (int i = 0; i < 50; ++i) {
        const std::string key = full_key(Space::User, "k/" + std::to_string(i));
        const auto proof = view->prove_at(kept.slot, key);
        ASSERT_TRUE(proof) << proof.error().describe();
        const auto shown = verify_proof(kept.tree.root, key, *proof);
        ASSERT_TRUE(shown);
        ASSERT_EQ(shown->has_value(), values.contains(key.substr(1)));
        if (*shown) {
          ASSERT_EQ((*shown)->value, values.at(key.substr(1)).value);
        }
      }
      const auto head = view->prove_at(kept.slot, kHeadKey);
      ASSERT_TRUE(head) << head.error().describe();
      const auto shown = verify_proof(kept.tree.root, kHeadKey, *head);
      ASSERT_TRUE(shown && *shown);
      EXPECT_EQ(decode_head((*shown)->value)->revision, kept.revision);
    }
  }
  EXPECT_EQ((*machine)->checkpoints().size(), kCheckpointsKept);
  EXPECT_EQ(View::of(*storage)->prove_at(13, kHeadKey).error().code, base::Errc::NotFound);
}

TEST_P(MachineTest, TheLastCertifiedCheckpointStays) {
  const auto storage = GetParam()();
  auto machine = Machine::open(*storage, {});
  const auto make = [&](Slot slot) {
    const Operation put{.action = Transaction{{}, {{"a", std::to_string(slot)}}}};
    ASSERT_TRUE((*machine)->apply(slot, slot, std::span(&put, 1)));
    ASSERT_TRUE((*machine)->checkpoint());
  };
  const auto kept = [&] {
    std::vector<Slot> slots;
    for (const auto& each : (*machine)->checkpoints()) slots.push_back(each.slot);
    return slots;
  };
  for (Slot slot = 1; slot <= 3; ++slot) make(slot);
  EXPECT_EQ(kept(), (std::vector<Slot>{2, 3}));
  (*machine)->keep_from(2);
  make(4);
  machine = Machine::open(*storage, {});
  make(5);
  EXPECT_EQ(kept(), (std::vector<Slot>{2, 3, 4, 5}));
  const auto view = View::of(*storage);
  const std::string key = full_key(Space::User, "a");
  const auto proof = view->prove_at(2, key);
  ASSERT_TRUE(proof) << proof.error().describe();
  const auto shown = verify_proof(view->checkpoints()[0].tree.root, key, *proof);
  ASSERT_TRUE(shown && *shown);
  EXPECT_EQ((*shown)->value, "2");
  (*machine)->keep_from(4);
  make(6);
  EXPECT_EQ(kept(), (std::vector<Slot>{4, 5, 6}));
  // Nobody signs for long: it stays nevertheless, and so do the newest.
  for (Slot slot = 7; slot <= 20; ++slot) make(slot);
  EXPECT_EQ(kept(), (std::vector<Slot>{4, 14, 15, 16, 17, 18, 19, 20}));
}

TEST_P(MachineTest, PagesContinueAtTheirRevisionWhileWritesGoOn) {
  const auto storage = GetParam()();
  const auto machine = Machine::open(*storage, {});
  Slot slot = 0;
  const auto put = [&](std::string key, std::optional<std::string> value) {
    const Operation operation{.action = Transaction{{}, {{std::move(key), std::move(value)}}}};
    ASSERT_TRUE((*machine)->apply(++slot, 1, std::span(&operation, 1)));
  };
  for (int i = 0; i < 10; ++i) put("a/" + std::to_string(i), "old");
  put("b", "other");
  auto page = View::of(*storage)->range({.prefix = "a/", .entries_max = 4});
  ASSERT_TRUE(page && page->more);
  const Revision at = page->revision;
  for (int i = 3; i < 7; ++i)
    put("a/" + std::to_string(i), i % 2 == 0 ? std::optional("new") : std::nullopt);
  put("a/45", "new");
  std::vector<KeyValue> entries = page->entries;
  while (page->more) {
    page = View::of(*storage)->range(
        {.prefix = "a/", .start_after = entries.back().key, .entries_max = 4, .at = at});
    ASSERT_TRUE(page);
    entries.insert(entries.end(), page->entries.begin(), page->entries.end());
  }
  ASSERT_EQ(entries.size(), 10u);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(entries[static_cast<std::size_t>(i)].key, "a/" + std::to_string(i));
    EXPECT_EQ(entries[static_cast<std::size_t>(i)].value, "old");
  }
  EXPECT_EQ(View::of(*storage)->range({.prefix = "a/"})->entries.size(), 9u);
}

TEST_P(MachineTest, ASlotThatIsNotFinishedLeavesNothing) {
  const auto storage = GetParam()();
  const auto machine = Machine::open(*storage, {});
  const Operation put{.action = Transaction{{}, {{"a", "1"}}}};
  ASSERT_TRUE((*machine)->apply(1, 1, std::span(&put, 1)));
  ASSERT_TRUE((*machine)->flush());
  const auto root = (*machine)->root().value();
  {
    const auto apply = (*machine)->begin(2, 1);
    ASSERT_TRUE(apply);
    ASSERT_TRUE((*apply)->apply(Operation{.action = Transaction{{}, {{"a", "2"}}}}));
    ASSERT_TRUE((*apply)->apply(Operation{.action = GrantLease{5}}));
  }
  EXPECT_EQ((*machine)->begin(2, 1).error().code, base::Errc::FailedPrecondition);
  ASSERT_TRUE((*machine)->recover());
  EXPECT_EQ((*machine)->applied(), 1u);
  EXPECT_EQ((*machine)->root().value(), root);
  EXPECT_EQ((*machine)->lease_count(), 0u);
  EXPECT_EQ((*machine)->begin(5, 1).error().code, base::Errc::FailedPrecondition);
  ASSERT_TRUE((*machine)->apply(2, 1, std::span(&put, 1)));
}

}  // namespace hypermesh::state::testing
