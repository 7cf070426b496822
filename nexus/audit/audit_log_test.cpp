#include "audit/audit_log.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <fstream>
#include <functional>

#include "state/embedded_state_store.hpp"
#include "state/memory_backend.hpp"
#include "state/temporary_folder_testing.hpp"

namespace nexus {
namespace {

using base::Errc;
using testing::ElementsAre;
using testing::HasSubstr;

class AuditLogTest : public testing::Test {
 protected:
  using Body = std::function<base::Task<>(AuditLog&, StateStore&)>;

  // One life of a node.
  void live(Body body, AuditLog::Limits limits = {}) {
    base::asio::io_context context;
    base::BlockingPool pool(1);
    auto state = EmbeddedStateStore::open(context.get_executor(), pool,
                                          std::make_unique<BorrowedMemoryBackend>(memory_), clock_,
                                          *metrics_, {});
    ASSERT_TRUE(state);
    bool done = false;
    base::asio::co_spawn(
        context,
        [&]() -> base::Task<> {
          auto audit = co_await AuditLog::open(context.get_executor(), pool, folder_.path(),
                                               **state, key_, clock_, *metrics_, {}, limits);
          EXPECT_TRUE(audit) << audit.error().describe();
          if (!audit) co_return;
          co_await body(**audit, **state);
          co_await (*audit)->close();
          audit->reset();
          co_await (*state)->close();
          done = true;
        },
        [](std::exception_ptr thrown) {
          if (thrown) std::rethrow_exception(thrown);
        });
    context.run();
    EXPECT_TRUE(done);
  }

  static AuditEntry entry(std::string who, std::string action, std::string object,
                          std::string result = "ok") {
    AuditEntry made;
    made.time = base::WallTime(std::chrono::seconds(1'000'000'000));
    made.who = std::move(who);
    made.action = std::move(action);
    made.object = std::move(object);
    made.result = std::move(result);
    return made;
  }

  void write_some(int count) {
    live([count](AuditLog& audit, StateStore&) -> base::Task<> {
      for (int i = 0; i < count; ++i)
        EXPECT_TRUE(
            co_await audit.record(entry("ana", "update", fmt::format("deployment/web-{}", i))));
    });
  }

  std::filesystem::path file(const char* name = "audit.log") const { return folder_.path() / name; }
  std::string content(const char* name = "audit.log") const {
    std::ifstream in(file(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void overwrite(const std::string& bytes, const char* name = "audit.log") const {
    std::ofstream(file(name), std::ios::binary | std::ios::trunc) << bytes;
  }
  // Empty when everything holds.
  std::string verify() {
    std::string message;
    live([&](AuditLog& audit, StateStore&) -> base::Task<> {
      const auto verified = co_await audit.verify_all();
      if (!verified) {
        EXPECT_EQ(verified.error().code, Errc::NotVerified);
        message = verified.error().message;
      }
    });
    return message;
  }
  // Where each record's frame starts.
  std::vector<std::size_t> frames() const {
    std::vector<std::size_t> starts;
    const auto bytes = content("audit.offsets");
    base::ByteReader reader(base::as_bytes(bytes));
    while (const auto offset = reader.u64()) starts.push_back(*offset);
    return starts;
  }

  TemporaryFolder folder_;
  MemoryBackend memory_;
  base::SystemClock clock_;
  base::SeededRng rng_{3};
  base::SigningKey key_ = base::SigningKey::generate(rng_);
  std::unique_ptr<base::Metrics> metrics_ = base::make_prometheus_metrics();
};

TEST_F(AuditLogTest, AWriteAndItsRecordAreThereTogetherOrNotAtAll) {
  live([](AuditLog& audit, StateStore& state) -> base::Task<> {
    const auto done =
        co_await audit.commit({{"a", "1", 0}}, {entry("ana", "create", "deployment/web")});
    EXPECT_EQ(done->revision, 1u);
    EXPECT_EQ(done->receipt.sequence, 1u);
    EXPECT_EQ(done->receipt.tree_size, 1u);
    EXPECT_EQ(done->receipt.root, audit.head().head.root);
    EXPECT_TRUE(verify_tree_head(audit.head()));
    const auto refused =
        co_await audit.commit({{"a", "2", 0}}, {entry("bob", "create", "deployment/web")});
    EXPECT_EQ(refused.error().code, Errc::Conflict);
    EXPECT_EQ((co_await state.get("a")).value()->value, "1");
    const auto records = co_await audit.list({});
    EXPECT_EQ(records->size(), 1u);
    EXPECT_EQ(records->front().entry.who, "ana");
    EXPECT_EQ(records->front().revision, 1u);
  });
}

TEST_F(AuditLogTest, ConcurrentWritesGetReceiptsInTheOrderOfTheirRevisions) {
  live([](AuditLog& audit, StateStore&) -> base::Task<> {
    base::TaskScope scope(co_await base::asio::this_coro::executor);
    std::map<Revision, Receipt> receipts;
    for (int i = 0; i < 40; ++i) {
      scope.spawn([](AuditLog& to, int number, std::map<Revision, Receipt>& into) -> base::Task<> {
        std::vector<Write> writes{{fmt::format("k{}", number), "1"}};
        std::vector<AuditEntry> entries{entry("ana", "create", fmt::format("pod/{}", number))};
        const auto done = co_await to.commit(std::move(writes), std::move(entries));
        into[done->revision] = done->receipt;
      }(audit, i, receipts));
    }
    co_await scope.join();
    EXPECT_EQ(receipts.size(), 40u);
    std::uint64_t sequence = 0;
    for (const auto& [revision, receipt] : receipts) {
      EXPECT_EQ(receipt.sequence, ++sequence);
      EXPECT_GE(receipt.tree_size, receipt.sequence);
      EXPECT_EQ(receipt.root, (co_await audit.root_of(receipt.tree_size)).value());
    }
  });
}

TEST_F(AuditLogTest, AReaderThatIsCancelledTakesNoRecordAlong) {
  AuditLog::Limits limits;
  limits.sync_after = std::chrono::hours(1);
  live(
      [](AuditLog& audit, StateStore&) -> base::Task<> {
        EXPECT_TRUE(co_await audit.record(entry("ana", "update", "deployment/web")));
        base::TaskScope first(co_await base::asio::this_coro::executor), second(first.executor());
        const auto list = [](AuditLog& log, std::function<void()> then) -> base::Task<> {
          (void)co_await log.list({});
          then();
        };
        // The second waits until the first is done, and is cancelled in the same turn.
        first.spawn(list(audit, [&] { second.cancel(); }));
        second.spawn(list(audit, [] {}));
        EXPECT_TRUE(co_await audit.record(entry("bob", "delete", "deployment/web")));
        co_await first.join();
        co_await second.join();
        EXPECT_EQ((co_await audit.list({}))->size(), 2u);
        EXPECT_TRUE(co_await audit.verify_all());
      },
      limits);
}

TEST_F(AuditLogTest, ListsByEveryFilterNewestFirst) {
  live([](AuditLog& audit, StateStore&) -> base::Task<> {
    co_await audit.record(entry("ana", "create", "deployment/web"));
    co_await audit.record(entry("bob", "delete", "secret/db", "denied"));
    auto late = entry("ana", "exec", "pod/web-1");
    late.time += std::chrono::hours(1);
    late.name_space = "prod";
    co_await audit.record(late);
    const auto sequences = [&](AuditQuery query) -> base::Task<std::vector<std::uint64_t>> {
      const auto records = co_await audit.list(std::move(query));
      std::vector<std::uint64_t> numbers;
      for (const auto& record : records.value()) numbers.push_back(record.sequence);
      co_return numbers;
    };
    EXPECT_THAT(co_await sequences({}), ElementsAre(3, 2, 1));
    EXPECT_THAT(co_await sequences({.newest_first = false}), ElementsAre(1, 2, 3));
    EXPECT_THAT(co_await sequences({.who = "ana"}), ElementsAre(3, 1));
    EXPECT_THAT(co_await sequences({.name_space = "prod"}), ElementsAre(3));
    EXPECT_THAT(co_await sequences({.object = "secret/"}), ElementsAre(2));
    EXPECT_THAT(co_await sequences({.object = "deployment/web"}), ElementsAre(1));
    EXPECT_THAT(co_await sequences({.action = "exec"}), ElementsAre(3));
    EXPECT_THAT(co_await sequences({.result = "denied"}), ElementsAre(2));
    EXPECT_THAT(co_await sequences({.since = late.time}), ElementsAre(3));
    EXPECT_THAT(co_await sequences({.until = late.time}), ElementsAre(2, 1));
    EXPECT_THAT(co_await sequences({.after = 1, .limit = 1, .newest_first = false}),
                ElementsAre(2));
    EXPECT_THAT(co_await sequences({.limit = 0}), ElementsAre());
  });
}

TEST_F(AuditLogTest, ProofsConvinceAStranger) {
  live([](AuditLog& audit, StateStore&) -> base::Task<> {
    std::vector<base::Digest> roots;
    for (int i = 1; i <= 20; ++i) {
      co_await audit.record(entry("ana", "update", fmt::format("pod/{}", i)));
      roots.push_back(audit.head().head.root);
    }
    for (std::uint64_t sequence = 1; sequence <= 20; ++sequence) {
      const auto proof = co_await audit.prove(sequence);
      EXPECT_EQ(proof->record.sequence, sequence);
      EXPECT_TRUE(verify_tree_head(proof->head));
      EXPECT_TRUE(verify_inclusion(merkle_leaf_hash(proof->encoded), sequence - 1,
                                   proof->head.head.size, proof->path, proof->head.head.root));
      const auto consistent = co_await audit.prove_consistency(sequence, 20);
      EXPECT_TRUE(verify_consistency(sequence, roots[sequence - 1], 20, roots[19], *consistent));
    }
    EXPECT_EQ((co_await audit.prove(21)).error().code, Errc::NotFound);
    EXPECT_EQ((co_await audit.prove(0)).error().code, Errc::NotFound);
    EXPECT_EQ((co_await audit.root_of(21)).error().code, Errc::InvalidArgument);
    EXPECT_TRUE(co_await audit.verify_all());
  });
}

TEST_F(AuditLogTest, GoesOnAfterARestartAndEmptiesTheOutbox) {
  write_some(5);
  const std::string before = content();
  live([](AuditLog& audit, StateStore& state) -> base::Task<> {
    EXPECT_EQ(audit.head().head.size, 5u);
    EXPECT_EQ((co_await audit.record(entry("ana", "update", "pod/x")))->sequence, 6u);
    const auto outbox = co_await state.range({"/audit/outbox/"});
    EXPECT_EQ(outbox->entries.size(), 1u);  // the new one; the five went with its commit
    EXPECT_EQ((co_await audit.list({}))->size(), 6u);
  });
  EXPECT_TRUE(content().starts_with(before));
  EXPECT_EQ(verify(), "");
}

// The outbox still holds all records: whatever a crash left of the files is made good, to the same
// bytes.
TEST_F(AuditLogTest, ATailThatACrashCutOffComesBack) {
  write_some(4);
  const std::string whole = content();
  for (std::size_t size = 0; size <= whole.size(); size += 13) {
    overwrite(whole.substr(0, size));
    EXPECT_EQ(verify(), "") << "cut to " << size;
    EXPECT_EQ(content(), whole);
  }
  overwrite(whole + "half a record that nobody knows of");
  EXPECT_EQ(verify(), "");
  EXPECT_EQ(content(), whole);
  EXPECT_EQ(content("audit.log.aside-1"), whole + "half a record that nobody knows of");
}

TEST_F(AuditLogTest, EveryChangedByteIsNamedByItsRecord) {
  write_some(4);
  write_some(1);  // the outbox lets go of the first four
  const std::string whole = content();
  const auto starts = frames();
  ASSERT_EQ(starts.size(), 5u);
  live([&](AuditLog& audit, StateStore&) -> base::Task<> {
    for (std::size_t i = 0; i < whole.size(); ++i) {
      std::string changed = whole;
      changed[i] = static_cast<char>(changed[i] ^ (1 << (i % 8)));
      overwrite(changed);
      const auto sequence = std::ranges::upper_bound(starts, i) - starts.begin();
      const auto verified = co_await audit.verify_all();
      EXPECT_FALSE(verified) << "byte " << i;
      if (verified) continue;
      EXPECT_EQ(verified.error().code, Errc::NotVerified);
      EXPECT_THAT(verified.error().message,
                  HasSubstr(fmt::format("audit record {} was changed", sequence)))
          << "byte " << i;
    }
    overwrite(whole);
    EXPECT_TRUE(co_await audit.verify_all());
  });
}

TEST_F(AuditLogTest, AChangeWhileTheNodeWasDownIsNamed) {
  write_some(4);
  write_some(1);
  std::string changed = content();
  changed[frames()[2] + 40] ^= 1;
  overwrite(changed);
  EXPECT_THAT(verify(), HasSubstr("audit record 3 was changed"));
  // Cut off for good: beyond what the outbox can give back.
  overwrite(changed.substr(0, frames()[1] + 10));
  EXPECT_THAT(verify(), HasSubstr("audit record 2 was changed"));
}

// Whoever can write the file can also make every hash of it fit again; the signed roots are beyond
// their reach.
TEST_F(AuditLogTest, ALogThatWasRewrittenWholeDoesNotFitItsSignedRoots) {
  write_some(3);
  write_some(1);
  AuditChain forged;
  base::Bytes bytes;
  for (int i = 0; i < 4; ++i) {
    const auto grown = forged.append(
        entry(i == 1 ? "somebody else" : "ana", "update", fmt::format("deployment/web-{}", i % 3)),
        1);
    bytes.insert(bytes.end(), grown.frames.begin(), grown.frames.end());
  }
  live([&](AuditLog& audit, StateStore&) -> base::Task<> {
    overwrite(std::string(base::as_text(bytes)));
    const auto verified = co_await audit.verify_all();
    EXPECT_FALSE(verified);
    EXPECT_THAT(verified.error().message, HasSubstr("the signed root of 3 records is another"));
  });
}

TEST_F(AuditLogTest, AnEmptyStateBeginsANewLogAndKeepsTheOldOneAside) {
  write_some(3);
  const std::string old_log = content(), old_heads = content("audit.heads");
  memory_.clear();
  write_some(1);
  EXPECT_EQ(verify(), "");
  EXPECT_EQ(content("audit.log.aside-1"), old_log);
  EXPECT_EQ(content("audit.heads.aside-1"), old_heads);
}

TEST_F(AuditLogTest, WhatAStateWithoutFsyncLostIsToldAndHoldsNothingUp) {
  write_some(3);
  const auto before = memory_.view()->scan("", "", 1000, 1u << 20);
  ASSERT_TRUE(before);
  write_some(1);
  write_some(1);
  // The power goes: the files were on disk, the state was not.
  memory_.clear();
  StateBackend::Batch batch;
  for (const auto& [key, value] : *before) batch.writes.emplace_back(key, value);
  ASSERT_TRUE(memory_.write(batch));
  EXPECT_THAT(verify(), HasSubstr("audit records; the log has 3"));
  EXPECT_FALSE(std::filesystem::exists(file("audit.heads.aside-1")));
  live(
      [](AuditLog& audit, StateStore&) -> base::Task<> {
        EXPECT_TRUE(co_await audit.verify_all());
        const auto records = co_await audit.list({});
        EXPECT_EQ(records->size(), 4u);
        EXPECT_EQ(records->front().entry.action, "lose");
        EXPECT_THAT(records->front().entry.detail,
                    HasSubstr("2 records after record 3 were signed and are lost"));
      },
      {.state_synced = false});
  EXPECT_FALSE(content("audit.heads.aside-1").empty());
  write_some(3);
  EXPECT_EQ(verify(), "");
}

TEST_F(AuditLogTest, AHeadOfAnotherSignerIsRefused) {
  write_some(2);
  const auto stranger = base::SigningKey::generate(rng_);
  const auto forged = encode_signed_tree_head(sign_tree_head({2, base::sha256("x"), {}}, stranger));
  overwrite(std::string(base::as_text(forged)), "audit.heads");
  EXPECT_THAT(verify(), HasSubstr("signed by a stranger"));
}

TEST_F(AuditLogTest, AFullDiskOfTheStateRefusesTheWriteAndLeavesNoRecord) {
  live([this](AuditLog& audit, StateStore& state) -> base::Task<> {
    EXPECT_TRUE(co_await audit.commit({{"a", "1"}}, {entry("ana", "create", "pod/a")}));
    memory_.set_full(true);
    const auto refused = co_await audit.commit({{"a", "2"}}, {entry("ana", "update", "pod/a")});
    EXPECT_EQ(refused.error().code, Errc::ResourceExhausted);
    memory_.set_full(false);
    EXPECT_EQ(
        (co_await audit.commit({{"a", "3"}}, {entry("ana", "update", "pod/a")}))->receipt.sequence,
        2u);
    EXPECT_EQ((co_await state.get("a")).value()->value, "3");
    EXPECT_TRUE(co_await audit.verify_all());
  });
}

}  // namespace
}  // namespace nexus
