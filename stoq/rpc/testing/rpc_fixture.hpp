#pragma once

// What suites of calls over any transport share.

#include "rpc/testing/rpc_pair.hpp"

namespace stoq::testing {

using namespace std::chrono_literals;
using base::Errc;
using base::Result;
using base::Task;
using rpc::Call;
using v1::PingReply;
using v1::PingRequest;

inline constexpr rpc::Unary<PingRequest, PingReply> kWork{"test/Work"};
inline constexpr rpc::Unary<PingRequest, PingReply> kSmall{
    "test/Small", {.request_bytes_max = 100, .reply_bytes_max = 100}};
inline constexpr rpc::Unary<PingRequest, PingReply> kBulky{"test/Bulky", {.lane = rpc::Lane::Bulk}};
inline constexpr rpc::ServerStream<PingRequest, PingReply> kCount{"test/Count", {.timeout = 0s}};
inline constexpr rpc::ClientStream<PingRequest, PingReply> kSum{"test/Sum"};
inline constexpr rpc::TwoWay<PingRequest, PingReply> kEcho{"test/Echo"};

template <class M>
M with(std::string payload) {
  M made;
  made.set_payload(std::move(payload));
  return made;
}

/// Counts, and lets tasks wait for a count.
class Tally {
 public:
  explicit Tally(const base::Executor& executor) : changed_(executor) {}
  void add() {
    ++count_;
    changed_.notify();
  }
  Task<> reaches(int count) {
    while (count_ < count) co_await changed_.wait();
  }
  int count() const { return count_; }

 private:
  int count_ = 0;
  base::Event changed_;
};

/// Counts the ends of the tasks that hold it, however they end.
struct Farewell {
  explicit Farewell(Tally& tally) : tally(tally) {}
  ~Farewell() { tally.add(); }
  Tally& tally;
};

template <class Fixture>
class RpcFixture : public ::testing::Test {
 protected:
  using Pair = RpcPair<Fixture>;
  using Add = std::function<void(rpc::Server&)>;

  void serve(const Add& add, std::function<Task<>(Pair&)> body, rpc::ServerOptions options = {},
             base::Metrics* metrics = nullptr) {
    run_to_end(context_, [&](base::Executor executor) -> Task<> {
      Pair pair(executor);
      co_await pair.start(add, options, metrics);
      co_await body(pair);
      EXPECT_LE(pair.server->calls_in_flight(), 1u);
      co_await pair.stop();
    });
  }
  base::Executor executor() { return context_.get_executor(); }
  static void diagnostics(rpc::Server& server) {
    static const base::SystemClock clock;
    handle_diagnostics(server, {.self = {}, .version = "1", .clock = &clock});
  }

 private:
  boost::asio::io_context context_;
};

}  // namespace stoq::testing
