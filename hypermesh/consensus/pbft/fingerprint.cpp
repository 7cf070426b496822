#include <algorithm>

#include "consensus/pbft/replica.hpp"

// What two replicas have in common that will do the same. Records count as written or not, times
// from now. Left out is what makes no difference: the numbers of records and tickets; who signed a
// certificate, and which quorum began a view; votes of a phase that is over in its slot; and who
// was accused, which only decides whether that is said again.

namespace hypermesh::consensus::pbft {

namespace {

struct Print {
  base::ByteWriter out;
  MonotonicTime now{};

  void add(bool value) { out.u8(value ? 1 : 0); }
  void add(std::uint64_t value) { out.u64(value); }
  void add(PeerId value) { out.u32(value); }
  void add(const base::Digest& digest) { out.raw(digest); }
  void add(MonotonicTime time) {
    out.u64(time == MonotonicTime::max() ? UINT64_MAX
                                         : static_cast<std::uint64_t>((now - time).count()));
  }
  void add(const Claim& claim) {
    out.u64(claim.view);
    out.u64(claim.slot);
    out.raw(claim.digest);
  }
  void add(const Certificate& certificate) {
    const Statement& said = certificate.statement;
    out.u8(static_cast<std::uint8_t>(said.phase));
    out.u64(said.epoch);
    out.u64(said.view);
    out.u64(said.slot);
    out.raw(said.digest);
  }
  void add(const StableCheckpoint& checkpoint) { add(checkpoint.certificate); }
  void add(const NewView& begun) {
    out.u64(begun.view);
    add(highest_claim(begun.wishes));
  }
  void add(const std::vector<base::Digest>& held) {
    out.u64(held.size());
    for (const auto& digest : held) out.raw(digest);
  }
  template <class T>
  void add(const std::optional<T>& value) {
    add(value.has_value());
    if (value) add(*value);
  }
  template <class Key, class Value>
  void add(const std::map<Key, Value>& map) {
    out.u64(map.size());
    for (const auto& [key, value] : map) {
      add(static_cast<const Key&>(key));
      add(value);
    }
  }
  void add(const VoteSet& votes) {
    out.u64(votes.held().size());
    for (const auto& held : votes.held()) {
      out.u16(held.vote.replica);
      out.raw(held.vote.statement.digest);
      out.u8(static_cast<std::uint8_t>(held.state));
    }
  }
  base::Digest finish() { return base::sha256(out.view()); }
};

}  // namespace

base::Digest fingerprint(const Restored& restored) {
  Print print;
  print.add(restored.epoch.voters.epoch);
  print.out.u64(restored.ended.size());
  print.add(restored.silenced);
  print.add(restored.view);
  print.add(restored.changing);
  print.add(restored.claim);
  print.add(restored.held);
  if (restored.changing) print.add(restored.claim_proof);
  print.add(restored.voted_view);
  print.add(restored.voted);
  print.add(restored.base);
  print.add(restored.proof);
  print.add(restored.prepared);
  print.add(restored.accepted);
  print.add(restored.commits);
  print.add(restored.stable);
  print.add(restored.own_checkpoints);
  print.add(restored.was_primary);
  for (const auto& [digest, body] : restored.bodies) print.add(digest);
  return print.finish();
}

base::Digest Replica::fingerprint(bool timers) const {
  BASE_ASSERT(!restored_ && tickets_.empty() && reads_.idle(),
              "a replica that has begun and waits for nobody");
  Print print;
  print.now = now_;
  print.add(epoch_.voters.epoch);
  print.add(next_ ? next_->after : 0);
  print.add(view_);
  print.add(changing_);
  print.add(claim_);
  print.add(held_);
  print.add(voted_);
  print.add(rooted_);
  print.add(base_);
  print.add(base_there_);
  print.add(proof_);
  print.add(accepted_);
  print.add(accepted_digest_);
  print.add(accepted_time_);
  print.add(promised_);
  print.add(reserved_);
  print.add(reserved_ready_);
  print.add(reserved_lsn_ <= durable_);
  print.add(untold_since_ == MonotonicTime::max());
  print.add(wish_lsn_ <= durable_);
  print.add(last_lsn_ == durable_);
  print.add(prepared_);
  print.out.u64(entries_.size());
  for (const auto& [slot, entry] : entries_) {
    print.add(slot);
    print.add(entry.proposal ? entry.proposal->digest : base::Digest{});
    print.out.u8(static_cast<std::uint8_t>(entry.state));
    print.add(entry.prepared);
    if (!entry.prepared) print.add(entry.prepares);
    const bool committed = entry.committed || slot <= committed_;
    print.add(committed);
    if (!committed) print.add(entry.commits);
    print.add(entry.fast);
    print.add(entry.lsn <= durable_);
    if (!committed) print.add(entry.holds);
  }
  for (const auto& [from, messages] : early_) {
    print.out.u32(from);
    for (const auto& message : messages) print.out.sized(encode(*message));
  }
  print.out.u64(wanted_.size());
  for (const auto& [replica, wanted] : wanted_) {
    print.out.u16(replica);
    print.add(wanted.view);
    print.add(wanted.wish.claim);
    print.add(wanted.wish.held);
    print.add(wanted.proof);
  }
  for (const auto& [replica, view] : checking_wish_) {
    if (view < view_ || (view == view_ && !changing_)) continue;
    print.out.u16(replica);
    print.add(view);
  }
  print.out.u64(bodies_.size());
  for (const auto& [digest, kept] : bodies_) print.add(digest);
  print.add(blocked_commit_);
  print.add(chain_);
  print.add(commits_);
  print.add(committed_);
  print.add(applying_);
  print.add(applied_);
  print.add(checkpoint_votes_);
  for (const auto& [lsn, vote] : own_votes_) {
    print.out.u8(static_cast<std::uint8_t>(vote.statement.phase));
    print.add(vote.statement.view);
    print.add(vote.statement.slot);
  }
  print.add(own_checkpoints_);
  print.add(said_);
  print.add(signed_end_);
  print.add(stable_);
  print.add(stable_before_);
  print.add(epochs_.proven());
  print.add(checking_epochs_);
  print.add(lost_);
  print.add(needed_);
  print.add(asking_);
  print.add(ended_lsn_ <= durable_);
  print.out.u64(pool_.size());
  pool_.describe(print.out, timers ? now_ : MonotonicTime::max());
  for (const auto& [peer, known] : peers_) {
    print.out.u32(peer);
    if (known.known) print.out.sized(encode(Message(known.status)));
    if (timers) print.out.u64(known.waits);
  }
  if (!timers) return print.finish();
  print.add(std::uint64_t{failed_views_});
  print.add(static_cast<std::uint64_t>(commit_time_.count()));
  print.add(std::uint64_t{last_operations_});
  for (const auto& [slot, entry] : entries_) {
    print.add(entry.proposed);
    print.add(entry.by_quorum);
  }
  print.add(fast_again_);
  print.add(static_cast<std::uint64_t>(fast_pause_.count()));
  for (const MonotonicTime time :
       {heard_primary_, untold_since_, blamed_from_, view_wanted_by_quorum_, told_status_,
        told_wish_, progress_, fetched_})
    print.add(time);
  print.add(cut_off_);
  print.add(heard_);
  print.add(static_cast<std::uint64_t>(conditions_.round_trip.count()));
  print.add(static_cast<std::uint64_t>(conditions_.sync.count()));
  print.out.u16(fetch_from_);
  return print.finish();
}

}  // namespace hypermesh::consensus::pbft
