// The promises of every StateStore, over each backend of the embedded one; and what it alone
// promises of its disk.

#include "testing/state_store_conformance.hpp"

#include <base/async/timeout.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <filesystem>

#include "state/local_state_stores.hpp"
#include "state/memory_backend.hpp"
#include "state/temporary_folder_testing.hpp"

namespace nexus {
namespace {

class EmbeddedSubject final : public StoreSubject {
 public:
  explicit EmbeddedSubject(bool on_disk) : on_disk_(on_disk) {}

  void with_store(std::function<base::Task<>(StateStore&)> body, Retained retained) override {
    EmbeddedStateStore::Limits limits;
    limits.recent_commits_max = retained.in_memory;
    if (retained.commits) limits.log.commits_max = *retained.commits;
    if (retained.bytes) limits.log.bytes_max = *retained.bytes;
    base::asio::io_context context;
    base::BlockingPool pool(2);
    auto store =
        on_disk_ ? open_rocksdb_state_store(context.get_executor(), pool, folder_.path() / "db",
                                            {.free_bytes_min = 0}, clock_, *metrics_, {}, limits)
                 : EmbeddedStateStore::open(context.get_executor(), pool,
                                            std::make_unique<BorrowedMemoryBackend>(memory), clock_,
                                            *metrics_, limits);
    ASSERT_TRUE(store) << store.error().describe();
    base::asio::co_spawn(
        context,
        [&]() -> base::Task<> {
          co_await body(**store);
          co_await (*store)->close();
        },
        [](const std::exception_ptr& thrown) {
          if (thrown) std::rethrow_exception(thrown);
        });
    context.run();
  }

  MemoryBackend memory;

 private:
  const bool on_disk_;
  TemporaryFolder folder_;
  base::SystemClock clock_;
  std::unique_ptr<base::Metrics> metrics_ = base::make_prometheus_metrics();
};

Subject embedded(std::string name, bool on_disk) {
  return {std::move(name), [on_disk] { return std::make_unique<EmbeddedSubject>(on_disk); },
          kStateKeyBytesMax, kStateValueBytesMax};
}
INSTANTIATE_TEST_SUITE_P(Backends, StateStoreConformance,
                         testing::Values(embedded("Memory", false), embedded("RocksDb", true)),
                         subject_name);

class FullDisk : public testing::Test {
 protected:
  EmbeddedSubject subject_{false};
  MemoryBackend& memory_ = subject_.memory;
};

TEST_F(FullDisk, RefusesChangesNothingAndGoesOnWhenThereIsRoom) {
  const auto body = [this](StateStore& store) -> base::Task<> {
    co_await store.commit(put("a", "1"));
    memory_.set_full(true);
    EXPECT_EQ(co_await code_of(store.commit(put("a", "2"))), Errc::ResourceExhausted);
    EXPECT_EQ((co_await store.grant_lease(1h)).error().code, Errc::ResourceExhausted);
    EXPECT_EQ(co_await value_of(store, "a"), "1");
    EXPECT_EQ(store.revision(), 1u);
    memory_.set_full(false);
    EXPECT_EQ(co_await store.commit(put("a", "3", 1)), 2u);
  };
  subject_.with_store(body, {});
}

TEST_F(FullDisk, AWatchOutlivesADiskThatIsAwayForAMoment) {
  subject_.with_store(
      [this](StateStore& store) -> base::Task<> {
        auto watch = (co_await store.watch("", 0)).value();
        for (const char* key : {"a", "b", "c"}) co_await store.commit(put(key, "1"));
        memory_.fail_views(2);  // all but the last are on the disk only
        EXPECT_THAT(texts((co_await watch->next()).value()),
                    ElementsAre("1 a=1", "2 b=1", "3 c=1"));
      },
      {.in_memory = 1});
}

}  // namespace
}  // namespace nexus
