#include <algorithm>

#include "consensus/pbft/replica.hpp"

namespace hypermesh::consensus::pbft {

namespace {

struct Reader {
  Restored state;
  Lsn lsn = 0;
  std::optional<Certificate> last;

  bool current(Epoch epoch) const { return epoch == state.epoch.voters.epoch; }

  void operator()(const EpochBegun& r) {
    if (current(r.voters.epoch)) return;
    state.epoch = r;
    state.view = 0;
    state.changing = state.was_primary = false;
    state.base = {0, r.start, r.start_digest};
    state.proof.reset();
    state.prepared.reset();
    state.voted_view = 0;
    state.voted.clear();
    state.accepted.clear();
  }
  void operator()(const ViewWanted& r) {
    if (!current(r.epoch)) return;
    if (r.view != state.view) state.was_primary = false;
    state.view = r.view;
    state.changing = true;
    state.claim = r.claim;
    // Later certificates are higher, and prove another claim.
    for (const auto* each : {&last, &state.prepared}) {
      if (*each && is_of(**each, r.epoch, r.claim)) state.claim_proof = *each;
    }
    state.held = r.held;
    state.accepted.clear();
  }
  void operator()(const ViewBegun& r) {
    if (!current(r.epoch)) return;
    if (r.view != state.view || state.changing) {
      state.accepted.clear();
      state.was_primary = false;
    }
    state.view = r.view;
    state.changing = false;
    state.base = r.base;
    state.proof = r.proof;
  }
  void operator()(const Reserved& r) {
    if (current(r.epoch) && r.view == state.view) state.was_primary = true;
  }
  void operator()(const Body& r) {
    state.bodies.insert_or_assign(r.link->digest, std::pair(r.link, lsn));
  }
  void operator()(const Accepted& r) {
    if (!current(r.epoch)) return;
    if (r.view > state.voted_view) state.voted.clear();
    state.voted_view = std::max(state.voted_view, r.view);
    if (r.view == state.voted_view && !mutant(Mutant::HeldForgotten))
      state.voted[r.slot] = r.digest;
    if (r.view == state.view && !state.changing) state.accepted[r.slot] = r.digest;
  }
  void operator()(const Certified& r) {
    const Statement& said = r.certificate.statement;
    if (commits(said.phase)) state.commits.insert_or_assign(said.slot, r.certificate);
    if (current(said.epoch)) {
      last = r.certificate;
      keep_higher(state.prepared, r.certificate);
    }
  }
  void operator()(const StableCheckpoint& r) {
    const Slot slot = r.certificate.statement.slot;
    if (r.certificate.signatures.empty()) {
      state.own_checkpoints.insert_or_assign(slot, r);
    } else {
      state.stable = r;
    }
  }
  void operator()(const EpochEnded& r) {
    if (r.end.next) state.ended.insert_or_assign(r.end.certificate.statement.epoch, r.end);
  }
  void operator()(const Silenced&) { state.silenced = true; }
};

}  // namespace

Restored recover(const EpochBegun& genesis, const std::vector<Persist>& records) {
  Reader reader;
  reader.state.genesis = reader.state.epoch = genesis;
  reader.state.base = {0, genesis.start, genesis.start_digest};
  for (const auto& each : records) {
    reader.lsn = reader.state.last_lsn = each.lsn;
    std::visit(reader, each.record);
  }
  return std::move(reader.state);
}

}  // namespace hypermesh::consensus::pbft
