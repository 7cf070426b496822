// kill -9 at random moments: objects, receipts and the audit log agree afterwards.

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <csignal>
#include <functional>
#include <sstream>

#include "objects/state_object_store.hpp"
#include "state/local_state_stores.hpp"
#include "state/temporary_folder_testing.hpp"

namespace nexus {
namespace {

using Body = std::function<base::Task<>(StateObjectStore&, AuditLog&)>;

void live(const std::filesystem::path& folder, Body body) {
  base::asio::io_context context;
  base::BlockingPool pool(2);
  base::SystemClock clock;
  base::SystemRng rng;
  base::SeededRng identity_rng(5);
  const auto identity = base::SigningKey::generate(identity_rng);
  const auto metrics = base::make_prometheus_metrics();
  AuditLog::Limits often;  // files and outbox change hands many times in a short life
  often.sync_after = std::chrono::milliseconds(3);
  often.outbox_removed_max = 5;
  base::asio::co_spawn(
      context,
      [&]() -> base::Task<> {
        const auto executor = context.get_executor();
        auto state =
            open_rocksdb_state_store(executor, pool, folder / "db", {}, clock, *metrics, {});
        BASE_ASSERT(state.has_value(), state ? "" : state.error().describe());
        auto audit = co_await AuditLog::open(executor, pool, folder / "audit", **state, identity,
                                             clock, *metrics, {}, often);
        BASE_ASSERT(audit.has_value(), audit ? "" : audit.error().describe());
        auto keys = SecretKeys::from_file(folder / "secret.keys", rng);
        BASE_ASSERT(keys.has_value(), keys ? "" : keys.error().describe());
        auto store = co_await StateObjectStore::open(
            executor, {**state, **audit, *keys, clock, rng, *metrics, {}}, {});
        BASE_ASSERT(store.has_value(), store ? "" : store.error().describe());
        co_await body(**store, **audit);
        co_await (*store)->close();
        co_await (*audit)->close();
        co_await (*state)->close();
      },
      [](std::exception_ptr thrown) {
        if (thrown) std::rethrow_exception(thrown);
      });
  context.run();
}

// "writer number revision sequence tree-size root" for each acknowledged write.
int write_until_killed(const std::filesystem::path& folder) {
  live(folder, [](StateObjectStore& store, AuditLog& audit) -> base::Task<> {
    base::TaskScope scope(co_await base::asio::this_coro::executor);
    for (int writer = 0; writer < 3; ++writer) {
      scope.spawn([](StateObjectStore& to, AuditLog& log, int who) -> base::Task<> {
        const Actor actor{fmt::format("writer-{}", who), "admin", "unix", ""};
        const ObjectRef ref{who == 0 ? "Secret" : "ConfigMap", "default",
                            fmt::format("object-{}", who)};
        const auto found = to.find(ref);
        for (std::uint64_t number = found ? found->json["spec"]["number"].get<std::uint64_t>() + 1
                                          : 1;
             ; ++number) {
          if (number % 7 == 0) co_await log.record(audit_entry(actor, "exec", {}));
          const Json json{{"kind", ref.kind},
                          {"metadata", {{"name", ref.name}, {"namespace", "default"}}},
                          {"spec", {{"number", number}}}};
          const auto done =
              to.find(ref) ? co_await to.update(actor, json) : co_await to.create(actor, json);
          if (!done) std::_Exit(3);
          const std::string line = fmt::format(
              "{} {} {} {} {} {}\n", who, number, done->object->revision, done->receipt->sequence,
              done->receipt->tree_size, base::to_hex(done->receipt->root));
          if (::write(1, line.data(), line.size()) != static_cast<ssize_t>(line.size()))
            std::_Exit(4);
        }
      }(store, audit, writer));
    }
    co_await scope.join();
  });
  return 0;
}

struct Acknowledged {
  int writer = 0;
  std::uint64_t number = 0, revision = 0, sequence = 0, tree_size = 0;
  std::string root;
};

TEST(ObjectFaults, ObjectsReceiptsAndLogAgreeAfterKills) {
  TemporaryFolder folder;
  base::SeededRng rng(21);
  std::vector<Acknowledged> all;
  for (int round = 0; round < 12; ++round) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const std::string path = folder.path().string();
    const pid_t child = ::fork();
    if (child == 0) {
      ::dup2(ends[1], 1);
      ::execl("/proc/self/exe", "object_faults", "--write-until-killed", path.c_str(), nullptr);
      ::_exit(127);
    }
    ::close(ends[1]);
    const auto wanted = static_cast<std::ptrdiff_t>(1 + rng.below(80));
    std::string text;
    char buffer[512];
    for (ssize_t count; (count = ::read(ends[0], buffer, sizeof buffer)) > 0;) {
      text.append(buffer, static_cast<std::size_t>(count));
      if (std::ranges::count(text, '\n') >= wanted) ::kill(child, SIGKILL);
    }
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "exit " << WEXITSTATUS(status);
    std::istringstream lines(text.substr(0, text.rfind('\n') + 1));
    for (Acknowledged line; lines >> line.writer >> line.number >> line.revision >> line.sequence >>
                            line.tree_size >> line.root;) {
      all.push_back(line);
    }
  }
  live(folder.path(), [&](StateObjectStore& store, AuditLog& audit) -> base::Task<> {
    const auto verified = co_await audit.verify_all();
    EXPECT_TRUE(verified) << verified.error().message;
    std::map<int, std::uint64_t> last;
    for (const Acknowledged& line : all) {
      last[line.writer] = line.number;
      const auto proof = co_await audit.prove(line.sequence);
      EXPECT_TRUE(proof) << proof.error().message;
      if (!proof) continue;
      EXPECT_EQ(proof->record.revision, line.revision);
      EXPECT_EQ(proof->record.entry.who, fmt::format("writer-{}", line.writer));
      EXPECT_EQ(base::to_hex((co_await audit.root_of(line.tree_size)).value()), line.root)
          << "receipt " << line.sequence;
    }
    for (const auto& [writer, number] : last) {
      const auto object = store.find(
          {writer == 0 ? "Secret" : "ConfigMap", "default", fmt::format("object-{}", writer)});
      EXPECT_GE(object->json["spec"]["number"].get<std::uint64_t>(), number);
    }
    EXPECT_GT(all.size(), 100u);
  });
}

}  // namespace
}  // namespace nexus

int main(int argc, char** argv) {
  if (argc > 2 && std::string_view(argv[1]) == "--write-until-killed")
    return nexus::write_until_killed(argv[2]);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
