#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <boost/asio/post.hpp>

#include "consensus/node/ordered_time.hpp"
#include "consensus/node/replica_state.hpp"

// What goes into the engine, and what comes out of it.

namespace hypermesh::consensus {

using base::Errc;
using base::Result;
using base::Task;

namespace {

constexpr std::size_t kCheckedAtOnce = 8;

}  // namespace

// What an output leads to at once is an input like others, behind all that goes with that output.
void ReplicaNode::State::step(pbft::Input input) {
  inputs.push_back(std::move(input));
  if (std::exchange(stepping, true)) return;
  while (running && !inputs.empty()) {
    const pbft::Input next = std::move(inputs.front());
    inputs.pop_front();
    take(next);
  }
  inputs.clear();
  stepping = false;
  if (!running) return;
  write_soon();
  poll_gateway();
}

// Two turns of the loop later, when what was said meanwhile has left: while our disk writes, others
// have something to do.
void ReplicaNode::State::write_soon() {
  if (!log_writer->due() || std::exchange(write_due, true)) return;
  boost::asio::post(parts.executor, [this] {
    boost::asio::post(parts.executor, [this] {
      write_due = false;
      log_writer->begin();
    });
  });
}

void ReplicaNode::State::take(const pbft::Input& input) {
  pbft::Outputs outputs;
  const Epoch epoch = engine->voters().epoch;
  const View view = engine->view();
  const bool changing = engine->changing();
  engine->step(input, parts.clock->now(), wall_of(*parts.clock), outputs);
  engine_wake = outputs.wake_at;
  // Another primary may not know what was given to the one before.
  if (engine->voters().epoch != epoch || engine->view() != view) {
    gateway.send_again();
    relay.send_again();
  }
  if (engine->changing() && (!changing || engine->view() != view)) {
    const auto milliseconds = [](base::Duration duration) {
      return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
    };
    parts.lines.warning("this replica wants another primary",
                        {{"view", engine->view()},
                         {"silent_ms", milliseconds(engine->silence())},
                         {"patience_ms", milliseconds(engine->patience())}});
  } else if (!engine->changing() && changing) {
    parts.lines.info("a view has begun", {{"view", engine->view()}});
  }
  if (engine->voters().epoch != epoch) {
    parts.lines.info("an epoch has begun",
                     {{"epoch", engine->voters().epoch}, {"voters", engine->voters().size()}});
    update_members();  // What it says already is for those of the new epoch.
  }
  carry_out(std::move(outputs));
}

void ReplicaNode::State::on_message(const stoq::NodeId& from, base::BytesView bytes) {
  const auto peer = peer_ids.find(from);
  if (peer == peer_ids.end()) return;
  // What is lost is sent again, when the disk may have caught up.
  if (log_writer->behind()) return;
  auto message = decode(cluster, bytes, options.engine.versions);
  if (!message) {
    // Whoever sends many of them does not fill the log of lines.
    if (std::has_single_bit(++unreadable)) {
      parts.lines.warning(
          "a message cannot be read",
          {{"from", from.text()}, {"why", message.error()}, {"so_far", unreadable}});
    }
    if (message.error().code == Errc::Unsupported)
      step(pbft::Unreadable{peer->second, bytes.front()});
    return;
  }
  observe_votes(peer->second, *message);
  step(pbft::Received{peer->second, std::make_shared<const Message>(*std::move(message))});
}

void ReplicaNode::State::observe_votes(pbft::PeerId from, const Message& message) const {
  if (on_vote.empty()) return;
  const auto tell = [this](const Vote& vote) {
    for (const auto& observe : on_vote) observe(vote);
  };
  if (const auto* vote = std::get_if<Vote>(&message)) tell(*vote);
  if (const auto* proposal = std::get_if<Proposal>(&message)) {
    const Block& block = proposal->link->block;
    tell({{Phase::Prepare, proposal->epoch, proposal->view, block.slot, proposal->link->digest},
          static_cast<ReplicaId>(from),
          proposal->signature});
  }
  if (const auto* decided = std::get_if<Decided>(&message)) {
    for (const auto& [replica, signature] : decided->certificate.signatures)
      tell({decided->certificate.statement, replica, signature});
  }
}

void ReplicaNode::State::on_durable(Result<Lsn> written) {
  if (!written) return fail(base::wrap(std::move(written).error(), "the consensus log"));
  durable = std::max(durable, *written);
  while (!held.empty() && held.front().after <= durable) {
    transmit(held.front());
    held.pop_front();
  }
  release_what_may_go();
  step(pbft::Persisted{durable});
}

void ReplicaNode::State::on_batch(const BlockApplier::Batch& batch) {
  if (batch.on_disk > 0) {
    on_disk = batch.on_disk;
    release_what_may_go();
  }
  for (const auto& [link, executed] : batch.executed) {
    applied = executed.slot;
    revision = executed.revision;
    time = executed.time;
    if (executed.configuration) {
      configuration = *executed.configuration;
      update_members();
    }
    for (std::size_t i = 0; i < executed.results.size(); ++i)
      tell_executed(executed.results[i], link->bundle_digests[i]);
    gateway.on_time(executed.time);
    operations = executed.operations_before + link->block.operations();
    // What is executed again, on a state that was fetched anew, was told before.
    if (executed.slot > observed)
      for (const auto& observe : on_executed) observe(*link, executed);
    observed = std::max(observed, executed.slot);
    step(pbft::Applied{executed.slot, executed.root, executed.next});
  }
  if (!batch.executed.empty()) await_lease_end(batch.executed.back().second.lease_end);
  progressed.notify();
  if (!batch.ended) on_state_failed(batch.ended.error());
}

void ReplicaNode::State::fail(base::Error error) {
  if (failure) return;
  if (error.hints.empty()) {
    error = with_hint(std::move(error),
                      "when the disk is well, stop this replica and open it anew: it goes on from "
                      "what is on disk");
  }
  parts.lines.error("this replica stops", {{"why", error}, {"do", error.hints.front()}});
  running = false;
  failure = std::move(error);
  answer_all(not_running());
  failed.notify();
}

base::Error ReplicaNode::State::not_running() const {
  if (!failure) return base::make_error(Errc::Unavailable, "this replica does not run");
  auto error = base::make_error(Errc::Unavailable, "this replica stopped: " + failure->describe());
  error.hints = failure->hints;
  return error;
}

void ReplicaNode::State::carry_out(pbft::Outputs outputs) {
  for (auto& output : outputs.list) {
    std::visit([this](auto& each) { carry_out(std::move(each)); }, output);
    if (!running) return;
  }
}

void ReplicaNode::State::carry_out(pbft::Send&& send) {
  observe_votes(engine->own().value_or(0), *send.message);
  if (send.after <= durable) return transmit(send);
  const auto place = std::ranges::upper_bound(held, send.after, {}, &pbft::Send::after);
  log_writer->need(send.after);
  held.insert(place, std::move(send));
}

void ReplicaNode::State::transmit(const pbft::Send& send) {
  const auto bytes = std::make_shared<const base::Bytes>(encode(*send.message, send.version));
  if (send.to) {
    const auto found = node_ids.find(*send.to);
    if (found != node_ids.end()) mesh->send(found->second, bytes);
    return;
  }
  for (const auto& [peer, node] : node_ids) {
    if (peer < pbft::kFirstFollower || send.widely) mesh->send(node, bytes);
  }
}

// A few signatures cost less than handing them to another thread.
void ReplicaNode::State::carry_out(pbft::Check&& check) {
  if (check.items.size() > kCheckedAtOnce) return checker->check(std::move(check));
  step(signatures.check(check));
}

void ReplicaNode::State::carry_out(pbft::Persist&& persist) {
  const auto lsn = log_writer->append(static_cast<std::uint8_t>(persist.record.index()),
                                      encode(persist.record, persist.version), persist.lazy);
  if (!lsn) return fail(base::wrap(lsn.error(), "the consensus log"));
  BASE_ASSERT(*lsn == persist.lsn, "the log and the engine count alike");
}

void ReplicaNode::State::carry_out(pbft::Outdated&& outdated) {
  const Versions& known = options.engine.versions;
  fail(with_hint(
      base::make_error(Errc::Unsupported,
                       fmt::format("the cluster goes by version {}; this program knows {} to {}",
                                   outdated.version, known.oldest, known.newest)),
      "start a program that knows the cluster's version: it goes on from what is on disk"));
}

void ReplicaNode::State::carry_out(pbft::Release&& what) {
  release = what;
  release_stable = engine->stable();
  release_what_may_go();
}

// Records that the state on disk does not need any more to be caught up.
void ReplicaNode::State::release_what_may_go() {
  if (release && durable >= release->after) certified = std::max(certified, release_stable);
  // A damaged log stays, so that every start finds the damage and does not vote.
  if (damaged || !release || on_disk < release_stable || durable < release->after) return;
  log_writer->drop_before(release->lsn);
  release.reset();
}

void ReplicaNode::State::carry_out(Evidence&& evidence) {
  // An epoch that has begun meanwhile has other numbers.
  const bool known = evidence.first.statement.epoch == engine->voters().epoch;
  parts.lines.error(
      "a replica is proven to lie",
      {{"node", known ? stoq::NodeId::of(engine->voters().keys[evidence.first.replica]).text()
                      : "of the epoch before"},
       {"replica", evidence.first.replica},
       {"phase", to_text(evidence.first.statement.phase)},
       {"view", evidence.first.statement.view},
       {"slot", evidence.first.statement.slot}});
  submit(encode(OnCluster<Evidence>{0, evidence}), std::chrono::hours(1), [](const auto&) {});
}

void ReplicaNode::State::update_members() {
  members.clear();
  member_ids.clear();
  peer_ids.clear();
  node_ids.clear();
  pbft::PeerId follower = pbft::kFirstFollower;
  auto nodes = configuration.members;
  for (const Member& contact : options.contacts) {
    if (configuration.find(contact.key) == nullptr) nodes.push_back(contact);
  }
  for (const Member& member : nodes) {
    if (configuration.find(member.key) != nullptr) member_ids.insert(stoq::NodeId::of(member.key));
    if (member.role != Role::Node || member.key == parts.key->public_key()) continue;
    const auto id = stoq::NodeId::of(member.key);
    const auto voter = engine->voters().find(member.key);
    const pbft::PeerId peer = voter ? *voter : follower++;
    peer_ids.emplace(id, peer);
    node_ids.emplace(peer, id);
    const auto endpoint = endpoint_of(member);
    if (!endpoint) {
      parts.lines.warning("a node cannot be reached",
                          {{"node", id.text()}, {"why", endpoint.error()}});
      continue;
    }
    members.emplace(id, *endpoint);
  }
  mesh->set_members(members);
  std::map<stoq::NodeId, stoq::Endpoint> voters;
  for (const auto& [id, endpoint] : members) {
    if (peer_ids.at(id) < pbft::kFirstFollower) voters.emplace(id, endpoint);
  }
  measured.keep([&voters](const stoq::NodeId& id) { return voters.contains(id); });
  round_trips->set_peers(std::move(voters));
}

void ReplicaNode::State::set_timer(base::MonotonicTime at) {
  if (at >= timer_at) return;
  timer_at = at;
  timer.expires_at(std::chrono::time_point_cast<std::chrono::steady_clock::duration>(at));
  timer.async_wait([this](const boost::system::error_code& error) {
    if (!error) on_timer();
  });
}

void ReplicaNode::State::on_timer() {
  timer_at = base::MonotonicTime::max();
  if (parts.clock->now() >= engine_wake) return step(pbft::Tick{});
  poll_gateway();
}

}  // namespace hypermesh::consensus
