#include "consensus/node/replica_state.hpp"
#include "state/transfer_source.hpp"

// The state of others, when ours is too old or damaged; and ours for them.

namespace hypermesh::consensus {

using base::Errc;
using base::Result;
using base::Task;

namespace {

constexpr base::Duration kFetchRetry = std::chrono::milliseconds(300);

}  // namespace

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
    const auto newer = [this, slot] { return needed->certificate.statement.slot > slot; };
    auto fetched = co_await fetch->run({slot, checkpoint.root}, members, newer);
    if (stored == Stored::Damaged) continue;  // Found out meanwhile.
    if (fetched) {
      auto loaded = co_await parts.pool->run([this] { return blocks->reload(); });
      if (!loaded) co_return fail(of_the_state(std::move(loaded).error()));
      parts.lines.info(
          "the state is here",
          {{"slot", slot}, {"entries", fetched->leaves}, {"bytes", fetched->bytes_received}});
      // Whoever had none wants the newer one.
      if (newer() && stored == Stored::Nothing) continue;
      if (!newer()) needed.reset();
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
    if (newer()) continue;
    parts.lines.warning("the state could not be fetched; trying again", {{"why", fetched.error()}});
    co_await base::sleep_for(kFetchRetry);
  }
}

// What bundles of our own and those that came through us came to may be in the state alone.
Task<> ReplicaNode::State::on_fetched(const StableCheckpoint& checkpoint) {
  applied = checkpoint.certificate.statement.slot;
  revision = blocks->machine().revision();
  operations = blocks->operations();
  time = blocks->time();
  configuration = blocks->configuration();
  await_lease_end(blocks->machine().lease_end());
  auto bundles = gateway.under_way();
  std::ranges::move(relay.under_way(), std::back_inserter(bundles));
  co_await look_up(std::move(bundles));
  update_members();
  progressed.notify();
}

// Bundles may have been executed in slots of which only the state is here.
Task<> ReplicaNode::State::look_up(std::vector<BundlePtr> bundles) {
  struct Found {
    base::Digest bundle{};
    std::optional<BundleResult> result;
  };
  using Over = std::vector<Found>;
  const auto over =
      co_await parts.pool->run([this, bundles = std::move(bundles)]() -> Result<Over> {
        TRY(const auto view, state::View::of(*parts.storage));
        Over over;
        for (const auto& bundle : bundles) {
          TRY(const bool ended, is_over(view, *bundle));
          if (!ended) continue;
          TRY(auto result, find_result(view, *bundle));
          over.push_back({digest_of(*bundle), std::move(result)});
        }
        return over;
      });
  if (!over) co_return on_state_failed(over.error());
  for (const auto& [bundle, result] : *over) {
    if (result) tell_executed(*result, bundle);
    step(pbft::Over{bundle});
  }
}

void ReplicaNode::State::carry_out(pbft::Overdue&& overdue) {
  if (stored == Stored::State) scope.spawn(look_up(std::move(overdue.bundles)));
}

// What cannot be read here others have, once a quorum has signed a checkpoint of it.
void ReplicaNode::State::on_state_failed(base::Error error) {
  if (error.code != Errc::DataLoss || !engine->stable_checkpoint())
    return fail(of_the_state(std::move(error)));
  if (stored != Stored::State) return;
  parts.lines.error("the state of this replica cannot be read; it fetches that of others",
                    {{"why", error}, {"do", "check the disk of this machine"}});
  stored = Stored::Damaged;
  step(pbft::Lost{});
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

}  // namespace hypermesh::consensus
