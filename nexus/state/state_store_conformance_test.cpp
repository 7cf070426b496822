// What every StateStore promises (nexus/state_store.hpp), run over each backend of the embedded
// one.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <base/async/timeout.hpp>
#include <base/random.hpp>
#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <functional>

#include "state/local_state_stores.hpp"
#include "state/memory_backend.hpp"
#include "state/temporary_folder_testing.hpp"

namespace nexus {
namespace {

using namespace std::chrono_literals;
using base::Errc;
using testing::ElementsAre;

struct Parameters {
  const char* name;
  bool on_disk;
};

class StateStoreConformance : public testing::TestWithParam<Parameters> {
 protected:
  // Opens a store, runs `body` on it and closes it. Run twice, the second store starts with what
  // the first left.
  void with_store(std::function<base::Task<>(EmbeddedStateStore&)> body,
                  EmbeddedStateStore::Limits limits = {}) {
    base::asio::io_context context;
    base::BlockingPool pool(2);
    auto store =
        GetParam().on_disk
            ? open_rocksdb_state_store(context.get_executor(), pool, folder_.path() / "db",
                                       {.free_bytes_min = 0}, clock_, *metrics_, {}, limits)
            : EmbeddedStateStore::open(context.get_executor(), pool,
                                       std::make_unique<BorrowedMemoryBackend>(memory_), clock_,
                                       *metrics_, limits);
    ASSERT_TRUE(store) << store.error().describe();
    bool done = false;
    base::asio::co_spawn(
        context,
        [&]() -> base::Task<> {
          co_await body(**store);
          co_await (*store)->close();
          done = true;
        },
        [](std::exception_ptr thrown) {
          if (thrown) std::rethrow_exception(thrown);
        });
    context.run();
    EXPECT_TRUE(done);
  }

  MemoryBackend memory_;

 private:
  TemporaryFolder folder_;
  base::SystemClock clock_;
  std::unique_ptr<base::Metrics> metrics_ = base::make_prometheus_metrics();
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
    EXPECT_EQ(co_await code_of(store.commit(put(std::string(kStateKeyBytesMax + 1, 'k'), "1"))),
              Errc::InvalidArgument);
    EXPECT_EQ(co_await code_of(store.commit(put("a", std::string(kStateValueBytesMax + 1, 'v')))),
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
  EmbeddedStateStore::Limits small;
  small.recent_commits_max = 3;  // most come from the log
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
  EmbeddedStateStore::Limits small;
  small.recent_commits_max = 2;
  small.log.commits_max = 20;
  with_store(
      [](StateStore& store) -> base::Task<> {
        auto idle = std::move(*co_await store.watch("other/", 0));
        auto behind = std::move(*co_await store.watch("a", 0));
        for (int i = 1; i <= 60; ++i) co_await store.commit(put("a", std::to_string(i)));
        EXPECT_EQ((co_await store.watch("a", 10)).error().code, Errc::FailedPrecondition);
        EXPECT_EQ((co_await behind->next()).error().code, Errc::FailedPrecondition);
        EXPECT_TRUE(co_await store.watch("a", 40));
        co_await store.commit(put("other/x", "1"));
        EXPECT_THAT(texts((co_await idle->next()).value()), ElementsAre("61 other/x=1"));
        EXPECT_EQ(co_await value_of(store, "a"), "60");
      },
      small);
  with_store([](StateStore& store) -> base::Task<> {
    EXPECT_EQ(store.revision(), 61u);
    EXPECT_EQ((co_await store.watch("a", 10)).error().code, Errc::FailedPrecondition);
    EXPECT_TRUE(co_await store.watch("a", 45));
  });
}

TEST_P(StateStoreConformance, TheLogIsBoundedInBytesToo) {
  EmbeddedStateStore::Limits small;
  small.recent_commits_max = 2;
  small.log.bytes_max = 100'000;
  with_store(
      [](StateStore& store) -> base::Task<> {
        for (int i = 1; i <= 60; ++i) co_await store.commit(put("a", std::string(10'000, 'x')));
        EXPECT_EQ((co_await store.watch("a", 45)).error().code, Errc::FailedPrecondition);
        EXPECT_TRUE(co_await store.watch("a", 52));
      },
      small);
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
    const auto short_lease = co_await store.grant_lease(1ms);
    co_await store.commit(put("brief", "1", {}, *short_lease));
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

INSTANTIATE_TEST_SUITE_P(Backends, StateStoreConformance,
                         testing::Values(Parameters{"Memory", false}, Parameters{"RocksDb", true}),
                         [](const auto& info) { return info.param.name; });

class FullDisk : public StateStoreConformance {};

TEST_P(FullDisk, RefusesChangesNothingAndGoesOnWhenThereIsRoom) {
  with_store([this](StateStore& store) -> base::Task<> {
    co_await store.commit(put("a", "1"));
    memory_.set_full(true);
    EXPECT_EQ(co_await code_of(store.commit(put("a", "2"))), Errc::ResourceExhausted);
    EXPECT_EQ((co_await store.grant_lease(1h)).error().code, Errc::ResourceExhausted);
    EXPECT_EQ(co_await value_of(store, "a"), "1");
    EXPECT_EQ(store.revision(), 1u);
    memory_.set_full(false);
    EXPECT_EQ(co_await store.commit(put("a", "3", 1)), 2u);
  });
}

TEST_P(FullDisk, AWatchOutlivesADiskThatIsAwayForAMoment) {
  EmbeddedStateStore::Limits limits;
  limits.recent_commits_max = 1;
  with_store(
      [this](StateStore& store) -> base::Task<> {
        auto watch = (co_await store.watch("", 0)).value();
        for (const char* key : {"a", "b", "c"}) co_await store.commit(put(key, "1"));
        memory_.fail_views(2);  // all but the last are on the disk only
        EXPECT_THAT(texts((co_await watch->next()).value()),
                    ElementsAre("1 a=1", "2 b=1", "3 c=1"));
      },
      limits);
}

INSTANTIATE_TEST_SUITE_P(Backends, FullDisk, testing::Values(Parameters{"Memory", false}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace nexus
