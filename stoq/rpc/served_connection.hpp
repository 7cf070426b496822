#pragma once

#include <atomic>
#include <base/async/event.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <list>

#include "rpc/call_bytes.hpp"
#include "rpc/call_metrics.hpp"
#include "rpc/deadlines.hpp"
#include "rpc/method_table.hpp"

namespace stoq::rpc {

/// What a server's connections share. Read by the threads of all.
struct Serving {
  const base::Clock* clock;
  base::Metrics* metrics;
  base::Log log;
  ServerOptions options;
  MethodTable methods;
  std::atomic<std::size_t> calls = 0;  ///< In flight.
  std::atomic<std::size_t> bytes = 0;  ///< Held by their requests and replies.
  std::atomic<bool> stopping = false;
};

/// Answers the calls of one connection. Everything on its executor.
class ServedConnection : public std::enable_shared_from_this<ServedConnection> {
 public:
  ServedConnection(std::shared_ptr<Serving> serving, std::shared_ptr<Connection> connection);

  ~ServedConnection();

  base::Executor executor() const { return connection_->executor(); }
  /// Serves until the connection ends, and its calls with it.
  base::Task<> run();
  /// Calls may end until `until`, then they are cancelled. The connection stays.
  base::Task<> drain(base::MonotonicTime until);
  /// After that the peer is told that we stop.
  base::Task<> stop(base::MonotonicTime until);

 private:
  class Running;

  void begin(std::unique_ptr<Stream> stream);
  base::Task<> answer(Running& call);
  std::optional<base::Error> refusal() const;
  base::Task<> until_idle(base::MonotonicTime until);

  std::shared_ptr<Serving> serving_;
  std::shared_ptr<Connection> connection_;
  std::shared_ptr<Deadlines> deadlines_;
  CallMetrics metrics_;
  CallBytes bytes_;
  std::list<std::unique_ptr<Running>> running_;
  base::Event changed_;
  std::uint64_t spans_;  // The last one given.
  base::MonotonicTime answered_at_{};
  bool ended_ = false;
};

}  // namespace stoq::rpc
