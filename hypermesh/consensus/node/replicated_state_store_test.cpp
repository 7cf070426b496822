#include "consensus/node/replicated_state_store.hpp"

#include "consensus/node/testing/cluster.hpp"

namespace hypermesh::consensus::testing {
namespace {

using StateStores = ClusterTest;

Task<nexus::Revision> put(nexus::StateStore& store, std::string key, std::string value) {
  std::vector<nexus::Write> writes(1);
  writes[0].key = std::move(key);
  writes[0].value = std::move(value);
  const auto revision = co_await store.commit(std::move(writes));
  EXPECT_TRUE(revision) << revision.error().describe();
  co_return revision.value_or(0);
}

TEST_F(StateStores, ShowAtEveryNodeWhatWasAcknowledgedAtOne) {
  run(4, 4, [](Replicas& replicas) -> Task<> {
    std::vector<std::unique_ptr<nexus::StateStore>> stores;
    for (auto& replica : replicas) {
      replica->open();
      stores.push_back(std::make_unique<ReplicatedStateStore>(*replica->node));
    }
    const auto revision = co_await put(*stores[0], "pods/a", "1");
    const auto entry = co_await stores[2]->get("pods/a");
    EXPECT_TRUE(entry) << entry.error().describe();
    EXPECT_EQ((*entry)->value, "1");
    EXPECT_EQ((*entry)->modified, revision);
    EXPECT_FALSE(*co_await stores[1]->get("pods/b"));

    std::vector<nexus::Write> stale(1);
    stale[0] = {"pods/a", "2", revision + 7};
    const auto refused = co_await stores[3]->commit(std::move(stale));
    EXPECT_EQ(refused.error().code, Errc::Conflict);
    EXPECT_NE(refused.error().message.find("pods/a"), std::string::npos);
    EXPECT_EQ((co_await stores[3]->commit({})).error().code, Errc::InvalidArgument);

    co_await put(*stores[1], "pods/b", "2");
    co_await put(*stores[1], "nodes/x", "3");
    const auto page = co_await stores[0]->range({.prefix = "pods/", .entries_max = 1});
    EXPECT_EQ(page->entries.size(), 1u);
    EXPECT_TRUE(page->more);
    EXPECT_EQ(page->revision, revision + 2);
  });
}

TEST_F(StateStores, WatchesFollowAndLeasesEnd) {
  run(4, 4, [](Replicas& replicas) -> Task<> {
    for (auto& replica : replicas) replica->open();
    ReplicatedStateStore writer(*replicas[0]->node), watcher(*replicas[3]->node);
    const auto before = co_await put(writer, "a/1", "x");
    auto watch = co_await watcher.watch("a/", before);
    EXPECT_TRUE(watch) << watch.error().describe();
    co_await put(writer, "b/1", "elsewhere");
    const auto lease = co_await writer.grant_lease(1h);
    EXPECT_TRUE(lease);
    std::vector<nexus::Write> leased(1);
    leased[0].key = "a/2";
    leased[0].value = "y";
    leased[0].lease = *lease;
    EXPECT_TRUE(co_await writer.commit(std::move(leased)));
    const auto made = co_await (*watch)->next();
    EXPECT_EQ(made->size(), 1u);
    EXPECT_EQ(made->at(0).key, "a/2");
    EXPECT_TRUE(co_await writer.keep_alive(*lease));
    EXPECT_TRUE(co_await writer.revoke_lease(*lease));
    const auto gone = co_await (*watch)->next();
    EXPECT_EQ(gone->at(0).key, "a/2");
    EXPECT_FALSE(gone->at(0).value);
    EXPECT_EQ(gone->at(0).previous, "y");
    EXPECT_EQ((co_await writer.keep_alive(*lease)).error().code, Errc::NotFound);
    EXPECT_EQ((co_await watcher.watch("a/", before + 100)).error().code, Errc::FailedPrecondition);
  });
}

TEST_F(StateStores, LeasesEndThoughNothingElseIsOrdered) {
  run(4, 4, [](Replicas& replicas) -> Task<> {
    for (auto& replica : replicas) replica->open();
    ReplicatedStateStore store(*replicas[1]->node);
    const auto lease = co_await store.grant_lease(100ms);
    EXPECT_TRUE(lease);
    std::vector<nexus::Write> leased(1);
    leased[0].key = "a/1";
    leased[0].value = "y";
    leased[0].lease = *lease;
    const auto written = co_await store.commit(std::move(leased));
    EXPECT_TRUE(written) << written.error().describe();
    auto watch = co_await store.watch("a/", written.value_or(0));
    EXPECT_TRUE(watch) << watch.error().describe();
    const auto gone = co_await (*watch)->next();
    EXPECT_EQ(gone->at(0).key, "a/1");
    EXPECT_FALSE(gone->at(0).value);
  });
}

}  // namespace
}  // namespace hypermesh::consensus::testing
