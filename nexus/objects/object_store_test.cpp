#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <functional>

#include "objects/object_store_testing.hpp"

namespace nexus {
namespace {

using base::Errc;
using testing::ElementsAre;
using testing::HasSubstr;

const Actor kAna{"ana", "deploy", "fd00::9", "trace-1"};
const Actor kBob{"bob", "admin", "unix", ""};

class ObjectStoreTest : public testing::Test {
 protected:
  void live(std::function<base::Task<>(StateObjectStore&)> body) {
    base::asio::io_context context;
    bool done = false;
    base::asio::co_spawn(
        context,
        [&]() -> base::Task<> {
          const auto opened = co_await test_.open(context.get_executor());
          EXPECT_TRUE(opened) << opened.error().describe();
          if (opened) co_await body(test_.store());
          co_await test_.close();
          done = true;
        },
        [](std::exception_ptr thrown) {
          if (thrown) std::rethrow_exception(thrown);
        });
    context.run();
    EXPECT_TRUE(done);
  }

  TestObjectStore test_;
};

Json object(std::string kind, std::string name, Json spec = {{"n", 1}},
            std::string name_space = "default") {
  Json json{{"apiVersion", "v1"},
            {"kind", std::move(kind)},
            {"metadata", {{"name", std::move(name)}}},
            {"spec", std::move(spec)}};
  if (!name_space.empty()) json["metadata"]["namespace"] = std::move(name_space);
  return json;
}

// "Added web@3", "Modified web@4<3", "Deleted web@5<4"
std::vector<std::string> texts(const std::vector<ObjectEvent>& events) {
  std::vector<std::string> lines;
  for (const auto& event : events) {
    const char* type = event.type == ObjectEvent::Type::Added      ? "Added"
                       : event.type == ObjectEvent::Type::Modified ? "Modified"
                                                                   : "Deleted";
    EXPECT_EQ(event.object->json["metadata"]["resourceVersion"],
              std::to_string(event.object->revision));
    std::string line =
        fmt::format("{} {}@{}", type, event.object->json["metadata"]["name"].get<std::string>(),
                    event.object->revision);
    if (event.previous) line += fmt::format("<{}", event.previous->revision);
    lines.push_back(std::move(line));
  }
  return lines;
}

base::Task<std::vector<std::string>> take(ObjectWatch& watch, std::size_t count) {
  std::vector<std::string> lines;
  while (lines.size() < count) {
    const auto events = co_await watch.next();
    EXPECT_TRUE(events) << events.error().describe();
    if (!events) break;
    for (auto& line : texts(*events)) lines.push_back(std::move(line));
  }
  co_return lines;
}

TEST_F(ObjectStoreTest, AWriteShowsInTheCacheAndHasAReceipt) {
  live([this](StateObjectStore& store) -> base::Task<> {
    const auto made = co_await store.create(kAna, object("Deployment", "web"));
    EXPECT_EQ(made->object->revision, 1u);
    EXPECT_EQ(made->object->writer, "ana");
    EXPECT_EQ(made->receipt->sequence, 1u);
    EXPECT_EQ(made->receipt->signatures, 1u);
    EXPECT_EQ(store.find({"Deployment", "default", "web"}), made->object);
    EXPECT_EQ(store.all("Deployment").size(), 1u);
    EXPECT_EQ((co_await store.get({"Deployment", "default", "web"})).value(), made->object);
    EXPECT_EQ((co_await store.get({"Deployment", "other", "web"})).error().code, Errc::NotFound);
    const auto records = co_await test_.audit().list({});
    const AuditEntry& entry = records->front().entry;
    EXPECT_EQ(entry.who, "ana");
    EXPECT_EQ(entry.role, "deploy");
    EXPECT_EQ(entry.action, "create");
    EXPECT_EQ(entry.object, "deployment/web");
    EXPECT_EQ(entry.name_space, "default");
    EXPECT_EQ(entry.origin, "fd00::9");
    EXPECT_EQ(entry.trace_id, "trace-1");
    const auto stored = co_await test_.state().get("/objects/Deployment/default/web");
    EXPECT_EQ(entry.digest, base::sha256((*stored)->value));
  });
}

TEST_F(ObjectStoreTest, OptimisticConcurrencyLetsOneOfTwoWin) {
  live([](StateObjectStore& store) -> base::Task<> {
    const auto made = co_await store.create(kAna, object("Deployment", "web"));
    base::TaskScope scope(co_await base::asio::this_coro::executor);
    std::vector<std::string> outcomes;
    for (const Actor& actor : {kAna, kBob}) {
      scope.spawn([](ObjectStore& to, Actor who, Json json,
                     std::vector<std::string>& into) -> base::Task<> {
        json["spec"]["n"] = who.user;
        const auto done = co_await to.update(who, std::move(json));
        into.push_back(done ? "ok" : done.error().message);
      }(store, actor, made->object->json, outcomes));
    }
    co_await scope.join();
    EXPECT_THAT(
        outcomes,
        testing::UnorderedElementsAre(
            "ok", "deployment/web changed since you read it (revision 2 by ana, you have 1)"));
    // Without a revision the last write wins, also against one that is under way.
    outcomes.clear();
    for (const Actor& actor : {kAna, kBob, kAna, kBob}) {
      scope.spawn([](ObjectStore& to, Actor who, std::vector<std::string>& into) -> base::Task<> {
        const auto done = co_await to.update(
            who, object("Deployment", "web", {{"n", "last of " + who.user}, {"i", into.size()}}));
        into.push_back(done ? "ok" : done.error().message);
      }(store, actor, outcomes));
    }
    co_await scope.join();
    EXPECT_THAT(outcomes, ElementsAre("ok", "ok", "ok", "ok"));
  });
}

TEST_F(ObjectStoreTest, AStatusIsWrittenWithoutARecordAndAnEqualOneNotAtAll) {
  live([this](StateObjectStore& store) -> base::Task<> {
    co_await store.create(kAna, object("Pod", "a"));
    auto json = object("Pod", "a");
    json["status"] = {{"phase", "Running"}};
    const auto done = co_await store.update_status(json, "kubelet");
    EXPECT_TRUE(done->changed);
    EXPECT_FALSE(done->receipt);
    EXPECT_EQ(done->object->writer, "kubelet");
    const Revision revision = test_.state().revision();
    EXPECT_FALSE((co_await store.update_status(json, "kubelet"))->changed);
    EXPECT_FALSE((co_await store.update(kBob, object("Pod", "a")))->changed);
    EXPECT_EQ(test_.state().revision(), revision);
    EXPECT_EQ((co_await test_.audit().list({}))->size(), 1u);
  });
}

TEST_F(ObjectStoreTest, ATransactionIsAllOrNothing) {
  live([this](StateObjectStore& store) -> base::Task<> {
    co_await store.create(kAna, object("Pod", "old"));
    std::vector<ObjectWrite> writes(3);
    writes[0].json = object("Pod", "new");
    writes[1].verb = ObjectWrite::Verb::Remove;
    writes[1].ref = {"Pod", "default", "old"};
    writes[2].verb = ObjectWrite::Verb::Update;
    writes[2].json = object("Pod", "absent");
    EXPECT_EQ((co_await store.transact(kAna, writes)).error().code, Errc::NotFound);
    EXPECT_EQ(store.all("Pod").size(), 1u);
    writes.pop_back();
    const auto done = co_await store.transact(kAna, writes);
    EXPECT_EQ(done->objects.size(), 2u);
    EXPECT_EQ(done->objects[0]->revision, done->revision);
    EXPECT_EQ(done->receipt->sequence, 3u);
    EXPECT_EQ(done->receipt->tree_size, 3u);
    EXPECT_TRUE(store.find({"Pod", "default", "new"}));
    EXPECT_FALSE(store.find({"Pod", "default", "old"}));
    writes.pop_back();
    writes.push_back(writes.front());
    writes[0].json["metadata"]["name"] = writes[1].json["metadata"]["name"] = "twice";
    EXPECT_THAT((co_await store.transact(kAna, writes)).error().message,
                HasSubstr("writes pod/twice twice"));
    EXPECT_EQ((co_await store.transact(kAna, {})).error().code, Errc::InvalidArgument);
    EXPECT_EQ((co_await test_.audit().list({}))->size(), 3u);
  });
}

TEST_F(ObjectStoreTest, WatchesSeeTheirKindAndNamespaceAndTheCacheIsNeverBehindThem) {
  live([](StateObjectStore& store) -> base::Task<> {
    auto pods = std::move(*co_await store.watch("Pod", "default", 0));
    auto everything = std::move(*co_await store.watch("", {}, 0));
    co_await store.create(kAna, object("Pod", "a"));
    co_await store.create(kAna, object("Pod", "b", {}, "other"));
    co_await store.create(kAna, object("Deployment", "web"));
    auto json = object("Pod", "a", {{"n", 2}});
    co_await store.update(kAna, json);
    co_await store.remove(kAna, {"Pod", "default", "a"}, {});
    EXPECT_THAT(co_await take(*pods, 3),
                ElementsAre("Added a@1", "Modified a@4<1", "Deleted a@5<4"));
    EXPECT_EQ((co_await take(*everything, 5)).size(), 5u);
    // A watcher that waits finds in the cache what it was told.
    base::TaskScope scope(co_await base::asio::this_coro::executor);
    Revision told = 0;
    scope.spawn([](ObjectStore& from, ObjectWatch& watch, Revision& revision) -> base::Task<> {
      const auto events = co_await watch.next();
      revision = events->back().object->revision;
      EXPECT_EQ(from.find({"Pod", "default", "late"}), events->back().object);
    }(store, *pods, told));
    const auto made = co_await store.create(kAna, object("Pod", "late"));
    co_await scope.join();
    EXPECT_EQ(told, made->object->revision);
  });
}

TEST_F(ObjectStoreTest, AListAndAWatchFromItMissNothing) {
  live([](StateObjectStore& store) -> base::Task<> {
    for (int i = 0; i < 5; ++i)
      co_await store.create(
          kAna, object("Pod", fmt::format("p{}", i), {}, i % 2 == 0 ? "default" : "other"));
    const auto list = co_await store.list("Pod", {});
    EXPECT_EQ(list->items.size(), 5u);
    EXPECT_EQ((co_await store.list("Pod", "other"))->items.size(), 2u);
    EXPECT_EQ((co_await store.list("Secret", {}))->items.size(), 0u);
    co_await store.create(kAna, object("Pod", "next"));
    auto watch = std::move(*co_await store.watch("Pod", {}, list->revision));
    EXPECT_THAT(co_await take(*watch, 1), ElementsAre("Added next@6"));
    auto from_object = std::move(*co_await store.watch("Pod", {}, list->items[0]->revision));
    EXPECT_EQ((co_await take(*from_object, 5)).size(), 5u);
  });
}

TEST_F(ObjectStoreTest, ARestartKeepsObjectsRevisionsAndWatches) {
  Revision before = 0;
  live([&](StateObjectStore& store) -> base::Task<> {
    for (int i = 0; i < 30; ++i)
      co_await store.create(kAna, object("Pod", fmt::format("p{:02}", i)));
    co_await store.remove(kAna, {"Pod", "default", "p00"}, {});
    co_await store.update(kBob, object("Pod", "p01", {{"n", 2}}));
    before = test_.state().revision();
  });
  live([&](StateObjectStore& store) -> base::Task<> {
    EXPECT_EQ(test_.state().revision(), before);
    EXPECT_EQ(store.all("Pod").size(), 29u);
    EXPECT_EQ(store.find({"Pod", "default", "p01"})->writer, "bob");
    EXPECT_EQ(store.find({"Pod", "default", "p01"})->revision, before);
    auto watch = std::move(*co_await store.watch("Pod", {}, 29));
    EXPECT_THAT(co_await take(*watch, 3),
                ElementsAre("Added p29@30", "Deleted p00@31<0", "Modified p01@32<0"));
    co_await store.create(kAna, object("Pod", "p30"));
    EXPECT_THAT(co_await take(*watch, 1), ElementsAre("Added p30@33"));
  });
}

TEST_F(ObjectStoreTest, AWatchOfAQuietKindFollowsTheStore) {
  Revision before = 0;
  live([&](StateObjectStore& store) -> base::Task<> {
    for (int i = 0; i < 5; ++i) co_await store.create(kAna, object("Pod", fmt::format("p{}", i)));
    before = store.revision();
  });
  // After a restart the past is read from the log; there nothing of the kind is found either.
  live([&](StateObjectStore& store) -> base::Task<> {
    const auto executor = co_await base::asio::this_coro::executor;
    auto watch = std::move(*co_await store.watch("ConfigMap", {}, 2));
    EXPECT_EQ(watch->position(), 2u);
    {
      base::TaskScope scope(executor);
      scope.spawn([](ObjectWatch& quiet) -> base::Task<> { (void)co_await quiet.next(); }(*watch));
      while (watch->position() < before) co_await base::sleep_for(std::chrono::milliseconds(1));
      scope.cancel();
      co_await scope.join();
    }
    const auto made = co_await store.create(kAna, object("Pod", "later"));
    EXPECT_EQ(watch->position(), made->object->revision);
    const auto map = co_await store.create(kAna, object("ConfigMap", "c"));
    EXPECT_LT(watch->position(), map->object->revision);
    EXPECT_EQ((co_await take(*watch, 1)).size(), 1u);
    EXPECT_EQ(watch->position(), map->object->revision);
  });
}

TEST_F(ObjectStoreTest, SecretsAreSealedAtRestAndMoveNowhere) {
  live([this](StateObjectStore& store) -> base::Task<> {
    auto secret = object("Secret", "db");
    secret["data"] = {{"password", "aHVudGVyMg=="}};
    co_await store.create(kAna, secret);
    co_await store.create(kAna, object("Secret", "other"));
    EXPECT_EQ(store.find({"Secret", "default", "db"})->json["data"]["password"], "aHVudGVyMg==");
    const auto everything = co_await test_.state().range({""});
    for (const auto& entry : everything->entries)
      EXPECT_THAT(entry.value, testing::Not(HasSubstr("aHVudGVyMg=="))) << entry.key;
    auto log = std::move(*co_await test_.state().watch("", 0));
    const auto events = co_await log->next();
    for (const auto& event : *events)
      EXPECT_THAT(event.value.value_or(""), testing::Not(HasSubstr("aHVudGVyMg==")));
  });
  // The sealed bytes of one Secret do not open under the name of another.
  base::asio::io_context context;
  base::asio::co_spawn(
      context,
      [&]() -> base::Task<> {
        EXPECT_TRUE(co_await test_.open(context.get_executor()));
        const auto sealed = co_await test_.state().get("/objects/Secret/default/db");
        co_await test_.state().commit({{"/objects/Secret/default/stolen", (*sealed)->value}});
        co_await test_.close();
        const auto opened = co_await test_.open(context.get_executor());
        EXPECT_EQ(opened.error().code, Errc::NotVerified);
        EXPECT_THAT(opened.error().describe(),
                    HasSubstr("/objects/Secret/default/stolen cannot be opened"));
        co_await test_.close();
      },
      [](std::exception_ptr thrown) {
        if (thrown) std::rethrow_exception(thrown);
      });
  context.run();
}

TEST_F(ObjectStoreTest, KeysRotateAndAWrongKeyIsNamed) {
  base::SeededRng rng(9);
  const auto key_file = test_.folder() / "secret.keys";
  const auto old_copy = test_.folder() / "old.keys";
  live([&](StateObjectStore& store) -> base::Task<> {
    for (const char* name : {"a", "b", "c"}) co_await store.create(kAna, object("Secret", name));
    std::filesystem::copy_file(key_file, old_copy);
    EXPECT_TRUE(test_.keys().rotate(rng));
    co_await store.update(kAna, object("Secret", "a", {{"n", 2}}));
    EXPECT_EQ((co_await store.reseal(kBob)).value(), 2u);
    EXPECT_EQ((co_await store.reseal(kBob)).value(), 0u);
    EXPECT_EQ(store.all("Secret").size(), 3u);
  });
  test_.replace_keys(SecretKeys::from_file(key_file, rng).value());  // holds both
  live([](StateObjectStore& store) -> base::Task<> {
    EXPECT_EQ(store.all("Secret").size(), 3u);
    co_return;
  });
  test_.replace_keys(SecretKeys::from_file(old_copy, rng).value());  // the key before the rotation
  base::asio::io_context context;
  base::asio::co_spawn(
      context,
      [&]() -> base::Task<> {
        const auto opened = co_await test_.open(context.get_executor());
        EXPECT_EQ(opened.error().code, Errc::FailedPrecondition);
        EXPECT_THAT(opened.error().describe(),
                    testing::AllOf(
                        HasSubstr("/objects/Secret/default/a cannot be opened: sealed with key "),
                        HasSubstr("old.keys holds key ")));
        EXPECT_THAT(opened.error().hints,
                    ElementsAre("bring back the key file that this state was written with"));
        co_await test_.close();
      },
      [](std::exception_ptr thrown) {
        if (thrown) std::rethrow_exception(thrown);
      });
  context.run();
}

TEST(SecretKeysTest, TheFileIsPrivateAndDamageIsNamed) {
  TemporaryFolder folder;
  base::SeededRng rng(1);
  const auto path = folder.path() / "keys" / "secret.keys";
  const auto first = SecretKeys::from_file(path, rng);
  ASSERT_TRUE(first);
  EXPECT_EQ(std::filesystem::status(path).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  EXPECT_EQ(SecretKeys::from_file(path, rng)->current(), first->current());
  std::filesystem::permissions(path, std::filesystem::perms(0644));
  EXPECT_EQ(SecretKeys::from_file(path, rng).error().code, Errc::FailedPrecondition);
  std::filesystem::permissions(path, std::filesystem::perms(0600));
  std::filesystem::resize_file(path, 30);
  EXPECT_EQ(SecretKeys::from_file(path, rng).error().code, Errc::DataLoss);
}

TEST_F(ObjectStoreTest, AFullDiskChangesNothing) {
  live([this](StateObjectStore& store) -> base::Task<> {
    co_await store.create(kAna, object("Pod", "a"));
    test_.set_full(true);
    EXPECT_EQ((co_await store.create(kAna, object("Pod", "b"))).error().code,
              Errc::ResourceExhausted);
    EXPECT_EQ((co_await store.remove(kAna, {"Pod", "default", "a"}, {})).error().code,
              Errc::ResourceExhausted);
    EXPECT_EQ(store.all("Pod").size(), 1u);
    test_.set_full(false);
    EXPECT_EQ((co_await store.create(kAna, object("Pod", "b")))->object->revision, 2u);
    EXPECT_EQ((co_await test_.audit().list({}))->size(), 2u);
  });
}

}  // namespace
}  // namespace nexus
