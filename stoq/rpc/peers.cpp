#include <fmt/format.h>

#include <algorithm>
#include <base/async/task_scope.hpp>
#include <map>
#include <stoq/peers.hpp>
#include <stoq/rpc_server.hpp>

#include "rpc/calls.hpp"
#include "rpc/codes.hpp"
#include "rpc/link.hpp"
#include "rpc/peer_caller.hpp"

namespace stoq::rpc {

using base::Errc;
using base::MonotonicTime;
using base::Result;

namespace {

using Key = std::pair<NodeId, Lane>;

std::optional<Lane> lane_of(const Connection& connection) {
  for (const Lane lane : {Lane::Control, Lane::Bulk})
    if (connection.alpn() == alpn_of(lane)) return lane;
  return std::nullopt;
}

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
  void adopt(const std::shared_ptr<Connection>& connection);
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
  void connected(const std::shared_ptr<Slot>& slot, std::shared_ptr<Connection> connection,
                 bool dialled);
  base::Task<> watch(std::shared_ptr<Slot> slot, std::shared_ptr<Connection> connection,
                     bool served);
  base::Task<> retire(std::shared_ptr<Connection> connection, base::Duration wait);
  void expired(const std::shared_ptr<Slot>& slot);
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

  void expired() override { owner.expired(self.lock()); }

  State& owner;
  const Key key;
  Link link;
  Endpoint endpoint;
  std::shared_ptr<Connection> connection;
  bool dialled = false;              // By us.
  std::weak_ptr<Connection> theirs;  // That the peer dialled last, whether it is the one to use.
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
      if (link.calls() > 0 || link.dialling()) continue;
      if (oldest == slots_.end() || at->second->used < oldest->second->used) oldest = at;
    }
    if (oldest == slots_.end()) {
      return base::fail(
          Errc::ResourceExhausted,
          fmt::format("calls to {} peers are in flight, which is the limit", options_.peers_max));
    }
    Deadlines::disarm(*oldest->second);
    if (oldest->second->connection && oldest->second->dialled)
      scope_.spawn(retire(oldest->second->connection, base::Duration::zero()));
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
      connection->close(close->reason, kCloseUnused);
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
  if (parts_.server != nullptr) parts_.server->serve(*connection);
  connected(slot, *std::move(connection), true);
}

void Peers::State::adopt(const std::shared_ptr<Connection>& connection) {
  if (stopping_ || connection->executor() != parts_.executor) return;
  const auto peer = connection->peer();
  const auto lane = lane_of(*connection);
  if (!peer || *peer == parts_.transport->self() || !lane) return;
  // Who only calls us takes no room of those whom we call.
  if (!slots_.contains({*peer, *lane}) && slots_.size() >= options_.peers_max) return;
  connected(*slot({*peer, *lane}), connection, false);
}

// When both ends have dialled, both keep what the smaller id has dialled. Of the peer's own, the
// last counts: it has lost the one before, with its process perhaps, and calls there would wait
// until they time out.
void Peers::State::connected(const std::shared_ptr<Slot>& slot,
                             std::shared_ptr<Connection> connection, bool dialled) {
  const bool ours_stays = parts_.transport->self() < slot->key.first;
  scope_.spawn(watch(slot, connection, !dialled || parts_.server != nullptr));
  if (!dialled) {
    const auto before = std::exchange(slot->theirs, connection).lock();
    if (before) before->close("its maker has made another one");
  }
  if (slot->connection && slot->dialled != dialled && slot->dialled == ours_stays) {
    if (!dialled) return;
    scope_.spawn(retire(std::move(connection), options_.idle_max));
    return step(slot, Link::Surplus{});
  }
  if (slot->connection && slot->dialled)
    scope_.spawn(retire(std::move(slot->connection), options_.idle_max));
  slot->connection = std::move(connection);
  slot->dialled = dialled;
  step(slot, Link::Connected{dialled});
}

// Closes a connection of our making that is not the one to use, once nothing goes on there.
base::Task<> Peers::State::retire(std::shared_ptr<Connection> connection, base::Duration wait) {
  co_await base::sleep_for(wait);
  while (connection->stats().streams > 0) co_await base::sleep_for(options_.idle_max);
  connection->close("there is another connection", kCloseUnused);
}

// A stream that is not over may be a call of the peer, or an answer that it has not got.
void Peers::State::expired(const std::shared_ptr<Slot>& slot) {
  const bool used = slot->connection && slot->connection->stats().streams > 0;
  step(slot, used ? Link::Event(Link::Used{}) : Link::Event(Link::Time{}));
}

// Waits for the end of a connection. Where nobody serves the peer's streams they are refused.
base::Task<> Peers::State::watch(std::shared_ptr<Slot> slot, std::shared_ptr<Connection> connection,
                                 bool served) {
  while (!served) {
    auto stream = co_await connection->accept_stream();
    if (!stream) break;
    (*stream)->reset(static_cast<std::uint64_t>(ResetCode::Protocol));
  }
  co_await connection->closed();
  // Whoever asks for a stream now is told why there is none.
  auto stream = co_await connection->open_stream();
  BASE_ASSERT(!stream, "the connection has ended");
  lost(slot, connection.get(), std::move(stream).error());
}

void Peers::State::lost(const std::shared_ptr<Slot>& slot, const Connection* connection,
                        base::Error error) {
  if (slot->connection.get() != connection) return;
  const bool unused = connection->close_code() == kCloseUnused;
  slot->connection.reset();
  step(slot, Link::Lost{std::move(error), unused});
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

Peers::Peers(Parts parts, PeersOptions options)
    : state_(std::make_shared<State>(std::move(parts), options)) {}

Peers::~Peers() = default;

std::unique_ptr<Caller> Peers::to(NodeId node, Endpoint endpoint) {
  return std::make_unique<PeerCaller<State>>(state_, node, endpoint);
}

void Peers::adopt(const std::shared_ptr<Connection>& connection) {
  state_->adopt(connection);
}

base::Task<> Peers::stop(base::Duration grace) {
  const auto state = state_;
  co_await state->stop(grace);
}

std::size_t Peers::connections() const {
  return state_->connections();
}

}  // namespace stoq::rpc
