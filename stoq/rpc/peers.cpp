#include <fmt/format.h>

#include <algorithm>
#include <base/async/task_scope.hpp>
#include <map>
#include <stoq/peers.hpp>

#include "rpc/calls.hpp"
#include "rpc/codes.hpp"
#include "rpc/link.hpp"

namespace stoq::rpc {

using base::Errc;
using base::MonotonicTime;
using base::Result;

namespace {

using Key = std::pair<NodeId, Lane>;

}  // namespace

class Peers::State : public std::enable_shared_from_this<State> {
 public:
  struct Slot;

  State(Parts parts, PeersOptions options)
      : parts_(parts),
        options_(options),
        calls_(std::make_shared<Calls>(parts.executor, *parts.clock, parts.metrics)),
        scope_(parts.executor),
        changed_(parts.executor) {}
  ~State() { BASE_ASSERT(scope_.size() == 0, "peers were destroyed before they were stopped"); }

  base::Task<Result<std::unique_ptr<OpenCall>>> open(NodeId node, Endpoint endpoint, Method method,
                                                     CallOptions options, MonotonicTime deadline);
  MonotonicTime deadline(const Method& method, const CallOptions& options) const {
    return calls_->deadline(method, options);
  }
  base::Task<> stop(base::Duration grace);
  std::size_t connections() const;

 private:
  MonotonicTime now() const { return parts_.clock->now(); }
  Result<std::shared_ptr<Slot>> slot(const Key& key);
  base::Task<Result<std::shared_ptr<Connection>>> connection(std::shared_ptr<Slot> slot,
                                                             MonotonicTime deadline);
  void step(const std::shared_ptr<Slot>& slot, const Link::Event& event);
  void lost(const std::shared_ptr<Slot>& slot, const Connection* connection, base::Error error);
  base::Task<> dial(std::shared_ptr<Slot> slot);
  base::Task<> watch(std::shared_ptr<Slot> slot, std::shared_ptr<Connection> connection);
  void count_dial(std::string_view result);

  Parts parts_;
  PeersOptions options_;
  std::shared_ptr<Calls> calls_;
  std::map<Key, std::shared_ptr<Slot>> slots_;
  base::TaskScope scope_;
  base::Event changed_;  // A call ended.
  bool stopping_ = false;
};

// One lane to one node.
struct Peers::State::Slot final : Deadlines::Entry {
  Slot(State& owner, Key key, Link::Options options)
      : owner(owner),
        key(key),
        link(options, owner.parts_.rng->u64()),
        changed(owner.parts_.executor) {}

  void expired() override { owner.step(self.lock(), Link::Time{}); }

  State& owner;
  const Key key;
  Link link;
  Endpoint endpoint;
  std::shared_ptr<Connection> connection;
  base::Event changed;
  MonotonicTime used{};
  std::weak_ptr<Slot> self;
};

Result<std::shared_ptr<Peers::State::Slot>> Peers::State::slot(const Key& key) {
  if (const auto known = slots_.find(key); known != slots_.end()) return known->second;
  if (slots_.size() >= options_.peers_max) {
    // The one that was not used for longest gives way, if nothing goes on there.
    auto oldest = slots_.end();
    for (auto at = slots_.begin(); at != slots_.end(); ++at) {
      const Link& link = at->second->link;
      if (link.calls() > 0 || link.state() == Link::State::Dialling) continue;
      if (oldest == slots_.end() || at->second->used < oldest->second->used) oldest = at;
    }
    if (oldest == slots_.end()) {
      return base::fail(
          Errc::ResourceExhausted,
          fmt::format("calls to {} peers are in flight, which is the limit", options_.peers_max));
    }
    Deadlines::disarm(*oldest->second);
    if (oldest->second->connection) oldest->second->connection->close("other peers need the room");
    slots_.erase(oldest);
  }
  auto made = std::make_shared<Slot>(*this, key,
                                     Link::Options{.idle_max = options_.idle_max,
                                                   .backoff_min = options_.backoff_min,
                                                   .backoff_max = options_.backoff_max,
                                                   .distrust = options_.distrust});
  made->self = made;
  slots_.emplace(key, made);
  return made;
}

void Peers::State::step(const std::shared_ptr<Slot>& slot, const Link::Event& event) {
  for (const auto& effect : slot->link.step(event, now())) {
    if (std::holds_alternative<Link::Dial>(effect)) scope_.spawn(dial(slot));
    if (std::holds_alternative<Link::Wake>(effect)) slot->changed.notify();
    if (const auto* close = std::get_if<Link::Close>(&effect)) {
      const auto connection = std::move(slot->connection);
      connection->close(close->reason);
    }
  }
  calls_->deadlines()->arm(*slot, stopping_ ? MonotonicTime::max() : slot->link.next_timeout());
}

base::Task<> Peers::State::dial(std::shared_ptr<Slot> slot) {
  const auto& [node, lane] = slot->key;
  // What may not travel early waits in the connection until the handshake is over.
  auto connection = co_await parts_.transport->connect(
      slot->endpoint, node,
      {.alpn = std::string(alpn_of(lane)), .timeout = options_.connect_timeout, .early = true});
  if (!connection) {
    count_dial(base::to_string(connection.error().code));
    step(slot, Link::Failed{std::move(connection).error()});
    co_return;
  }
  count_dial("OK");
  slot->connection = *std::move(connection);
  scope_.spawn(watch(slot, slot->connection));
  step(slot, Link::Connected{});
}

// Waits for the end of a connection. Streams of the peer are refused: calls of its own go over
// connections that it makes.
base::Task<> Peers::State::watch(std::shared_ptr<Slot> slot,
                                 std::shared_ptr<Connection> connection) {
  for (;;) {
    auto stream = co_await connection->accept_stream();
    if (!stream) {
      lost(slot, connection.get(), std::move(stream).error());
      co_return;
    }
    (*stream)->reset(static_cast<std::uint64_t>(ResetCode::Protocol));
  }
}

void Peers::State::lost(const std::shared_ptr<Slot>& slot, const Connection* connection,
                        base::Error error) {
  if (slot->connection.get() != connection) return;
  slot->connection.reset();
  step(slot, Link::Lost{std::move(error)});
}

void Peers::State::count_dial(std::string_view result) {
  if (parts_.metrics == nullptr) return;
  parts_.metrics
      ->counter("stoq_peers_connects_total", "Attempts to connect to a peer, by result",
                {{"result", std::string(result)}})
      .add();
}

base::Task<Result<std::shared_ptr<Connection>>> Peers::State::connection(std::shared_ptr<Slot> slot,
                                                                         MonotonicTime deadline) {
  const auto failures = slot->link.failures();
  for (;;) {
    const auto at = now();
    if (stopping_) co_return base::fail(Errc::Unavailable, "the node is stopping");
    if (slot->link.failures() != failures) co_return std::unexpected(slot->link.failure(at));
    step(slot, Link::Wanted{deadline});
    if (slot->link.state() == Link::State::Open) co_return slot->connection;
    if (const auto refused = slot->link.refusal(at, deadline)) co_return std::unexpected(*refused);
    if (deadline == MonotonicTime::max()) {
      co_await slot->changed.wait();
    } else if (at >= deadline || !co_await slot->changed.wait_for(deadline - at)) {
      co_return base::fail(Errc::TimedOut,
                           fmt::format("no connection to {} in time", slot->key.first.text()));
    }
  }
}

base::Task<Result<std::unique_ptr<OpenCall>>> Peers::State::open(NodeId node, Endpoint endpoint,
                                                                 Method method, CallOptions options,
                                                                 MonotonicTime deadline) {
  const auto self = shared_from_this();
  CO_TRY(const auto slot, self->slot({node, method.options.lane}));
  slot->endpoint = endpoint;
  slot->used = now();
  for (;;) {
    // While this lives the connection is not idle.
    struct Lease {
      Lease(std::shared_ptr<State> state, std::shared_ptr<Slot> slot)
          : state(std::move(state)), slot(std::move(slot)) {
        this->state->step(this->slot, Link::CallBegan{});
      }
      ~Lease() {
        state->step(slot, Link::CallEnded{});
        state->changed_.notify();
      }
      std::shared_ptr<State> state;
      std::shared_ptr<Slot> slot;
    };
    auto lease = std::make_shared<Lease>(self, slot);
    CO_TRY(const auto connection, co_await self->connection(slot, deadline));
    auto call = co_await calls_->open(connection, method, options, deadline, std::move(lease));
    if (call || call.error().code == Errc::TimedOut) co_return call;
    // It has ended, and nothing was sent.
    connection->close("it cannot be used any more");
    lost(slot, connection.get(), std::move(call).error());
  }
}

base::Task<> Peers::State::stop(base::Duration grace) {
  const auto self = shared_from_this();
  stopping_ = true;
  const auto until = now() + grace;
  const auto busy = [&] {
    return std::ranges::any_of(slots_, [](const auto& s) { return s.second->link.calls() > 0; });
  };
  for (const auto& [key, slot] : slots_) slot->changed.notify();
  while (busy()) {
    const auto left = until - now();
    if (left <= base::Duration::zero() || !co_await changed_.wait_for(left)) break;
  }
  for (const auto& [key, slot] : slots_) {
    Deadlines::disarm(*slot);
    if (slot->connection) slot->connection->close("the node is stopping");
  }
  scope_.cancel();
  co_await scope_.join();
  for (const auto& [key, slot] : slots_) slot->connection.reset();
}

std::size_t Peers::State::connections() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      slots_, [](const auto& slot) { return slot.second->connection != nullptr; }));
}

namespace {

/// A call of a replay-safe method: without an answer it is made once more.
template <class State>
class RepeatedCall final : public OpenCall {
 public:
  struct Way {
    std::shared_ptr<State> state;
    NodeId node;
    Endpoint endpoint;
    Method method;
    CallOptions options;
    MonotonicTime deadline;
  };
  RepeatedCall(std::unique_ptr<OpenCall> first, Way way)
      : call_(std::move(first)), way_(std::move(way)) {}

  base::Bytes begin() override { return call_->begin(); }
  base::Task<Result<>> send(base::Bytes frames, bool last) override {
    return call_->send(std::move(frames), last);
  }
  base::Task<Result<std::optional<base::BytesView>>> receive() override { return call_->receive(); }
  bool answered() const override { return call_->answered(); }

  base::Task<Result<base::BytesView>> exchange(base::BytesView frames) override {
    auto reply = co_await call_->exchange(frames);
    if (reply || call_->answered() || reply.error().code != Errc::Unavailable) co_return reply;
    call_.reset();
    CO_TRY(call_, co_await way_.state->open(way_.node, way_.endpoint, way_.method, way_.options,
                                            way_.deadline));
    co_return co_await call_->exchange(frames);
  }

 private:
  std::unique_ptr<OpenCall> call_;
  Way way_;
};

/// Calls to one node, over whatever connection there is.
template <class State>
class PeerCaller final : public Caller {
 public:
  PeerCaller(std::shared_ptr<State> state, NodeId node, Endpoint endpoint)
      : state_(std::move(state)), node_(node), endpoint_(endpoint) {}

  base::Task<Result<std::unique_ptr<OpenCall>>> open_call(const Method& method,
                                                          const CallOptions& options) override {
    const auto deadline = state_->deadline(method, options);
    CO_TRY(auto call, co_await state_->open(node_, endpoint_, method, options, deadline));
    if (!method.options.replay_safe || method.kind != Kind::Unary) co_return call;
    using Call = RepeatedCall<State>;
    co_return std::make_unique<Call>(
        std::move(call), typename Call::Way{state_, node_, endpoint_, method, options, deadline});
  }

 private:
  std::shared_ptr<State> state_;
  NodeId node_;
  Endpoint endpoint_;
};

}  // namespace

Peers::Peers(Parts parts, PeersOptions options)
    : state_(std::make_shared<State>(std::move(parts), options)) {}

Peers::~Peers() = default;

std::unique_ptr<Caller> Peers::to(NodeId node, Endpoint endpoint) {
  return std::make_unique<PeerCaller<State>>(state_, node, endpoint);
}

base::Task<> Peers::stop(base::Duration grace) {
  const auto state = state_;
  co_await state->stop(grace);
}

std::size_t Peers::connections() const {
  return state_->connections();
}

}  // namespace stoq::rpc
