#pragma once

// What every StateStore promises (nexus/state_store.hpp). A program that includes this gives the
// suite its subjects:
//
//   INSTANTIATE_TEST_SUITE_P(Backends, StateStoreConformance, Values(Subject{...}), subject_name);

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <base/async/task_scope.hpp>
#include <base/random.hpp>
#include <functional>
#include <map>
#include <memory>
#include <nexus/state_store.hpp>

namespace nexus {

/// How much of the past a store is to retain; empty: as it likes.
struct Retained {
  std::optional<std::size_t> commits, bytes;
  std::size_t in_memory = 1024;  ///< Of commits, for stores that keep some there.
};

/// Stores one after the other on the same data.
class StoreSubject {
 public:
  virtual ~StoreSubject() = default;
  /// Opens a store, runs `body` on it and closes it.
  virtual void with_store(std::function<base::Task<>(StateStore&)> body, Retained retained) = 0;
};

struct Subject {
  std::string name;
  std::function<std::unique_ptr<StoreSubject>()> make;
  std::size_t key_bytes_max = 0, value_bytes_max = 0;
  /// So many commits more than it is told it may retain.
  std::size_t retained_slack = 0;
};
inline void PrintTo(const Subject& subject, std::ostream* out) {
  *out << subject.name;
}
inline std::string subject_name(const testing::TestParamInfo<Subject>& info) {
  return info.param.name;
}

namespace {

using namespace std::chrono_literals;
using base::Errc;
using testing::ElementsAre;

class StateStoreConformance : public testing::TestWithParam<Subject> {
 protected:
  void with_store(std::function<base::Task<>(StateStore&)> body, Retained retained = {}) {
    bool done = false;
    subject_->with_store(
        [&](StateStore& store) -> base::Task<> {
          co_await body(store);
          done = true;
        },
        retained);
    EXPECT_TRUE(done);
  }

 private:
  std::unique_ptr<StoreSubject> subject_ = GetParam().make();
};

std::vector<Write> put(std::string key, std::string value, std::optional<Revision> expected = {},
                       LeaseId lease = 0) {
  return {{std::move(key), std::move(value), expected, lease}};
}
std::vector<Write> erase(std::string key, std::optional<Revision> expected = {}) {
  return {{std::move(key), std::nullopt, expected}};
}

base::Task<Errc> code_of(base::Task<base::Result<Revision>> task) {
  const auto result = co_await std::move(task);
  EXPECT_FALSE(result);
  co_return result ? Errc::Internal : result.error().code;
}

base::Task<std::string> value_of(StateStore& store, std::string key) {
  const auto found = co_await store.get(std::move(key));
  if (!found || !*found) co_return "(none)";
  co_return (*found)->value;
}

// "3 a=new<old", "4 -a<new"
std::vector<std::string> texts(const std::vector<WatchEvent>& events) {
  std::vector<std::string> lines;
  for (const auto& event : events) {
    std::string line = std::to_string(event.revision) +
                       (event.value ? " " + event.key + "=" + *event.value : " -" + event.key);
    if (event.previous) line += "<" + *event.previous;
    lines.push_back(std::move(line));
  }
  return lines;
}

TEST_P(StateStoreConformance, CommitsGetConsecutiveRevisionsAndCanBeRead) {
  with_store([](StateStore& store) -> base::Task<> {
    EXPECT_EQ(store.revision(), 0u);
    EXPECT_EQ(co_await store.commit(put("a", "1")), 1u);
    EXPECT_EQ(co_await store.commit(put("a", "2")), 2u);
    EXPECT_EQ(co_await store.commit({{"b", "x"}, {"c", "y"}}), 3u);
    EXPECT_EQ(store.revision(), 3u);
    const auto a = co_await store.get("a");
    EXPECT_EQ((*a)->value, "2");
    EXPECT_EQ((*a)->created, 1u);
    EXPECT_EQ((*a)->modified, 2u);
    EXPECT_FALSE((co_await store.get("d")).value());
  });
}

TEST_P(StateStoreConformance, CompareAndSetHoldsOrChangesNothing) {
  with_store([](StateStore& store) -> base::Task<> {
    EXPECT_EQ(co_await store.commit(put("a", "1", 0)), 1u);
    EXPECT_EQ(co_await code_of(store.commit(put("a", "2", 0))), Errc::Conflict);
    EXPECT_EQ(co_await code_of(store.commit(put("b", "2", 1))), Errc::Conflict);
    EXPECT_EQ(co_await code_of(store.commit({{"c", "new", 0}, {"a", "2", 7}})), Errc::Conflict);
    EXPECT_EQ(co_await value_of(store, "c"), "(none)");
    EXPECT_EQ(co_await store.commit(put("a", "2", 1)), 2u);
    EXPECT_EQ(co_await code_of(store.commit(erase("a", 1))), Errc::Conflict);
    EXPECT_EQ(co_await store.commit(erase("a", 2)), 3u);
    EXPECT_EQ(co_await store.commit(put("a", "again", 0)), 4u);
    const auto named = co_await store.commit(put("a", "2", 2));
    EXPECT_EQ(named.error().message, "a is at revision 4; 2 was expected");
  });
}

TEST_P(StateStoreConformance, ARequestThatCanNeverWorkIsRefused) {
  with_store([](StateStore& store) -> base::Task<> {
    EXPECT_EQ(co_await code_of(store.commit({})), Errc::InvalidArgument);
    EXPECT_EQ(co_await code_of(store.commit({{"a", "1"}, {"a", "2"}})), Errc::InvalidArgument);
    EXPECT_EQ(co_await code_of(store.commit(put("", "1"))), Errc::InvalidArgument);
    EXPECT_EQ(
        co_await code_of(store.commit(put(std::string(GetParam().key_bytes_max + 1, 'k'), "1"))),
        Errc::InvalidArgument);
    EXPECT_EQ(
        co_await code_of(store.commit(put("a", std::string(GetParam().value_bytes_max + 1, 'v')))),
        Errc::ResourceExhausted);
    EXPECT_EQ(co_await code_of(store.commit(put("a", "1", {}, 99))), Errc::FailedPrecondition);
    EXPECT_EQ(store.revision(), 0u);
  });
}

TEST_P(StateStoreConformance, RangesComeInOrderAndInPages) {
  with_store([](StateStore& store) -> base::Task<> {
    co_await store.commit({{"p/c", "3"}, {"p/a", "1"}, {"p/b", "2"}, {"q", "4"}, {"o", "0"}});
    auto page = co_await store.range({"p/", "", 2});
    EXPECT_TRUE(page->more);
    EXPECT_EQ(page->revision, 1u);
    EXPECT_EQ(page->entries.at(0).key, "p/a");
    EXPECT_EQ(page->entries.at(1).key, "p/b");
    page = co_await store.range({"p/", "p/b", 2});
    EXPECT_FALSE(page->more);
    EXPECT_EQ(page->entries.size(), 1u);
    EXPECT_EQ(page->entries.at(0).value, "3");
    page = co_await store.range({"none/"});
    EXPECT_TRUE(page->entries.empty());
    EXPECT_EQ(page->revision, 1u);
  });
}

TEST_P(StateStoreConformance, ConcurrentCommitsKeepTheOrderOfTheirCalls) {
  with_store([](StateStore& store) -> base::Task<> {
    const auto executor = co_await base::asio::this_coro::executor;
    base::TaskScope scope(executor);
    std::vector<Revision> revisions(50);
    for (std::size_t i = 0; i < revisions.size(); ++i) {
      scope.spawn([](StateStore& to, std::size_t index, Revision& revision) -> base::Task<> {
        // Everyone adds to the same key: the last call wins.
        const auto done = co_await to.commit(put("last", std::to_string(index)));
        EXPECT_TRUE(done);
        revision = done.value_or(0);
      }(store, i, revisions[i]));
    }
    co_await scope.join();
    for (std::size_t i = 0; i < revisions.size(); ++i) EXPECT_EQ(revisions[i], i + 1);
    EXPECT_EQ(co_await value_of(store, "last"), "49");
  });
}

TEST_P(StateStoreConformance, OfTwoThatExpectTheSameRevisionOneWins) {
  with_store([](StateStore& store) -> base::Task<> {
    co_await store.commit(put("a", "0"));
    const auto executor = co_await base::asio::this_coro::executor;
    base::TaskScope scope(executor);
    int won = 0, lost = 0;
    for (int i = 0; i < 2; ++i) {
      scope.spawn([](StateStore& to, int& wins, int& losses) -> base::Task<> {
        const auto done = co_await to.commit(put("a", "1", 1));
        ++(done ? wins : losses);
      }(store, won, lost));
    }
    co_await scope.join();
    EXPECT_EQ(won, 1);
    EXPECT_EQ(lost, 1);
    EXPECT_EQ(store.revision(), 2u);
  });
}

TEST_P(StateStoreConformance, AWatchSeesItsPrefixOnlyAndWithWhatWasBefore) {
  with_store([](StateStore& store) -> base::Task<> {
    auto watch = std::move(*co_await store.watch("p/", 0));
    co_await store.commit(put("q", "no"));
    co_await store.commit({{"p/a", "1"}, {"p/b", "1"}});
    co_await store.commit(put("p/a", "2"));
    co_await store.commit(erase("p/a"));
    co_await store.commit(erase("p/a"));  // nothing there any more: no event
    std::vector<WatchEvent> seen;
    while (seen.size() < 4) {
      auto next = co_await watch->next();
      EXPECT_TRUE(next);
      if (!next) co_return;
      seen.insert(seen.end(), next->begin(), next->end());
    }
    EXPECT_THAT(texts(seen), ElementsAre("2 p/a=1", "2 p/b=1", "3 p/a=2<1", "4 -p/a<2"));
  });
}

TEST_P(StateStoreConformance, AWatchStartsAtAnyRetainedRevisionAlsoAfterARestart) {
  const Retained small{.in_memory = 3};  // most come from the log
  with_store(
      [](StateStore& store) -> base::Task<> {
        for (int i = 1; i <= 20; ++i) co_await store.commit(put("a", std::to_string(i)));
      },
      small);
  with_store(
      [](StateStore& store) -> base::Task<> {
        for (int i = 21; i <= 30; ++i) co_await store.commit(put("a", std::to_string(i)));
        for (const Revision after : {0, 1, 19, 20, 21, 26, 27, 29}) {
          auto watch = std::move(*co_await store.watch("a", after));
          std::vector<WatchEvent> seen;
          while (seen.size() < 30 - after) {
            const auto next = co_await watch->next();
            EXPECT_TRUE(next);
            if (!next) co_return;
            seen.insert(seen.end(), next->begin(), next->end());
          }
          EXPECT_EQ(seen.size(), 30 - after);
          for (std::size_t i = 0; i < seen.size(); ++i) {
            EXPECT_EQ(seen[i].revision, after + i + 1);
            EXPECT_EQ(seen[i].value, std::to_string(after + i + 1));
            EXPECT_EQ(seen[i].previous,
                      after + i == 0 ? std::nullopt : std::optional(std::to_string(after + i)));
          }
        }
      },
      small);
}

TEST_P(StateStoreConformance, AWatchOfTheCompactedPastFailsAndAnIdleOneNeverFallsBehind) {
  const Retained small{.commits = 20, .in_memory = 2};
  const auto slack = GetParam().retained_slack;
  with_store(
      [slack](StateStore& store) -> base::Task<> {
        auto idle = std::move(*co_await store.watch("other/", 0));
        auto behind = std::move(*co_await store.watch("a", 0));
        const auto last = 60 + slack;
        for (std::size_t i = 1; i <= last; ++i) co_await store.commit(put("a", std::to_string(i)));
        EXPECT_EQ((co_await store.watch("a", 10)).error().code, Errc::FailedPrecondition);
        EXPECT_EQ((co_await behind->next()).error().code, Errc::FailedPrecondition);
        EXPECT_TRUE(co_await store.watch("a", last - 20));
        co_await store.commit(put("other/x", "1"));
        EXPECT_THAT(texts((co_await idle->next()).value()),
                    ElementsAre(std::to_string(last + 1) + " other/x=1"));
        EXPECT_EQ(co_await value_of(store, "a"), std::to_string(last));
      },
      small);
  with_store([slack](StateStore& store) -> base::Task<> {
    EXPECT_EQ(store.revision(), 61 + slack);
    EXPECT_EQ((co_await store.watch("a", 10)).error().code, Errc::FailedPrecondition);
    EXPECT_TRUE(co_await store.watch("a", 45 + slack));
  });
}

TEST_P(StateStoreConformance, TheLogIsBoundedInBytesToo) {
  const auto slack = GetParam().retained_slack;
  with_store(
      [slack](StateStore& store) -> base::Task<> {
        for (std::size_t i = 1; i <= 60 + slack; ++i)
          co_await store.commit(put("a", std::string(10'000, 'x')));
        EXPECT_EQ((co_await store.watch("a", 45)).error().code, Errc::FailedPrecondition);
        EXPECT_TRUE(co_await store.watch("a", 52 + slack));
      },
      {.bytes = 100'000, .in_memory = 2});
}

TEST_P(StateStoreConformance, KeysOfALeaseGoWhenItEnds) {
  with_store([](StateStore& store) -> base::Task<> {
    auto watch = std::move(*co_await store.watch("", 0));
    const auto lease = co_await store.grant_lease(1h);
    EXPECT_TRUE(lease);
    co_await store.commit({{"kept", "1"}, {"mine", "1", {}, *lease}, {"moved", "1", {}, *lease}});
    co_await store.commit(put("moved", "2"));
    EXPECT_TRUE(co_await store.keep_alive(*lease));
    EXPECT_TRUE(co_await store.revoke_lease(*lease));
    EXPECT_EQ(co_await value_of(store, "mine"), "(none)");
    EXPECT_EQ(co_await value_of(store, "moved"), "2");
    EXPECT_EQ(co_await value_of(store, "kept"), "1");
    EXPECT_EQ((co_await store.keep_alive(*lease)).error().code, Errc::NotFound);
    EXPECT_EQ((co_await store.revoke_lease(*lease)).error().code, Errc::NotFound);
    // Long enough for one commit, whatever that takes here.
    for (base::Duration brief = 1ms;; brief *= 2) {
      const auto short_lease = co_await store.grant_lease(brief);
      const auto done = co_await store.commit(put("brief", "1", {}, *short_lease));
      if (done) break;
      EXPECT_EQ(done.error().code, Errc::FailedPrecondition);
      if (brief > 1min) co_return;
    }
    std::vector<std::string> seen;  // the watch wakes up when the lease ends by itself
    while (seen.empty() || !seen.back().starts_with("5 -brief")) {
      for (const auto& line : texts((co_await watch->next()).value())) seen.push_back(line);
    }
    EXPECT_THAT(seen, testing::Contains("3 -mine<1"));
  });
}

TEST_P(StateStoreConformance, LeasesOutliveARestart) {
  LeaseId lease = 0;
  with_store([&](StateStore& store) -> base::Task<> {
    lease = (co_await store.grant_lease(1h)).value();
    co_await store.commit(put("mine", "1", {}, lease));
  });
  with_store([&](StateStore& store) -> base::Task<> {
    EXPECT_TRUE(co_await store.keep_alive(lease));
    EXPECT_NE((co_await store.grant_lease(1h)).value(), lease);
    EXPECT_TRUE(co_await store.revoke_lease(lease));
    EXPECT_EQ(co_await value_of(store, "mine"), "(none)");
  });
}

// The model is a map; the store must agree with it after every step and after every restart.
TEST_P(StateStoreConformance, AgreesWithAModelOverRandomTransactions) {
  base::SeededRng rng(7);
  std::map<std::string, std::pair<std::string, Revision>> model;
  Revision revision = 0;
  for (int round = 0; round < 3; ++round) {
    with_store([&](StateStore& store) -> base::Task<> {
      EXPECT_EQ(store.revision(), revision);
      for (int step = 0; step < 60; ++step) {
        std::map<std::string, Write> writes;
        bool holds = true;
        for (std::uint64_t i = 0, count = 1 + rng.below(4); i < count; ++i) {
          Write write{"k" + std::to_string(rng.below(12)), std::nullopt};
          if (rng.below(3) != 0) write.value = std::to_string(rng.u64());
          const auto known = model.find(write.key);
          const Revision current = known == model.end() ? 0 : known->second.second;
          if (rng.below(2) == 0) write.expected = rng.below(5) == 0 ? current + 1 : current;
          if (writes.contains(write.key)) continue;
          holds = holds && (!write.expected || *write.expected == current);
          writes.emplace(write.key, write);
        }
        std::vector<Write> list;
        for (const auto& [key, write] : writes) list.push_back(write);
        const auto done = co_await store.commit(list);
        EXPECT_EQ(done.has_value(), holds);
        if (!done) continue;
        EXPECT_EQ(*done, ++revision);
        for (const auto& [key, write] : writes) {
          if (write.value) {
            model[key] = {*write.value, revision};
          } else {
            model.erase(key);
          }
        }
      }
      const auto all = co_await store.range({""});
      EXPECT_EQ(all->entries.size(), model.size());
      for (const auto& entry : all->entries) {
        EXPECT_EQ(model[entry.key], (std::pair{entry.value, entry.modified}));
      }
    });
  }
}

}  // namespace
}  // namespace nexus
