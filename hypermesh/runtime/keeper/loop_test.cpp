#include "runtime/keeper/loop.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "runtime/keeper/os.hpp"

namespace hypermesh::keeper {
namespace {

class LoopTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto loop = Loop::open();
    ASSERT_TRUE(loop);
    loop_ = *std::move(loop);
  }
  template <class T>
  T run(Job<T> job) {
    std::optional<T> result;
    spawn([](Job<T> inner, std::optional<T>& into, Loop& loop) -> Job<void> {
      into.emplace(co_await inner);
      loop.stop_once();
    }(std::move(job), result, *loop_));
    while (!result) loop_->run();
    return *std::move(result);
  }
  std::unique_ptr<Loop> loop_;
};

TEST_F(LoopTest, AChildThatEndsAsItsTimeDoesHasEnded) {
  const auto child = start_copy({}, [] { return 7; });
  ASSERT_TRUE(child);
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(*child), &info, WEXITED | WNOWAIT), 0);
  // Both are found in one turn of the loop: the end and the limit.
  const auto status = run(loop_->exit_of(*child, base::Duration::zero()));
  ASSERT_TRUE(status);
  EXPECT_EQ(WEXITSTATUS(*status), 7);
}

TEST_F(LoopTest, AChildThatGoesOnIsToldOfInTime) {
  const auto child = start_copy({}, [] { return ::pause(); });
  ASSERT_TRUE(child);
  EXPECT_FALSE(run(loop_->exit_of(*child, std::chrono::milliseconds(1))));
  ::kill(*child, SIGKILL);
  EXPECT_EQ(::waitpid(*child, nullptr, 0), *child);
}

TEST_F(LoopTest, ACopyHoldsNoDescriptorThatItWasNotGiven) {
  auto given = make_pipe(), other = make_pipe();
  ASSERT_TRUE(given && other);
  const auto child = start_copy({given->write.get()}, [&] {
    const bool closed = ::write(other->write.get(), "x", 1) < 0;
    return closed && ::write(given->write.get(), "y", 1) == 1 ? ::pause() : 1;
  });
  ASSERT_TRUE(child);
  char byte = 0;
  EXPECT_EQ(::read(given->read.get(), &byte, 1), 1);
  other->write.reset();
  EXPECT_EQ(::read(other->read.get(), &byte, 1), 0) << "the copy keeps a pipe open";
  ::kill(*child, SIGKILL);
  EXPECT_EQ(::waitpid(*child, nullptr, 0), *child);
}

TEST_F(LoopTest, ACopyEndsWithWhomItCopied) {
  auto pipe = make_pipe();
  ASSERT_TRUE(pipe);
  const auto middle = start_copy({pipe->write.get()}, [&] {
    const auto copy = start_copy({pipe->write.get()}, [] { return ::pause(); });
    const pid_t pid = copy.value_or(-1);
    return ::write(pipe->write.get(), &pid, sizeof pid) == sizeof pid ? 0 : 1;
  });
  ASSERT_TRUE(middle);
  pid_t copy = -1;
  ASSERT_EQ(::read(pipe->read.get(), &copy, sizeof copy), static_cast<ssize_t>(sizeof copy));
  EXPECT_EQ(::waitpid(*middle, nullptr, 0), *middle);
  int status = 0;
  ASSERT_EQ(::waitpid(copy, &status, 0), copy) << "the loop makes this process their reaper";
  // It may have found itself orphaned before it was to be killed.
  EXPECT_TRUE((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) ||
              (WIFEXITED(status) && WEXITSTATUS(status) == 126));
}

}  // namespace
}  // namespace hypermesh::keeper
