#include "consensus/node/replica_node.hpp"

#include <fmt/format.h>

#include <base/config/units.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "consensus/node/ordered_time.hpp"
#include "consensus/node/replica_state.hpp"

namespace hypermesh::consensus {

using base::Errc;
using base::Result;
using base::Task;

Result<stoq::Endpoint> endpoint_of(const Member& member) {
  TRY(const auto parsed, base::config::parse_endpoint(member.endpoint));
  return stoq::Endpoint::of(parsed.address, parsed.port);
}

ReplicaNode::ReplicaNode(std::unique_ptr<State> state) : state_(std::move(state)) {}
ReplicaNode::~ReplicaNode() = default;

Result<std::unique_ptr<ReplicaNode>> ReplicaNode::open(Parts parts, ReplicaOptions options) {
  if (parts.log->payload_bytes_max() < kRecordBytesMax) {
    return base::fail(Errc::InvalidArgument,
                      fmt::format("the consensus log takes records of up to {} bytes; a block can "
                                  "need {}: raise its payload_bytes_max",
                                  parts.log->payload_bytes_max(), kRecordBytesMax));
  }
  auto opened =
      Executor::open(parts.genesis, *parts.storage, options.machine, options.engine.versions);
  if (!opened) return std::unexpected(of_the_state(std::move(opened).error()));
  auto blocks = *std::move(opened);
  auto state = std::make_unique<State>(std::move(parts), options, std::move(blocks));
  TRY_DO(state->begin());
  return std::unique_ptr<ReplicaNode>(new ReplicaNode(std::move(state)));
}

void ReplicaNode::start() {
  State& s = *state_;
  s.mesh = std::make_unique<Mesh>(
      s.parts.executor, *s.parts.peers, *s.parts.server,
      [&s](const stoq::NodeId& from, base::BytesView bytes) { s.on_message(from, bytes); },
      s.parts.lines);
  s.log_writer =
      std::make_unique<LogWriter>(s.parts.executor, *s.parts.pool, *s.parts.log, *s.parts.clock,
                                  [&s](Result<Lsn> written, base::Duration took) {
                                    s.measured.on_sync(took);
                                    s.on_durable(std::move(written));
                                  });
  s.round_trips = std::make_unique<RoundTrips>(
      s.parts.executor, *s.parts.peers, *s.parts.server, *s.parts.clock,
      [&s](const stoq::NodeId& peer, base::Duration took) { s.measured.on_round_trip(peer, took); },
      [&s] { s.step(s.measured.conditions(s.engine->voters().faulty_max())); });
  s.checker = std::make_unique<SignatureChecker>(s.parts.executor, *s.parts.pool, s.signatures,
                                                 [&s](pbft::Checked checked) { s.step(checked); });
  s.applier =
      std::make_unique<BlockApplier>(s.parts.executor, *s.parts.pool, *s.blocks, *s.parts.clock,
                                     [&s](const BlockApplier::Batch& batch) { s.on_batch(batch); });
  s.fetch = std::make_unique<StateFetch>(s.parts.executor, *s.parts.pool, *s.parts.peers,
                                         *s.parts.storage, s.parts.lines);
  s.parts.server->handle(kFetchState, [&s](stoq::rpc::Call& call, const Frame& request) {
    return s.serve_state(call, request);
  });
  s.running = true;
  s.await_lease_end(s.blocks->machine().lease_end());
  s.update_members();
  s.step(pbft::Tick{});
}

Task<> ReplicaNode::stop() {
  State& s = *state_;
  co_await boost::asio::this_coro::reset_cancellation_state();
  s.running = false;
  s.timer.cancel();
  // What was put off for a turn of the loop, or two, refers to us.
  for (int turn = 0; turn < 2; ++turn)
    co_await boost::asio::post(s.parts.executor, boost::asio::use_awaitable);
  s.answer_all(base::make_error(Errc::Unavailable, "this replica stops"));
  s.progressed.notify();
  s.scope.cancel();
  if (s.fetch) co_await s.fetch->stop();
  co_await s.scope.join();
  if (s.round_trips) co_await s.round_trips->stop();
  if (s.mesh) co_await s.mesh->stop();
  if (s.checker) co_await s.checker->stop();
  if (s.applier) co_await s.applier->stop();
  if (s.log_writer) co_await s.log_writer->stop();
}

Task<base::Error> ReplicaNode::failed() {
  while (!state_->failure) co_await state_->failed.wait();
  co_return *state_->failure;
}

std::uint64_t ReplicaNode::deadline_within(base::Duration limit) const {
  return consensus::deadline_within(clock(), limit);
}

Task<> ReplicaNode::applied_after(Slot seen, base::Duration limit) {
  const auto end = state_->parts.clock->now() + limit;
  while (state_->applied <= seen && state_->running) {
    const auto left = end - state_->parts.clock->now();
    if (left <= base::Duration::zero() || !co_await state_->progressed.wait_for(left)) co_return;
  }
}

Task<Result<Copy>> ReplicaNode::copy() {
  CO_TRY(auto copy, co_await read(Consistency::Local, base::Duration::zero(),
                                  [](const state::View& view) -> Result<Copy> {
                                    if (!view.checkpoints().empty()) {
                                      const auto& last = view.checkpoints().back();
                                      return Copy{{}, last.slot, last.tree.root, {}};
                                    }
                                    return base::fail(Errc::FailedPrecondition,
                                                      "there is no checkpoint here yet");
                                  }));
  copy.node = own_key();
  copy.newest = state_->options.engine.versions.newest;
  copy.signature = state_->parts.key->sign(signed_bytes(state_->cluster, copy));
  co_return copy;
}

void ReplicaNode::spawn(Task<> task) {
  state_->scope.spawn(std::move(task));
}

bool ReplicaNode::is_member(const stoq::NodeId& id) const {
  return state_->member_ids.contains(id);
}

ReplicaStatus ReplicaNode::status() const {
  const State& s = *state_;
  const Voters& voters = s.engine->voters();
  ReplicaStatus status{voters.epoch,
                       s.engine->view(),
                       s.engine->changing(),
                       s.engine->own().has_value(),
                       s.engine->committed(),
                       s.applied,
                       s.engine->stable(),
                       s.revision,
                       s.time,
                       voters.size(),
                       voters.faulty_max(),
                       voters.quorum(),
                       0,
                       voters.keys[voters.primary(s.engine->view())],
                       voters.primary(s.engine->view()),
                       s.operations,
                       s.unreadable + (s.mesh ? s.mesh->malformed() : 0),
                       s.signatures.bad(),
                       voters.version};
  status.connected = s.voters_reached() - (status.votes ? 1 : 0);
  return status;
}

const Genesis& ReplicaNode::genesis() const {
  return state_->parts.genesis;
}
const ClusterId& ReplicaNode::cluster() const {
  return state_->cluster;
}
const Voters& ReplicaNode::voters() const {
  return state_->engine->voters();
}
const std::optional<StableCheckpoint>& ReplicaNode::stable_checkpoint() const {
  return state_->engine->stable_checkpoint();
}
std::vector<StableCheckpoint> ReplicaNode::ends_from(Epoch epoch) const {
  return state_->engine->epochs().ends_from(epoch);
}
const base::PublicKey& ReplicaNode::own_key() const {
  return state_->parts.key->public_key();
}
const base::Executor& ReplicaNode::executor() const {
  return state_->parts.executor;
}
const base::Clock& ReplicaNode::clock() const {
  return *state_->parts.clock;
}
void ReplicaNode::on_executed(OnExecuted observe) {
  state_->on_executed.push_back(std::move(observe));
}
void ReplicaNode::on_vote(OnVote observe) {
  state_->on_vote.push_back(std::move(observe));
}

}  // namespace hypermesh::consensus
