#include <algorithm>
#include <boost/asio/post.hpp>

#include "consensus/node/ordered_time.hpp"
#include "consensus/node/replica_state.hpp"

// Operations on their way to the order and back, and reads.

namespace hypermesh::consensus {

using base::Errc;
using base::Result;
using base::Task;

namespace {

constexpr base::Duration kLeaseGrace = std::chrono::milliseconds(500);
constexpr base::Duration kLeaseRetry = std::chrono::seconds(1);

}  // namespace

void ReplicaNode::State::submit(base::Bytes command, base::Duration limit, Gateway::Done done) {
  const auto now = parts.clock->now();
  gateway.submit(std::move(command), now, now + limit, std::move(done));
  poll_gateway_soon();
}

// What arrives together goes into one bundle.
void ReplicaNode::State::poll_gateway_soon() {
  if (std::exchange(poll_due, true)) return;
  boost::asio::post(parts.executor, [this] {
    poll_due = false;
    poll_gateway();
  });
}

// A lease ends with the first slot of a later time. When nothing else is ordered the primary orders
// one, or another voter if it does not.
void ReplicaNode::State::await_lease_end(std::optional<std::uint64_t> end) {
  lease_due = base::MonotonicTime::max();
  if (!end || !engine->own()) return;
  const auto wall = wall_of(*parts.clock);
  const auto left = base::Duration(*end < wall ? 0 : static_cast<std::int64_t>(*end - wall + 1));
  lease_due = parts.clock->now() + std::min<base::Duration>(left, std::chrono::hours(24)) +
              (engine->is_primary() ? base::Duration::zero() : kLeaseGrace);
}

void ReplicaNode::State::poll_gateway() {
  if (!running) return;
  if (const auto now = parts.clock->now(); now >= lease_due) {
    lease_due = now + kLeaseRetry;
    gateway.barrier(now, lease_due, [](const auto&) {});
  }
  if (gateway.anything_waits()) gateway.reach(voters_reached(), engine->voters().quorum());
  for (const auto& sent : gateway.poll(parts.clock->now())) send_bundle(sent.bundle, !sent.again);
  std::vector<BundlePtr> late;
  for (const auto& [bundle, first] : relay.poll(parts.clock->now())) {
    send_bundle(bundle, false);
    if (first) late.push_back(bundle);
  }
  if (!late.empty()) carry_out(pbft::Overdue{std::move(late)});
  set_timer(std::min({engine_wake, gateway.wake_at(), relay.wake_at(), lease_due}));
}

// At first it goes to the primary alone: the others see it in the proposal. They take it up
// against a primary that leaves it out, when it comes to them for not having been executed.
void ReplicaNode::State::send_bundle(const BundlePtr& bundle, bool first) {
  const auto message = std::make_shared<const Message>(Submit{bundle});
  if (!first || engine->changing()) {
    transmit({std::nullopt, message, 0});
  } else if (!engine->is_primary()) {
    transmit({engine->voters().primary(engine->view()), message, 0});
  }
  boost::asio::post(parts.executor, [this, message] {
    step(pbft::Received{engine->own().value_or(pbft::kFirstFollower), message});
  });
}

void ReplicaNode::State::tell_executed(const BundleResult& result, const base::Digest& bundle) {
  gateway.on_executed(result, parts.clock->now());
  // Nodes' own do not come this way.
  const Member* const client = configuration.find(result.client);
  relay.on_executed(result, bundle, client != nullptr && client->role != Role::Node);
}

void ReplicaNode::State::answer_all(const base::Error& error) {
  gateway.end(error);
  relay.end(error);
  for (const auto& [ticket, waiting] : std::exchange(asking, {}))
    waiting.read(std::unexpected(error))();
}

void ReplicaNode::order(base::Bytes command, base::Duration limit, Gateway::Done done) {
  State& s = *state_;
  if (!s.running) return done(std::unexpected(s.not_running()));
  s.submit(std::move(command), limit, std::move(done));
}

Task<Result<std::uint64_t>> ReplicaNode::order(base::Bytes command, base::Duration limit) {
  return awaited<Result<std::uint64_t>>(
      state_->parts.executor, [this, command = std::move(command), limit](auto done) mutable {
        order(std::move(command), limit, std::move(done));
      });
}

std::size_t ReplicaNode::State::voters_reached() const {
  std::size_t reached = engine->own() ? 1 : 0;
  for (const auto& [peer, node] : node_ids) {
    if (peer < pbft::kFirstFollower && mesh->connected_to(node)) ++reached;
  }
  return reached;
}

void ReplicaNode::read(Consistency consistency, base::Duration limit, Read read) {
  State& s = *state_;
  if (!s.running) {
    return read(std::unexpected(s.not_running()))();
  }
  if (consistency == Consistency::Local) return s.add_read(std::move(read));
  s.asking.emplace(++s.last_read, State::Asking{s.parts.clock->now() + limit, std::move(read)});
  // What arrives together asks once.
  if (std::exchange(s.ask_due, true)) return;
  boost::asio::post(s.parts.executor, [&s] {
    s.ask_due = false;
    s.step(pbft::Read{s.last_read});
  });
}

void ReplicaNode::State::carry_out(pbft::Readable&& readable) {
  const auto now = parts.clock->now();
  while (!asking.empty() && asking.begin()->first <= readable.ticket) {
    Asking first = std::move(asking.extract(asking.begin()).mapped());
    if (readable.good) {
      add_read(std::move(first.read));
    } else {
      read_behind_barrier(now, first.deadline, std::move(first.read));
    }
  }
}

// An ordered operation is executed when all before it are, whatever anybody says.
void ReplicaNode::State::read_behind_barrier(base::MonotonicTime now, base::MonotonicTime deadline,
                                             Read read) {
  gateway.barrier(now, deadline, [this, read = std::move(read)](Result<std::uint64_t> done) {
    if (!done) return read(std::unexpected(std::move(done).error()))();
    add_read(read);
  });
  poll_gateway_soon();
}

void ReplicaNode::State::add_read(Read read) {
  reads.push_back(std::move(read));
  if (std::exchange(reading, true)) return;
  scope.spawn(run_reads());
}

// All that wait are answered from one view.
Task<> ReplicaNode::State::run_reads() {
  while (!reads.empty()) {
    const bool good = stored == Stored::State;
    std::optional<base::Error> unread;
    const auto answers =
        co_await parts.pool->run([this, good, &unread, all = std::exchange(reads, {})] {
          std::vector<std::function<void()>> done;
          const auto view =
              good ? state::View::of(*parts.storage)
                   : base::fail(Errc::Unavailable,
                                "this replica's state was damaged and is being fetched "
                                "anew; ask another, or again later");
          for (const auto& read : all) {
            done.push_back(view ? read(&*view)
                                : read(std::unexpected(base::wrap(view.error(), "the state"))));
          }
          if (good) unread = view ? view->damage() : std::optional(view.error());
          return done;
        });
    for (const auto& answer : answers) answer();
    if (unread && unread->code == Errc::DataLoss && running) on_state_failed(*std::move(unread));
  }
  reading = false;
}

void ReplicaNode::relay(BundlePtr bundle, base::Duration limit, Relay::Done done) {
  State& s = *state_;
  if (!s.running) return done(std::unexpected(s.not_running()));
  const auto now = s.parts.clock->now();
  if (!s.relay.add(bundle, now, now + limit, std::move(done))) return;
  s.send_bundle(bundle, false);
  s.set_timer(s.relay.wake_at());
}

}  // namespace hypermesh::consensus
