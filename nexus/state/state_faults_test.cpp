// What a state folder must survive: kill -9 at any moment, a full disk, a second daemon.

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/random.hpp>
#include <boost/asio/io_context.hpp>
#include <csignal>
#include <cstdio>
#include <functional>
#include <iostream>

#include "state/folder_lock.hpp"
#include "state/local_state_stores.hpp"
#include "state/temporary_folder_testing.hpp"

namespace nexus {
namespace {

// Runs `body` on the store in `folder`, in this process.
void with_store(const std::filesystem::path& folder, const RocksDbOptions& options,
                std::function<base::Task<>(EmbeddedStateStore&)> body) {
  base::asio::io_context context;
  base::BlockingPool pool(2);
  base::SystemClock clock;
  const auto metrics = base::make_prometheus_metrics();
  auto store =
      open_rocksdb_state_store(context.get_executor(), pool, folder, options, clock, *metrics, {});
  ASSERT_TRUE(store) << store.error().describe();
  base::asio::co_spawn(
      context,
      [&]() -> base::Task<> {
        co_await body(**store);
        co_await (*store)->close();
      },
      [](std::exception_ptr thrown) {
        if (thrown) std::rethrow_exception(thrown);
      });
  context.run();
}

// The child: four writers that tell standard output "revision writer number" once a commit is
// acknowledged.
int commit_until_killed(const std::filesystem::path& folder) {
  with_store(folder, {}, [](EmbeddedStateStore& store) -> base::Task<> {
    base::TaskScope scope(co_await base::asio::this_coro::executor);
    const Revision start = store.revision();
    for (int writer = 0; writer < 4; ++writer) {
      scope.spawn([](StateStore& to, Revision first, int who) -> base::Task<> {
        for (std::uint64_t number = first * 1000;; ++number) {
          const auto done =
              co_await to.commit({{fmt::format("w{}/{}", who, number % 50), std::to_string(number)},
                                  {fmt::format("w{}/last", who), std::to_string(number)}});
          if (!done) std::_Exit(3);
          const std::string line = fmt::format("{} {} {}\n", *done, who, number);
          if (::write(1, line.data(), line.size()) != static_cast<ssize_t>(line.size()))
            std::_Exit(4);
        }
      }(store, start, writer));
    }
    co_await scope.join();
  });
  return 0;
}

// A child in a mount namespace of its own: `folder` becomes a file system of 48 MiB that fills up.
int fill_the_disk(const std::filesystem::path& folder, std::uint64_t free_bytes_min) {
  if (::unshare(CLONE_NEWNS) != 0 ||
      ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=48m") != 0) {
    std::perror("make a small file system");
    return 77;
  }
  const auto ballast = folder / "ballast";
  const auto fill = [&](int keep_kib) {
    const int fd = ::open(ballast.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    const std::string block(64 * 1024, 'x');
    while (::write(fd, block.data(), block.size()) > 0) {
    }
    ::close(fd);
    if (keep_kib > 0)
      std::filesystem::resize_file(ballast, std::filesystem::file_size(ballast) - keep_kib * 1024);
  };
  int failures = 0;
  const auto check = [&](bool holds, std::string_view what) {
    if (!holds) {
      std::cerr << "does not hold: " << what << '\n';
      ++failures;
    }
  };
  Revision acknowledged = 0;
  RocksDbOptions options;
  options.free_bytes_min = free_bytes_min;
  with_store(folder / "db", options, [&](EmbeddedStateStore& store) -> base::Task<> {
    check((co_await store.commit({{"a", "1"}})).has_value(), "a write with room");
    for (int round = 0; round < 3; ++round) {
      fill(round * 200);
      const Revision before = store.revision();
      bool refused = false;
      for (int i = 0; i < 400 && !refused; ++i) {
        // Other keys each time: what is overwritten makes room again when it is flushed.
        const auto done =
            co_await store.commit({{fmt::format("{} {}", round, i), std::string(100'000, 'b')}});
        if (done) continue;
        refused = true;
        check(done.error().code == base::Errc::ResourceExhausted,
              "the error says that the disk is full");
      }
      check(refused, "a full disk refuses");
      check(store.revision() >= before, "revisions do not go back");
      const Revision kept = store.revision();
      check(!(co_await store.commit({{"b", "1"}, {"c", std::string(100'000, 'c')}})).has_value(),
            "it goes on refusing");
      check(store.revision() == kept, "a refused write uses no revision");
      check((co_await store.get("b")).value() == std::nullopt, "a refused write changes nothing");
      std::filesystem::remove(ballast);
      const auto again = co_await store.commit({{"d", std::to_string(round)}});
      check(again.has_value() && *again == kept + 1, "it goes on by itself when there is room");
      if (!again) std::cerr << again.error().describe() << '\n';
    }
    acknowledged = store.revision();
  });
  with_store(folder / "db", options, [&](EmbeddedStateStore& store) -> base::Task<> {
    check(store.revision() == acknowledged, "everything acknowledged is there after a restart");
    const auto last = co_await store.get("d");
    check(last && *last && (*last)->value == "2", "the last write is there after a restart");
  });
  return failures == 0 ? 0 : 1;
}

// This program again, as a child that does one of the above.
pid_t start_self(const std::vector<std::string>& arguments, int out) {
  std::vector<char*> argv;
  std::string self = "/proc/self/exe";
  argv.push_back(self.data());
  std::vector<std::string> copies = arguments;
  for (std::string& argument : copies) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (out >= 0) ::dup2(out, 1);
    ::execv(self.c_str(), argv.data());
    ::_exit(127);
  }
  return pid;
}

TEST(StateFaults, WhatWasAcknowledgedSurvivesKillAtRandomMoments) {
  TemporaryFolder folder;
  base::SeededRng rng(11);
  std::map<Revision, std::string> acknowledged;
  for (int round = 0; round < 12; ++round) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const pid_t child =
        start_self({"--commit-until-killed", (folder.path() / "db").string()}, ends[1]);
    ::close(ends[1]);
    const std::uint64_t lines_wanted = 1 + rng.below(60);
    std::string text;
    char buffer[512];
    bool killed = false;
    for (;;) {
      const auto count = ::read(ends[0], buffer, sizeof buffer);
      if (count <= 0) break;
      text.append(buffer, static_cast<std::size_t>(count));
      if (!killed && static_cast<std::uint64_t>(std::ranges::count(text, '\n')) >= lines_wanted) {
        ::kill(child, SIGKILL);
        killed = true;
      }
    }
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "exit " << WEXITSTATUS(status);
    for (std::size_t at = 0, end; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
      const std::string line = text.substr(at, end - at);
      const auto space = line.find(' ');
      acknowledged[std::stoull(line.substr(0, space))] = line.substr(space + 1);
    }
  }
  with_store(folder.path() / "db", {}, [&](EmbeddedStateStore& store) -> base::Task<> {
    EXPECT_GE(store.revision(), acknowledged.rbegin()->first);
    auto watch = std::move(*co_await store.watch("", 0));
    std::map<Revision, std::string> found;
    Revision last = 0;
    while (last < store.revision()) {
      const auto events = co_await watch->next();
      EXPECT_TRUE(events);
      if (!events) co_return;
      for (const auto& event : *events) {
        EXPECT_TRUE(event.revision == last || event.revision == last + 1)
            << event.revision << " after " << last;
        last = event.revision;
        if (event.key.ends_with("/last"))
          found[last] = fmt::format("{} {}", event.key[1], *event.value);
      }
    }
    for (const auto& [revision, what] : acknowledged)
      EXPECT_EQ(found[revision], what) << "revision " << revision;
  });
}

TEST(StateFaults, AFullDiskRefusesAndRecovers) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to mount a small file system";
  for (const char* free_bytes_min : {"16777216", "0"}) {
    TemporaryFolder folder;
    const pid_t child = start_self({"--fill-the-disk", folder.path().string(), free_bytes_min}, -1);
    int status = 0;
    ::waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) GTEST_SKIP() << "no mounts here";
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0)
        << "with " << free_bytes_min << " bytes kept free";
  }
}

TEST(StateFaults, ASecondDaemonIsRefusedAndToldWhoHoldsTheFolder) {
  TemporaryFolder folder;
  {
    const auto first = FolderLock::acquire(folder.path() / "state");
    ASSERT_TRUE(first);
    const auto second = FolderLock::acquire(folder.path() / "state");
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, base::Errc::FailedPrecondition);
    EXPECT_THAT(second.error().message,
                testing::AllOf(testing::HasSubstr((folder.path() / "state").string()),
                               testing::HasSubstr(
                                   fmt::format("in use by process {} (nexus_state", ::getpid()))));
  }
  EXPECT_TRUE(FolderLock::acquire(folder.path() / "state"));
}

}  // namespace
}  // namespace nexus

int main(int argc, char** argv) {
  const std::string_view mode = argc > 2 ? argv[1] : "";
  if (mode == "--commit-until-killed") return nexus::commit_until_killed(argv[2]);
  if (mode == "--fill-the-disk") return nexus::fill_the_disk(argv[2], std::stoull(argv[3]));
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
