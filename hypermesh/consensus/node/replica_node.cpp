#include "consensus/node/replica_node.hpp"

#include <fmt/format.h>

#include <base/async/event.hpp>
#include <base/config/units.hpp>
#include <bit>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "consensus/execution/resume.hpp"
#include "consensus/log/log.hpp"
#include "consensus/node/block_applier.hpp"
#include "consensus/node/log_writer.hpp"
#include "consensus/node/measured.hpp"
#include "consensus/node/mesh.hpp"
#include "consensus/node/ordered_time.hpp"
#include "consensus/node/round_trips.hpp"
#include "consensus/node/signature_checker.hpp"
#include "consensus/node/state_fetch.hpp"
#include "state/transfer_source.hpp"

namespace hypermesh::consensus {

using base::Errc;
using base::Result;
using base::Task;

namespace {

constexpr std::size_t kCheckedAtOnce = 8;
constexpr base::Duration kFetchRetry = std::chrono::milliseconds(300);
constexpr std::size_t kRecentMax = 4096;
constexpr base::Duration kLeaseGrace = std::chrono::milliseconds(500);
constexpr base::Duration kLeaseRetry = std::chrono::seconds(1);
constexpr base::Duration kRelayedLook = std::chrono::milliseconds(100);

class KeySigner final : public pbft::Signer {
 public:
  explicit KeySigner(const base::SigningKey& key) : key_(key) {}
  base::Signature sign(base::BytesView bytes) override { return key_.sign(bytes); }

 private:
  const base::SigningKey& key_;
};

pbft::Options engine_options(const Genesis& genesis, pbft::Options options) {
  options.cluster = cluster_of(genesis);
  options.window = genesis.window;
  options.checkpoint_interval = genesis.checkpoint_interval;
  return options;
}

constexpr const char* kStartNewer =
    "start the version that wrote it, or a newer one; nothing was changed";

base::Error of_the_state(base::Error error) {
  error = base::wrap(std::move(error), "the replicated state");
  if (error.code == Errc::DataLoss && error.hints.empty()) {
    error =
        with_hint(std::move(error),
                  "move the folder of this replica's state away, keep its log and key, and open "
                  "it anew: it fetches the state from the others");
  }
  if (error.code == Errc::Unsupported && error.hints.empty())
    error = with_hint(std::move(error), kStartNewer);
  return error;
}

struct Kept {
  std::vector<pbft::Persist> records;
  bool damaged = false;  ///< A promise may be among what cannot be read.
};

Result<Kept> read_log(const ClusterId& cluster, const Log& log, const base::Log& lines) {
  Kept kept;
  Result<> good;
  TRY(const auto gaps, log.read(log.opened().first, [&](const LogRecord& record) {
    auto decoded = decode_record(cluster, record.payload);
    if (!decoded && good) {
      auto error = base::wrap(std::move(decoded).error(),
                              fmt::format("record {} of the consensus log", record.lsn));
      if (error.code == Errc::Unsupported) error = with_hint(std::move(error), kStartNewer);
      good = std::unexpected(std::move(error));
    }
    if (good) kept.records.push_back({record.lsn, *std::move(decoded)});
  }));
  TRY_DO(std::move(good));
  for (const LogGap& gap : gaps) {
    kept.damaged = kept.damaged || gap.acknowledged;
    lines.error("records of the consensus log are damaged", {{"file", gap.file},
                                                             {"offset", gap.offset},
                                                             {"bytes", gap.bytes},
                                                             {"first", gap.first},
                                                             {"last", gap.last}});
  }
  if (const auto& torn = log.opened().torn_tail) {
    lines.info("a write was cut short by a crash; nobody was told of it",
               {{"file", torn->file}, {"offset", torn->offset}, {"bytes", torn->bytes}});
  }
  return kept;
}

}  // namespace

Result<stoq::Endpoint> endpoint_of(const Member& member) {
  TRY(const auto parsed, base::config::parse_endpoint(member.endpoint));
  return stoq::Endpoint::of(parsed.address, parsed.port);
}

struct ReplicaNode::State {
  State(Parts parts, const ReplicaOptions& options, std::unique_ptr<Executor> blocks);

  void begin(const Kept& kept);
  void step(const pbft::Input& input);
  void carry_out(pbft::Outputs outputs);
  void carry_out(pbft::Send&& send);
  void carry_out(pbft::Persist&& persist);
  void carry_out(pbft::Check&& check);
  void carry_out(pbft::Apply&& apply) { applier->apply(std::move(apply.link), certified); }
  void carry_out(pbft::NeedState&& need);
  void carry_out(pbft::StateDamaged&& damaged);
  void carry_out(pbft::Release&& release);
  void carry_out(Evidence&& evidence);
  void carry_out(pbft::Readable&& readable);
  void read_behind_barrier(base::MonotonicTime now, base::MonotonicTime deadline, Read read);
  Task<> fetch_state();
  Task<> on_fetched(const StableCheckpoint& checkpoint);
  Task<Result<Frame>> serve_state(stoq::rpc::Call& call, const Frame& request);
  void observe_votes(pbft::PeerId from, const Message& message) const;
  void transmit(const pbft::Send& send);
  void release_what_may_go();
  void on_message(const stoq::NodeId& from, base::BytesView bytes);
  void on_durable(Result<Lsn> written);
  void on_batch(const BlockApplier::Batch& batch);
  void update_members();
  void poll_gateway();
  void await_lease_end(std::optional<std::uint64_t> end);
  void poll_gateway_soon();
  void set_timer(base::MonotonicTime at);
  void on_timer();
  void submit(base::Bytes command, base::Duration limit, Gateway::Done done);
  void send_bundle(const BundlePtr& bundle, bool proposal_is_enough);
  void answer_relayed(const BundleResult& result, const base::Digest& bundle);
  void expire_relayed();
  void answer_all(const base::Error& error);
  std::size_t voters_reached() const;
  void add_read(Read read);
  Task<> run_reads();
  void fail(base::Error error);
  base::Error not_running() const;

  Parts parts;
  const ReplicaOptions options;
  const ClusterId cluster;
  KeySigner signer;
  std::unique_ptr<Executor> blocks;  // Its calls are made on a worker; see BlockApplier.
  Configuration configuration;       // Of the last slot that was heard of here.
  std::unique_ptr<pbft::Replica> engine;
  Gateway gateway;
  bool damaged = false;

  std::unique_ptr<Mesh> mesh;
  std::unique_ptr<LogWriter> log_writer;
  std::unique_ptr<RoundTrips> round_trips;
  Measured measured;
  Signatures signatures;
  std::unique_ptr<SignatureChecker> checker;
  std::unique_ptr<BlockApplier> applier;
  std::unique_ptr<StateFetch> fetch;
  std::optional<StableCheckpoint> needed;  // Whose state is being fetched.
  enum class Stored : std::uint8_t {
    State,    // That the engine counts on.
    Damaged,  // Another one than a quorum's.
    Nothing,  // It was dropped.
  };
  Stored stored = Stored::State;
  std::map<stoq::NodeId, stoq::Endpoint> members;  // The other nodes that can be reached.
  base::TaskScope scope;
  boost::asio::steady_timer timer;
  base::MonotonicTime engine_wake{}, timer_at = base::MonotonicTime::max();
  base::MonotonicTime lease_due = base::MonotonicTime::max();
  bool running = false, poll_due = false;

  std::deque<pbft::Send> held;  // Until their records are durable; by `after`.
  Lsn durable = 0;
  std::optional<pbft::Release> release;
  Slot on_disk = 0, release_stable = 0;
  Slot certified = 0;  // The last checkpoint of which the log will say that a quorum signed it.
  std::map<stoq::NodeId, pbft::PeerId> peer_ids;
  std::map<pbft::PeerId, stoq::NodeId> node_ids;
  std::set<stoq::NodeId> member_ids;

  struct Asking {
    base::MonotonicTime deadline{};
    Read read;
  };
  std::map<pbft::Ticket, Asking> asking;  // Reads that wait for the engine.
  pbft::Ticket last_read = 0;
  bool ask_due = false;
  std::vector<Read> reads;  // That wait for a worker.
  bool reading = false;
  struct Relayed {
    base::MonotonicTime deadline{};
    std::function<void(Result<BundleResult>)> done;
  };
  using BundleName = std::pair<base::PublicKey, std::uint64_t>;
  std::multimap<BundleName, Relayed> relayed;
  // What became of bundles that were not nodes' own: somebody may ask later than others.
  struct Recent {
    base::Digest bundle{};
    BundleResult result;
  };
  std::map<BundleName, Recent> recent;
  std::deque<BundleName> recent_order;

  Slot applied = 0, observed = 0;
  state::Revision revision = 0;
  std::uint64_t time = 0, operations = 0, unreadable = 0;
  base::Event progressed;
  std::optional<base::Error> failure;
  base::Event failed;
  std::vector<OnExecuted> on_executed;
  std::vector<OnVote> on_vote;
};

ReplicaNode::State::State(Parts made, const ReplicaOptions& how, std::unique_ptr<Executor> executor)
    : parts(std::move(made)),
      options(how),
      cluster(cluster_of(parts.genesis)),
      signer(*parts.key),
      blocks(std::move(executor)),
      configuration(blocks->configuration()),
      gateway(cluster, *parts.key, wall_of(*parts.clock) / 1000, how.gateway),
      scope(parts.executor),
      timer(parts.executor),
      on_disk(blocks->applied()),
      applied(blocks->applied()),
      revision(blocks->machine().revision()),
      time(blocks->time()),
      operations(blocks->operations()),
      progressed(parts.executor),
      failed(parts.executor) {}

void ReplicaNode::State::begin(const Kept& kept) {
  const Genesis& genesis = parts.genesis;
  auto resumed = resume(genesis, *blocks, kept.records, parts.log->opened().last);
  durable = resumed.restored.last_lsn;
  damaged = kept.damaged;
  if (damaged) {
    parts.lines.error(
        "promises of this replica may be lost with its log; it follows, but does not vote any more",
        {{"do", "remove its state and let it join with a new key"}});
  } else if (resumed.restored.silenced) {
    parts.lines.error(
        "the log of this replica was lost, and promises with it; it follows, but does not vote "
        "any more",
        {{"do", "let it join with a new key, and change the voters"}});
  }
  const auto own = damaged ? std::nullopt : std::optional(parts.key->public_key());
  if (const auto& stable = resumed.restored.stable) certified = stable->certificate.statement.slot;
  engine = std::make_unique<pbft::Replica>(engine_options(genesis, options.engine), signer, own,
                                           std::move(resumed.restored), resumed.position,
                                           parts.clock->now());
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
  auto opened = Executor::open(parts.genesis, *parts.storage, options.machine);
  if (!opened) return std::unexpected(of_the_state(std::move(opened).error()));
  auto blocks = *std::move(opened);
  TRY(const auto kept, read_log(cluster_of(parts.genesis), *parts.log, parts.lines));
  auto state = std::make_unique<State>(std::move(parts), options, std::move(blocks));
  state->begin(kept);
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
      std::make_unique<BlockApplier>(s.parts.executor, *s.parts.pool, *s.blocks,
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
  s.running = false;
  s.timer.cancel();
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

// --- what goes in ---

void ReplicaNode::State::step(const pbft::Input& input) {
  if (!running) return;
  pbft::Outputs outputs;
  const Epoch epoch = engine->voters().epoch;
  const View view = engine->view();
  engine->step(input, parts.clock->now(), wall_of(*parts.clock), outputs);
  engine_wake = outputs.wake_at;
  // Another primary may not know what was given to the one before.
  if (engine->voters().epoch != epoch || engine->view() != view) gateway.send_again();
  if (engine->voters().epoch != epoch) {
    parts.lines.info("an epoch has begun",
                     {{"epoch", engine->voters().epoch}, {"voters", engine->voters().size()}});
    update_members();  // What it says already is for those of the new epoch.
  }
  carry_out(std::move(outputs));
  poll_gateway();
}

void ReplicaNode::State::on_message(const stoq::NodeId& from, base::BytesView bytes) {
  const auto peer = peer_ids.find(from);
  if (peer == peer_ids.end()) return;
  // What is lost is sent again, when the disk may have caught up.
  if (log_writer->behind()) return;
  auto message = decode(cluster, bytes);
  if (!message) {
    // Whoever sends many of them does not fill the log of lines.
    if (std::has_single_bit(++unreadable)) {
      parts.lines.warning(
          "a message cannot be read",
          {{"from", from.text()}, {"why", message.error()}, {"so_far", unreadable}});
    }
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
    const auto now = parts.clock->now();
    for (std::size_t i = 0; i < executed.results.size(); ++i) {
      gateway.on_executed(executed.results[i], now);
      answer_relayed(executed.results[i], link->bundle_digests[i]);
    }
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
  if (!batch.ended) fail(of_the_state(batch.ended.error()));
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

// --- what comes out ---

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
  held.insert(place, std::move(send));
}

void ReplicaNode::State::transmit(const pbft::Send& send) {
  const auto bytes = std::make_shared<const base::Bytes>(encode(*send.message));
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
  boost::asio::post(parts.executor, [this, checked = signatures.check(check)] { step(checked); });
}

void ReplicaNode::State::carry_out(pbft::Persist&& persist) {
  const auto lsn = log_writer->append(static_cast<std::uint8_t>(persist.record.index()),
                                      encode(persist.record), persist.lazy);
  if (!lsn) return fail(base::wrap(lsn.error(), "the consensus log"));
  BASE_ASSERT(*lsn == persist.lsn, "the log and the engine count alike");
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

void ReplicaNode::State::carry_out(pbft::NeedState&& need) {
  const bool fetching = needed.has_value();
  needed = std::move(need.checkpoint);
  if (!fetching) scope.spawn(fetch_state());
}

// The engine's needs may grow meanwhile: sources keep only the newest checkpoints.
Task<> ReplicaNode::State::fetch_state() {
  while (needed) {
    const StableCheckpoint checkpoint = *needed;
    const Slot slot = checkpoint.certificate.statement.slot;
    parts.lines.info("this replica is far behind and fetches the state", {{"slot", slot}});
    co_await applier->pause();
    const bool drop = stored == Stored::Damaged;
    auto ready = co_await parts.pool->run(
        [this, drop] { return drop ? blocks->drop() : blocks->machine().flush(); });
    if (!ready) co_return fail(of_the_state(std::move(ready).error()));
    if (drop) {
      stored = Stored::Nothing;
      on_disk = 0;  // The log is needed until there is a state again.
    }
    auto fetched = co_await fetch->run({slot, checkpoint.root}, members);
    if (stored == Stored::Damaged) continue;  // Found out meanwhile.
    if (fetched) {
      auto loaded = co_await parts.pool->run([this] { return blocks->reload(); });
      if (!loaded) co_return fail(of_the_state(std::move(loaded).error()));
      parts.lines.info(
          "the state is here",
          {{"slot", slot}, {"entries", fetched->leaves}, {"bytes", fetched->bytes_received}});
      if (needed->certificate.statement.slot == slot) needed.reset();
      co_await on_fetched(checkpoint);
      applier->go_on(true);
      // Nobody reads it before the engine knows how old it is.
      stored = Stored::State;
      step(pbft::Installed{checkpoint, configuration.next});
      continue;
    }
    if (stored == Stored::State) {
      applier->go_on(false);
      if (engine->applied() >= slot) {
        // Blocks were quicker.
        if (needed->certificate.statement.slot <= engine->applied()) needed.reset();
        continue;
      }
    }
    parts.lines.warning("the state could not be fetched; trying again", {{"why", fetched.error()}});
    co_await base::sleep_for(kFetchRetry);
  }
}

// What our own bundles came to may be in the state alone.
Task<> ReplicaNode::State::on_fetched(const StableCheckpoint& checkpoint) {
  applied = checkpoint.certificate.statement.slot;
  revision = blocks->machine().revision();
  operations = blocks->operations();
  time = blocks->time();
  configuration = blocks->configuration();
  await_lease_end(blocks->machine().lease_end());
  const auto results = co_await parts.pool->run(
      [this, sequences = gateway.under_way()]() -> Result<std::vector<BundleResult>> {
        TRY(const auto view, state::View::of(*parts.storage));
        std::vector<BundleResult> found;
        for (const auto sequence : sequences) {
          TRY(auto result, find_result(view, parts.key->public_key(), sequence));
          if (result) found.push_back(*std::move(result));
        }
        return found;
      });
  if (!results) co_return fail(of_the_state(results.error()));
  for (const auto& result : *results) gateway.on_executed(result, parts.clock->now());
  update_members();
  progressed.notify();
}

Task<Result<Frame>> ReplicaNode::State::serve_state(stoq::rpc::Call& call, const Frame& request) {
  if (!call.peer() || !members.contains(*call.peer()))
    co_return base::fail(Errc::Forbidden, "the caller is no node of this cluster");
  co_return co_await parts.pool->run([this, bytes = request.bytes]() -> Result<Frame> {
    TRY(const auto asked, state::decode_transfer_request(bytes));
    TRY(const auto view, state::View::of(*parts.storage));
    TRY(const auto answer, state::answer_transfer(view, asked));
    return Frame{state::encode(answer)};
  });
}

// Nothing of it can be trusted, so all of it is fetched. Until then nobody is answered from it.
void ReplicaNode::State::carry_out(pbft::StateDamaged&& found) {
  const Slot slot = found.checkpoint.certificate.statement.slot;
  if (needed && needed->certificate.statement.slot >= slot && stored != Stored::State) return;
  if (stored == Stored::State) {
    parts.lines.error("the state of this replica is not what a quorum signed; it fetches theirs",
                      {{"slot", slot}, {"do", "check the memory and the disk of this machine"}});
    stored = Stored::Damaged;
  }
  carry_out(pbft::NeedState{std::move(found.checkpoint)});
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

// --- operations ---

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
  auto wake = std::min({engine_wake, gateway.wake_at(), lease_due});
  if (!relayed.empty()) wake = std::min(wake, parts.clock->now() + kRelayedLook);
  set_timer(wake);
}

// What it will propose itself a primary need not show before.
void ReplicaNode::State::send_bundle(const BundlePtr& bundle, bool proposal_is_enough) {
  const auto message = std::make_shared<const Message>(Submit{bundle});
  if (!proposal_is_enough || !engine->is_primary()) transmit({std::nullopt, message, 0});
  boost::asio::post(parts.executor, [this, message] {
    step(pbft::Received{engine->own().value_or(pbft::kFirstFollower), message});
  });
}

void ReplicaNode::State::answer_relayed(const BundleResult& result, const base::Digest& bundle) {
  const Member* const client = configuration.find(result.client);
  if (client != nullptr && client->role != Role::Node && !result.refused) {
    const BundleName name(result.client, result.sequence);
    if (recent.insert_or_assign(name, Recent{bundle, result}).second) recent_order.push_back(name);
    if (recent_order.size() > kRecentMax) {
      recent.erase(recent_order.front());
      recent_order.pop_front();
    }
  }
  auto [first, last] = relayed.equal_range({result.client, result.sequence});
  while (first != last) {
    const auto done = std::move(first->second.done);
    first = relayed.erase(first);
    done(result);
  }
}

void ReplicaNode::State::answer_all(const base::Error& error) {
  gateway.end(error);
  for (const auto& [ticket, waiting] : std::exchange(asking, {}))
    waiting.read(std::unexpected(error))();
  for (const auto& [bundle, waiting] : std::exchange(relayed, {}))
    waiting.done(std::unexpected(error));
}

void ReplicaNode::State::expire_relayed() {
  const auto now = parts.clock->now();
  for (auto each = relayed.begin(); each != relayed.end();) {
    if (now < each->second.deadline) {
      ++each;
      continue;
    }
    const auto done = std::move(each->second.done);
    each = relayed.erase(each);
    done(base::fail(Errc::TimedOut,
                    "the bundle was not ordered in time; it may or may not take effect"));
  }
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
  expire_relayed();
  if (parts.clock->now() >= engine_wake) return step(pbft::Tick{});
  poll_gateway();
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
    const auto answers = co_await parts.pool->run([this, good, all = std::exchange(reads, {})] {
      std::vector<std::function<void()>> done;
      const auto view = good ? state::View::of(*parts.storage)
                             : base::fail(Errc::Unavailable,
                                          "this replica's state was damaged and is being fetched "
                                          "anew; ask another, or again later");
      for (const auto& read : all) {
        done.push_back(view ? read(&*view)
                            : read(std::unexpected(base::wrap(view.error(), "the state"))));
      }
      return done;
    });
    for (const auto& answer : answers) answer();
  }
  reading = false;
}

std::uint64_t ReplicaNode::deadline_within(base::Duration limit) const {
  return consensus::deadline_within(clock(), limit);
}

void ReplicaNode::relay(BundlePtr bundle, base::Duration limit,
                        std::function<void(Result<BundleResult>)> done) {
  State& s = *state_;
  if (!s.running) return done(std::unexpected(s.not_running()));
  const auto known = s.recent.find({bundle->client, bundle->sequence});
  if (known != s.recent.end() && known->second.bundle == digest_of(*bundle))
    return done(known->second.result);
  s.relayed.emplace(std::pair(bundle->client, bundle->sequence),
                    State::Relayed{s.parts.clock->now() + limit, std::move(done)});
  s.send_bundle(bundle, false);
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
                       s.signatures.bad()};
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
