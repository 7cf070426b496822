#include <gtest/gtest.h>

#include <functional>

#include "state/machine_testing.hpp"
#include "state/memory_storage.hpp"
#include "state/proof.hpp"
#include "state/transfer_edits.hpp"
#include "state/transfer_fetcher.hpp"
#include "state/transfer_source.hpp"

namespace hypermesh::state {
namespace {

using testing::Model;

// Writes fail from the nth on: what a crash at that moment leaves is below.
class CrashingStorage final : public Storage {
 public:
  CrashingStorage(Storage& below, std::uint64_t writes) : below_(below), writes_left_(writes) {}
  base::Result<std::optional<std::string>> get(std::string_view key) const override {
    return below_.get(key);
  }
  base::Result<> scan(std::string_view from, std::string_view end,
                      const Visit& visit) const override {
    return below_.scan(from, end, visit);
  }
  std::unique_ptr<Reader> snapshot() const override { return below_.snapshot(); }
  base::Result<> write(const Batch& batch) override {
    if (writes_left_ == 0) return base::fail(base::Errc::Unavailable, "crashed (a test says so)");
    --writes_left_;
    return below_.write(batch);
  }
  base::Result<> flush() override { return {}; }
  base::Result<> reopen() override { return {}; }

 private:
  Storage& below_;
  std::uint64_t writes_left_;
};

struct Replica {
  MemoryStorage storage;
  std::unique_ptr<Machine> machine = *Machine::open(storage, {.history_revisions_max = 40});
  Model model;

  void apply(Slot slot, const std::vector<Operation>& operations) {
    model.begin(slot);
    for (const auto& operation : operations) model.apply(operation, slot);
    ASSERT_TRUE(machine->apply(slot, slot, operations));
  }
  View view() const { return *View::of(storage); }
  void expect_model() const {
    const auto page = view().range({.prefix = ""});
    ASSERT_TRUE(page) << page.error().describe();
    ASSERT_EQ(page->entries.size(), model.values.size());
    for (const auto& entry : page->entries) {
      const Model::Value found{entry.value, entry.created, entry.modified, entry.lease};
      ASSERT_EQ(found, model.values.at(entry.key));
    }
  }
};

// Lives the same slots in both; then `ahead` alone lives on and takes a checkpoint.
struct Pair {
  Replica behind, ahead;
  Slot slot = 0;

  Pair(std::uint64_t seed, std::size_t keys, Slot together, Slot alone) {
    base::SeededRng rng(seed);
    const auto live = [&](bool both) {
      std::vector<Operation> operations;
      for (int i = 0; i < 8; ++i)
        operations.push_back(testing::random_operation(rng, ahead.model, slot + 1, keys));
      ++slot;
      ahead.apply(slot, operations);
      if (both) behind.apply(slot, operations);
      if (slot % 9 == 0) {
        EXPECT_TRUE(ahead.machine->checkpoint());
        if (both) {
          EXPECT_TRUE(behind.machine->checkpoint());
        }
      }
    };
    for (Slot i = 0; i < together; ++i) live(true);
    for (Slot i = 0; i < alone; ++i) live(false);
    EXPECT_TRUE(ahead.machine->checkpoint());
  }
  TransferTarget target() const { return {slot, ahead.machine->root().value()}; }
};

using Corrupt = std::function<bool(base::Bytes&)>;  // true: it changed the answer

// Until everything is there; gives how many answers were refused.
std::uint64_t fetch(Fetcher& fetcher, const Replica& from, const Corrupt& corrupt = {},
                    std::uint64_t answers_max = ~0ull) {
  std::uint64_t refused = 0;
  while (!fetcher.complete() && answers_max > 0) {
    const auto requests = fetcher.next_requests();
    EXPECT_TRUE(requests);
    EXPECT_FALSE(requests->empty());
    for (const auto& request : *requests) {
      const auto asked = decode_transfer_request(request.bytes);
      EXPECT_TRUE(asked);
      auto bytes = encode(*answer_transfer(from.view(), *asked));
      const bool changed = corrupt && corrupt(bytes);
      const auto doubted = fetcher.progress().doubted;
      const auto result = fetcher.on_answer(request.id, bytes);
      if (changed) {
        EXPECT_TRUE(!result || fetcher.progress().doubted > doubted) << "taken";
      } else {
        EXPECT_TRUE(result) << result.error().describe();
      }
      if (!result) ++refused;
      if (answers_max > 0) --answers_max;
    }
  }
  return refused;
}

base::Result<std::unique_ptr<Fetcher>> start(Replica& replica, const TransferTarget& target,
                                             FetcherOptions options = {}) {
  TRY_DO(replica.machine->flush());
  return Fetcher::start(replica.storage, target, options);
}

void expect_equal_states(Replica& behind, const Replica& ahead) {
  ASSERT_TRUE(behind.machine->reload());
  ASSERT_EQ(behind.machine->root().value(), ahead.machine->root().value());
  ASSERT_EQ(behind.machine->applied(), ahead.machine->applied());
  ASSERT_EQ(behind.machine->lease_count(), ahead.machine->lease_count());
  behind.model = ahead.model;
  behind.expect_model();
  // No row, node or key of a lease is left of the old state, once stale nodes are pruned.
  std::map<std::string, std::string> ours, theirs;
  const auto dump = [](const Storage& storage, std::map<std::string, std::string>& into) {
    for (const std::string_view table : {"a", "f", "S"}) {
      ASSERT_TRUE(storage.scan(table, end_of_prefix(table), [&](auto key, auto value) {
        into.emplace(key, value);
        return true;
      }));
    }
  };
  dump(behind.storage, ours);
  dump(ahead.storage, theirs);
  ASSERT_EQ(ours, theirs);
  std::size_t rows = 0;
  ASSERT_TRUE(behind.storage.scan("vu", "vv", [&](auto, auto) { return ++rows > 0; }));
  ASSERT_EQ(rows, behind.model.values.size());
}

TEST(Transfer, BringsAnyStateToTheTarget) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    base::SeededRng rng(seed);
    Pair pair(seed, 1 + rng.below(400), rng.below(60), 1 + rng.below(20));
    auto fetcher = start(pair.behind, pair.target(),
                         {.requests_max = 1 + rng.below(4), .items_max = 1 + rng.below(64)});
    ASSERT_TRUE(fetcher);
    EXPECT_EQ(fetch(**fetcher, pair.ahead), 0u);
    ASSERT_TRUE((*fetcher)->finish());
    expect_equal_states(pair.behind, pair.ahead);
    if (HasFatalFailure()) return;
    // Both live on alike, and the new one can serve others.
    base::SeededRng later(seed + 1000);
    for (int i = 0; i < 12; ++i) {
      std::vector<Operation> operations;
      for (int k = 0; k < 8; ++k)
        operations.push_back(
            testing::random_operation(later, pair.ahead.model, pair.slot + 1, 300));
      ++pair.slot;
      pair.ahead.apply(pair.slot, operations);
      pair.behind.apply(pair.slot, operations);
      ASSERT_EQ(pair.behind.machine->root().value(), pair.ahead.machine->root().value());
      if (i % 5 == 0) {
        ASSERT_TRUE(pair.behind.machine->checkpoint());
        ASSERT_TRUE(pair.ahead.machine->checkpoint());
      }
    }
    pair.behind.expect_model();
    // Every stored node belongs to a kept tree once pruning has caught up.
    Replica empty;
    auto again = Fetcher::start(empty.storage,
                                {pair.behind.machine->checkpoints().back().slot,
                                 pair.behind.machine->checkpoints().back().tree.root},
                                {});
    EXPECT_EQ(fetch(**again, pair.behind), 0u);
    ASSERT_TRUE((*again)->finish());
    ASSERT_TRUE(empty.machine->reload());
  }
}

std::uint64_t difference_bytes(const Model& before, const Model& after) {
  std::uint64_t bytes = 0;
  for (const auto& [key, value] : after.values) {
    const auto found = before.values.find(key);
    if (found == before.values.end() || found->second != value)
      bytes += key.size() + value.value.size() + 24;
  }
  for (const auto& [key, value] : before.values) {
    if (!after.values.contains(key)) bytes += key.size();
  }
  return bytes;
}

TEST(Transfer, CostsTheDifferenceAndLittleMore) {
  for (std::uint64_t seed = 1; seed <= 2; ++seed) {
    SCOPED_TRACE(seed);
    base::SeededRng rng(seed);
    Pair pair(seed, 1, 0, 0);
    constexpr std::uint64_t kKeys = 8'000;
    const auto put = [&](Transaction& transaction, std::uint64_t key) {
      transaction.writes.push_back({"key/" + std::to_string(key), std::string(512, 'x')});
      rng.fill(
          std::span(reinterpret_cast<std::uint8_t*>(transaction.writes.back().value->data()), 32));
    };
    const auto both = [&](Transaction transaction, bool behind_too) {
      ++pair.slot;
      const std::vector<Operation> operations{{.action = std::move(transaction)}};
      pair.ahead.apply(pair.slot, operations);
      if (behind_too) pair.behind.apply(pair.slot, operations);
    };
    for (std::uint64_t key = 0; key < kKeys; key += 500) {
      Transaction transaction;
      for (std::uint64_t i = 0; i < 500; ++i) put(transaction, key + i);
      both(std::move(transaction), true);
    }
    std::uint64_t changed = 0;  // at most: some twice
    for (int round = 0; round < 4; ++round) {
      Transaction transaction;
      std::set<std::uint64_t> keys;
      while (keys.size() < 40) keys.insert(rng.below(kKeys + kKeys / 10));
      for (const auto key : keys) {
        put(transaction, key);
        if (rng.below(5) == 0) transaction.writes.back().value.reset();
      }
      changed += keys.size();
      both(std::move(transaction), false);
    }
    ASSERT_TRUE(pair.ahead.machine->checkpoint());
    auto fetcher = start(pair.behind, pair.target(), {});
    EXPECT_EQ(fetch(**fetcher, pair.ahead), 0u);
    const auto& progress = (*fetcher)->progress();
    const std::uint64_t difference = difference_bytes(pair.behind.model, pair.ahead.model);
    const std::uint64_t sent = progress.bytes_asked + progress.bytes_received;
    EXPECT_LE(sent, difference * 13 / 10);
    EXPECT_LE(progress.leaves, changed + changed / 10);
    ASSERT_TRUE((*fetcher)->finish());
    expect_equal_states(pair.behind, pair.ahead);
    if (HasFatalFailure()) return;
    RecordProperty("sent", static_cast<int>(sent));
    RecordProperty("difference", static_cast<int>(difference));
  }
}

TEST(Transfer, EveryBadAnswerIsCaughtAndBlamed) {
  std::uint64_t refused = 0;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    base::SeededRng rng(seed);
    Pair pair(seed, 200, rng.below(30), 10);
    auto fetcher = start(pair.behind, pair.target(), {.items_max = 8});
    refused += fetch(**fetcher, pair.ahead, [&](base::Bytes& bytes) {
      if (rng.below(2) == 0) return false;
      const auto honest = bytes;
      switch (rng.below(3)) {
        case 0:
          bytes[rng.below(bytes.size())] ^= static_cast<std::uint8_t>(1 + rng.below(255));
          break;
        case 1:
          bytes.resize(rng.below(bytes.size()));
          break;
        default: {
          auto answer = *decode_transfer_answer(bytes);
          answer.items.back() = NothingThere();
          bytes = encode(answer);
        }
      }
      // An answer that ends early is no lie.
      if (const auto answer = decode_transfer_answer(bytes)) {
        const auto whole = *decode_transfer_answer(honest);
        if (!answer->kept ||
            (answer->items.size() <= whole.items.size() && !answer->items.empty() &&
             std::equal(answer->items.begin(), answer->items.end(), whole.items.begin())))
          return !answer->kept;
      }
      return true;
    });
    ASSERT_TRUE((*fetcher)->finish());
    expect_equal_states(pair.behind, pair.ahead);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(refused, 30u);
}

// Short hints may err, so that who answers them wrongly is asked again first.
TEST(Transfer, ALiarIsBlamedAtTheLatestWhenAskedExactly) {
  Pair pair(15, 60, 30, 5);
  auto fetcher = start(pair.behind, pair.target(), {.requests_max = 1});
  for (int round = 0; round < 2; ++round) {
    const auto requests = (*fetcher)->next_requests();
    ASSERT_EQ(requests->size(), 1u);
    const auto asked = decode_transfer_request(requests->front().bytes);
    auto answer = *answer_transfer(pair.ahead.view(), *asked);
    auto& edits = std::get<LeafEdits>(answer.items.front()).edits;
    EXPECT_EQ(asked->items.front().exact, round == 1);
    edits.erase(edits.begin());
    const auto taken = (*fetcher)->on_answer(requests->front().id, encode(answer));
    EXPECT_EQ(taken.has_value(), round == 0);
  }
  EXPECT_EQ((*fetcher)->progress().doubted, 1u);
  EXPECT_EQ((*fetcher)->progress().bad_answers, 1u);
  fetch(**fetcher, pair.ahead);
  ASSERT_TRUE((*fetcher)->finish());
  expect_equal_states(pair.behind, pair.ahead);
}

TEST(Transfer, NobodyReadsAStateThatIsBeingReplaced) {
  MemoryStorage storage;
  Storage::Batch begun;
  begun.put(std::string(kSwitchKey), "");
  ASSERT_TRUE(storage.write(begun));
  const auto view = View::of(storage);
  ASSERT_FALSE(view);
  EXPECT_EQ(view.error().code, base::Errc::Unavailable);
}

TEST(TransferEdits, KeepWhatAgreesInOrder) {
  using enum EditStep::Kind;
  struct Case {
    std::vector<HashHint> from, to;
    bool replace;
    std::vector<EditStep> steps;
  };
  const std::vector<Case> cases = {
      {{}, {}, true, {}},
      {{1, 2, 3}, {1, 2, 3}, true, {{Keep, 3}}},
      {{1, 2, 3}, {1, 9, 3}, true, {{Keep, 1}, {Replace, 1}, {Keep, 1}}},
      {{1, 2, 3}, {1, 9, 3}, false, {{Keep, 1}, {Drop, 1}, {Insert, 1}, {Keep, 1}}},
      {{1, 2, 3}, {1, 3}, true, {{Keep, 1}, {Drop, 1}, {Keep, 1}}},
      {{1, 3}, {1, 2, 2, 3}, true, {{Keep, 1}, {Insert, 2}, {Keep, 1}}},
      {{1, 2, 3, 4}, {5, 2, 3, 6, 4}, true, {{Replace, 1}, {Keep, 2}, {Insert, 1}, {Keep, 1}}},
      {{1, 2}, {3, 4, 5}, true, {{Drop, 2}, {Insert, 3}}},
      {{7, 7, 7}, {7, 7}, true, {{Keep, 2}, {Drop, 1}}},
  };
  for (const auto& [from, to, replace, steps] : cases) EXPECT_EQ(align(from, to, replace), steps);
}

TEST(Transfer, StartedAgainAsksForTheRestOnly) {
  Pair pair(5, 3000, 0, 300);
  std::uint64_t received = 0;
  for (int rounds = 0;; ++rounds) {
    ASSERT_LT(rounds, 100);
    auto fetcher = start(pair.behind, pair.target(), {.requests_max = 1, .items_max = 4});
    ASSERT_TRUE(fetcher);
    fetch(**fetcher, pair.ahead, {}, 2);
    received += (*fetcher)->progress().bytes_received;
    if (!(*fetcher)->complete()) continue;
    ASSERT_TRUE((*fetcher)->finish());
    break;
  }
  Replica other;
  auto at_once = start(other, pair.target(), {.requests_max = 1, .items_max = 4});
  fetch(**at_once, pair.ahead);
  EXPECT_EQ(received, (*at_once)->progress().bytes_received);
  expect_equal_states(pair.behind, pair.ahead);
}

TEST(Transfer, ANewerTargetUsesWhatWasFetchedForAnOlderOne) {
  Pair pair(6, 2000, 0, 200);
  auto fetcher = start(pair.behind, pair.target(), {});
  fetch(**fetcher, pair.ahead);
  const auto whole = (*fetcher)->progress().bytes_received;
  const std::vector<Operation> one{{.action = Transaction{{}, {{"k/1", "changed"}}}}};
  pair.ahead.apply(++pair.slot, one);
  ASSERT_TRUE(pair.ahead.machine->checkpoint());
  auto newer = start(pair.behind, pair.target(), {});
  fetch(**newer, pair.ahead);
  EXPECT_LT((*newer)->progress().bytes_received, whole / 4);
  ASSERT_TRUE((*newer)->finish());
  expect_equal_states(pair.behind, pair.ahead);
}

TEST(Transfer, ACrashLeavesTheOldStateOrTheNew) {
  for (std::uint64_t crash = 0;; ++crash) {
    SCOPED_TRACE(crash);
    Pair pair(9, 150, 30, 10);
    const auto old_root = pair.behind.machine->root().value();
    ASSERT_TRUE(pair.behind.machine->flush());
    CrashingStorage crashing(pair.behind.storage, crash);
    auto fetcher = Fetcher::start(crashing, pair.target(), {.items_max = 4});
    bool done = fetcher.has_value();
    while (done && !(*fetcher)->complete()) {
      const auto requests = (*fetcher)->next_requests();
      done = requests.has_value();
      for (std::size_t i = 0; done && i < requests->size(); ++i) {
        const auto answer =
            answer_transfer(pair.ahead.view(), *decode_transfer_request((*requests)[i].bytes));
        done = (*fetcher)->on_answer((*requests)[i].id, encode(*answer)).has_value();
      }
    }
    done = done && (*fetcher)->finish().has_value();
    // The process starts again.
    pair.behind.machine = *Machine::open(pair.behind.storage, {});
    if (pair.behind.machine->root().value() == old_root) {
      ASSERT_FALSE(done);
      pair.behind.expect_model();
    } else {
      expect_equal_states(pair.behind, pair.ahead);
    }
    if (done || HasFatalFailure()) break;
  }
}

TEST(Transfer, RepairsAStateThatWentWrong) {
  Pair pair(12, 100, 40, 0);
  // The same slot with something else in it: stamps agree, contents do not.
  pair.behind.apply(pair.slot + 1,
                    {{.action = Transaction{{}, {{"k/1", "wrong"}, {"x", "wrong"}}}}});
  pair.ahead.apply(pair.slot + 1,
                   {{.action = Transaction{{}, {{"k/1", "right"}, {"y", "right"}}}}});
  ++pair.slot;
  ASSERT_TRUE(pair.ahead.machine->checkpoint());
  auto fetcher = start(pair.behind, pair.target(), {});
  EXPECT_EQ(fetch(**fetcher, pair.ahead), 0u);
  ASSERT_TRUE((*fetcher)->finish());
  expect_equal_states(pair.behind, pair.ahead);
}

TEST(Transfer, LargeValuesTravelOneByOne) {
  Pair pair(13, 1, 0, 0);
  for (int i = 0; i < 8; ++i) {
    pair.ahead.apply(
        ++pair.slot,
        {{.action = Transaction{{},
                                {{"large/" + std::to_string(i),
                                  std::string(kValueBytesMax - static_cast<std::size_t>(i),
                                              static_cast<char>('a' + i))}}}}});
  }
  ASSERT_TRUE(pair.ahead.machine->checkpoint());
  auto fetcher = start(pair.behind, pair.target(), {});
  EXPECT_EQ(fetch(**fetcher, pair.ahead), 0u);
  ASSERT_TRUE((*fetcher)->finish());
  expect_equal_states(pair.behind, pair.ahead);
}

TEST(Transfer, ACheckpointThatIsGoneIsToldApartFromALie) {
  Pair pair(14, 50, 5, 5);
  auto fetcher = start(pair.behind, {pair.slot - 3, pair.ahead.machine->root().value()}, {});
  const auto requests = (*fetcher)->next_requests();
  const auto answer =
      answer_transfer(pair.ahead.view(), *decode_transfer_request(requests->front().bytes));
  EXPECT_FALSE(answer->kept);
  EXPECT_EQ((*fetcher)->on_answer(requests->front().id, encode(*answer)).error().code,
            base::Errc::NotFound);
  EXPECT_FALSE((*fetcher)->complete());
}

}  // namespace
}  // namespace hypermesh::state
