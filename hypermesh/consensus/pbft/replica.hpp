#pragma once

// One replica of PBFT (Castro and Liskov, OSDI 1999) with signed votes and hash-chained slots;
// docs/design/0009 says what differs and why it is safe.
//
// Pure: inputs and the time go in, outputs come out. No clock, threads, randomness or I/O; the same
// inputs give the same outputs. Whoever drives it
//   - sends a message only when the records up to its `after` are durable, in any order otherwise,
//   - answers every Check, Apply and record with the input that belongs to it,
//   - calls again at `wake_at` at the latest.

#include <base/time.hpp>
#include <functional>
#include <map>
#include <set>

#include "consensus/epoch_chain.hpp"
#include "consensus/new_view.hpp"
#include "consensus/pbft/bundle_pool.hpp"
#include "consensus/pbft/reads.hpp"
#include "consensus/pbft/votes.hpp"
#include "consensus/records.hpp"

namespace hypermesh::consensus::pbft {

using Lsn = std::uint64_t;  ///< Of a record, from 1, without gaps.
/// Voters are known by their ReplicaId; who only follows has a number from kFirstFollower on.
using PeerId = std::uint32_t;
inline constexpr PeerId kFirstFollower = 0x1'0000;

struct Options {
  ClusterId cluster{};
  Versions versions;  ///< That this program can go by.
  Slot window = 64;   ///< Slots under way at once; at most kHeldMax / 2.
  Slot checkpoint_interval = 1000;
  /// So many that wait are proposed at once when no block is under way; with each that is, as many
  /// more.
  std::size_t batch_operations = 100;
  std::size_t batch_operations_max = 1000;   ///< Of one block; a larger bundle goes alone.
  std::size_t batch_bytes_max = 256 * 1024;  ///< Likewise.
  /// Fewer wait while blocks are under way, for as long as one takes to be committed, within these;
  /// and when none is, for at most a quarter of that, as long as fewer wait than the last one had.
  Duration batch_wait = std::chrono::milliseconds(1);
  Duration batch_wait_max = std::chrono::milliseconds(20);
  Duration heartbeat = std::chrono::milliseconds(50);
  /// A primary that is silent for so long is given up, or for what Conditions ask for if that is
  /// longer; doubles with each view that fails.
  Duration suspicion_min = std::chrono::milliseconds(300);
  Duration suspicion_max = std::chrono::seconds(5);
  /// Also by a replica that hears fewer than a quorum; and a primary that hears nobody goes fast.
  /// For scripts, where time passes at once.
  bool suspects_alone = false;
  Duration request_timeout = std::chrono::seconds(5);
  /// Commits at once what all voters hold: docs/design/0013.
  bool fast_path = true;
  /// A primary waits at least so long for the last of them behind a quorum.
  Duration fast_wait_min = std::chrono::milliseconds(20);
  /// A block's time may be ahead of our clock by so much.
  Duration clock_skew_max = std::chrono::seconds(1);
  BundlePool::Limits pool;
};

class Signer {
 public:
  virtual ~Signer() = default;
  virtual base::Signature sign(base::BytesView bytes) = 0;
};

// --- what goes in ---

struct Received {
  PeerId from = 0;
  MessagePtr message;
};
/// A message of a version that is none of Options::versions.
struct Unreadable {
  PeerId from = 0;
  Version version = 0;
};
struct Tick {};
/// Records up to here are on disk.
struct Persisted {
  Lsn lsn = 0;
};
struct Checked {
  Ticket ticket = 0;
  std::vector<bool> good;  ///< One for each signature of the Check.
};
/// The state machine has executed a slot.
struct Applied {
  Slot slot = 0;
  std::optional<base::Digest> root{};  ///< Asked for by Apply::checkpoint.
  std::optional<NextEpoch> next{};     ///< Ordered by the slot; begins Options::window later.
};
/// State of a certified checkpoint was fetched, and replaces ours.
struct Installed {
  StableCheckpoint checkpoint;
  std::optional<NextEpoch> next{};  ///< Ordered up to its slot, and not begun with that.
};
/// Somebody wants to see all that was acknowledged anywhere until now.
struct Read {
  Ticket ticket = 0;  ///< Ascending.
};
/// Our state cannot be read any more. There is a certified checkpoint to fetch instead.
struct Lost {};
/// The state says that a bundle is over: executed, or behind its client's window.
struct Over {
  base::Digest bundle{};
};
/// What was measured lately, 99 of 100: a primary has the time of 8 round trips and a sync.
struct Conditions {
  Duration round_trip{};  ///< To other voters and back.
  Duration sync{};        ///< Of the log.
  friend bool operator==(const Conditions&, const Conditions&) = default;
};
using Input = std::variant<Received, Unreadable, Tick, Persisted, Checked, Applied, Installed, Lost,
                           Read, Over, Conditions>;

// --- what comes out ---

struct Send {
  std::optional<PeerId> to;  ///< None: all other voters.
  MessagePtr message;
  Lsn after = 0;
  Version version = 1;  ///< In which it is written.
  bool widely = false;  ///< With no `to`: all who can be reached, whether they vote or not.
};
struct Persist {
  Lsn lsn = 0;
  Record record;
  bool lazy = false;  ///< Nobody waits for it: it may be written with the next one.
  Version version = 1;
};
struct Check {
  struct Item {
    base::PublicKey key;
    base::Bytes bytes;
    base::Signature signature;
  };
  Ticket ticket = 0;
  std::vector<Item> items;
};
struct Apply {
  LinkPtr link;
  bool checkpoint = false;  ///< The state's root after it is wanted.
};
/// Blocks that we lack are no longer kept by others. The checkpoint may be of a later epoch.
struct NeedState {
  StableCheckpoint checkpoint;
};
/// Our state after `slot` is not what a quorum has.
struct StateDamaged {
  StableCheckpoint checkpoint;
};
/// Answers the Read with this ticket and all before it.
struct Readable {
  Ticket ticket = 0;
  bool good = false;  ///< What is executed here is enough; else that is not known in time.
};
/// These wait for long. They may have been ordered in slots of which only the state is here: those
/// that are over are to be told.
struct Overdue {
  std::vector<BundlePtr> bundles;
};
/// The cluster goes by this version, which this program cannot: it can take part no more.
struct Outdated {
  Version version = 0;
};
/// Records before this one are needed no more, once those up to `after` are durable.
struct Release {
  Lsn lsn = 0, after = 0;
};
using Output = std::variant<Send, Persist, Check, Apply, NeedState, StateDamaged, Outdated, Release,
                            Evidence, Readable, Overdue>;

struct Outputs {
  std::vector<Output> list;
  MonotonicTime wake_at = MonotonicTime::max();
};

/// What a replica finds again after a restart: see recover().
struct Restored {
  EpochBegun genesis;
  std::map<Epoch, StableCheckpoint> ended;
  bool silenced = false;  ///< Promises may be lost: it votes no more.
  EpochBegun epoch;
  View view = 0;
  bool changing = false;
  Claim claim;                     ///< Of the wish for `view`, when changing.
  std::vector<base::Digest> held;  ///< Likewise,
  std::optional<Certificate> claim_proof;
  View voted_view = 0;                 ///< In which it voted last,
  std::map<Slot, base::Digest> voted;  ///< and for what.
  Claim base;                          ///< Of the view, when it has begun.
  std::optional<NewView> proof;
  std::optional<Certificate> prepared;    ///< The highest, of whatever phase.
  std::map<Slot, base::Digest> accepted;  ///< In `view`.
  std::map<base::Digest, std::pair<LinkPtr, Lsn>> bodies;
  std::map<Slot, Certificate> commits;
  std::optional<StableCheckpoint> stable;
  std::map<Slot, StableCheckpoint> own_checkpoints;  // Without signatures.
  bool was_primary = false;  ///< Of `view`: it may have proposed what it does not remember.
  Lsn last_lsn = 0;
};
/// From the records in their order.
Restored recover(const EpochBegun& genesis, const std::vector<Persist>& records);
/// Equal for what leads to the same replica.
base::Digest fingerprint(const Restored& restored);

/// Where the state machine is when a replica begins.
struct Position {
  Slot slot = 0;                       ///< Executed last.
  base::Digest digest{};               ///< Of its block; of the cluster's beginning for slot 0.
  std::optional<base::Digest> root{};  ///< If the slot is a checkpoint.
  std::optional<NextEpoch> next{};     ///< Of the restored epoch, if ordered up to here.
};

class Replica {
 public:
  /// `own`: none for a follower, who neither votes nor signs. The position is of the restored
  /// epoch.
  Replica(const Options& options, Signer& signer, std::optional<base::PublicKey> own,
          Restored restored, const Position& position, MonotonicTime now);

  /// The copy goes on by itself; simulations try several continuations so. Only while no Check
  /// waits for its answer.
  Replica(const Replica&) = default;

  /// `wall`: nanoseconds of UTC.
  void step(const Input& input, MonotonicTime now, std::uint64_t wall, Outputs& out);

  // What is going on, for status pages and tests.
  const Voters& voters() const { return epoch_.voters; }
  View view() const { return view_; }
  bool changing() const { return changing_; }
  std::optional<ReplicaId> own() const { return own_; }
  bool is_primary() const { return own_ && !changing_ && voters().primary(view_) == *own_; }
  Slot committed() const { return committed_; }
  Slot applied() const { return applied_; }
  Slot accepted() const { return accepted_; }
  Slot stable() const { return stable_ ? stable_->certificate.statement.slot : 0; }
  const std::optional<StableCheckpoint>& stable_checkpoint() const { return stable_; }
  std::size_t bodies() const { return bodies_.size(); }
  /// How long a primary may be silent now, and how long it has been.
  Duration patience() const;
  Duration silence() const { return now_ - heard_primary_; }
  const BundlePool& pool() const { return pool_; }
  const EpochChain& epochs() const { return epochs_; }
  /// Replicas with the same one do the same from now on: fingerprint.cpp says what it covers.
  /// Without `timers` they may differ in when they do something by themselves, and whom they ask
  /// for blocks. Not while a Check waits for its answer.
  base::Digest fingerprint(bool timers) const;

 private:
  struct Entry {
    LinkPtr proposal;
    base::Signature primary_signature{};
    enum class State : std::uint8_t { None, Checking, Good, Accepted } state = State::None;
    VoteSet prepares, commits, holds;
    std::optional<Certificate> prepared;
    bool committed = false;
    bool fast = false;                      // Voted for with Hold, unless that fails.
    Lsn lsn = 0;                            // Of the record that it is accepted.
    MonotonicTime proposed{}, by_quorum{};  // By us; held by a quorum.
  };
  struct Peer {
    Status status;
    bool known = false;
    std::size_t waits = 0;  // Statuses since the last that told of progress.
    MonotonicTime told{};   // When it was last in our epoch or a later one.
  };

  // --- replica.cpp ---
  void receive(PeerId from, const Message& message);
  void handle(PeerId from, const Submit& message);
  void handle(PeerId from, const Evidence& message);
  void send(std::optional<PeerId> to, Message message, Lsn after = 0);
  Lsn persist(Record record, bool lazy = false);
  void check(std::vector<Check::Item> items, std::function<void(const std::vector<bool>&)> then);
  std::vector<Check::Item> items_of(const std::vector<Vote>& votes) const;
  void append_items(std::vector<Check::Item>& items, const Voters& signers,
                    const Certificate& certificate) const;
  Vote sign(const Statement& statement);
  void run_timers();
  void show_overdue();
  void accuse(const Vote& first, const Vote& second);
  bool in_epoch(Epoch epoch) const {
    return epoch == epoch_.voters.epoch || mutant(Mutant::EpochsUnchecked);
  }
  bool is_last(Slot slot) const { return next_ && slot == next_->after; }
  bool is_beyond(Slot slot) const { return next_ && slot > next_->after; }
  void start();
  void find_chain();
  void keep_early(PeerId from, Message message);
  void replay_early();
  MonotonicTime next_wake() const;

  // --- suspicion.cpp ---
  void begin_listening();
  bool primary_is_silent();
  bool hears_quorum() const;
  MonotonicTime suspicion_due() const;

  // --- ordering.cpp ---
  void handle(PeerId from, const Proposal& message);
  void handle(PeerId from, const Vote& message);
  void propose_more();
  MonotonicTime batch_due() const;
  void propose(LinkPtr link);
  void check_proposal(Slot slot);
  void accept_ready();
  bool acceptable(const Link& link) const;
  void accept(Entry& entry);
  void count(Slot slot, Phase phase);
  void on_votes_checked(Slot slot, Phase phase, const std::vector<Vote>& votes,
                        const std::vector<bool>& good);
  void on_prepared(Entry& entry, Certificate certificate);
  void count_when_durable(const Vote& vote, Lsn lsn);
  void count_durable();
  void count_own(const Vote& vote);
  void on_contradiction(const Vote& first, const Vote& second);
  Vote vote_of_primary(const Entry& entry) const;
  void show_primary(const Entry& entry, const Vote& prepare);
  bool may_propose(Slot slot);
  void vote_openly(Entry& entry);
  bool commit_through(const Certificate& certificate);
  void push_to_followers();
  void take_bundles(const Link& link);
  void keep_body(const LinkPtr& link, bool lazy = false);
  void move_tip(Slot slot, const base::Digest& digest);
  void apply_more();
  std::optional<std::vector<LinkPtr>> chain_to(const base::Digest& tip, Slot slot,
                                               Slot above) const;

  // --- fast_path.cpp ---
  void handle(PeerId from, const Decided& message);
  void handle(PeerId from, const VoteOpenly& message);
  bool goes_fast() const;
  bool is_rooted();
  void hold_own();
  void count_holds(Slot slot);
  void vote_openly_up_to(Slot slot);
  void leave_fast_path();
  MonotonicTime fast_due() const;
  bool others_wait(Slot before) const;
  void tell_decided();
  void tell_beside_proposal();
  MonotonicTime tell_due() const;

  // --- reading.cpp ---
  void handle(PeerId from, const ReadAsk& message);
  void handle(PeerId from, const ReadAnswer& message);
  std::optional<ReadAnswer> reached(std::uint64_t round) const;
  void ask_for_reads();
  void settle_reads();

  // --- view_change.cpp ---
  void handle(PeerId from, const ViewChange& message);
  void handle(PeerId from, const NewView& message);
  void want_view(View view);
  void on_wish();
  void maybe_begin_view();
  void begin_view(View view, const Claim& base, std::optional<NewView> proof);
  void stand_on_base();
  Message own_wish() const;
  Claim start_claim() const { return {0, epoch_.start, epoch_.start_digest}; }
  Claim own_claim() const;
  std::optional<std::vector<LinkPtr>> chain_behind(const Claim& claim, Slot slot,
                                                   const base::Digest& digest) const;
  std::vector<base::Digest> held_behind(const Claim& claim) const;
  void find_voted(const Restored& restored);

  // --- catch_up.cpp ---
  void handle(PeerId from, const Status& message);
  void handle(PeerId from, const Committed& message);
  void check_commit(const Certificate& certificate, std::function<void()> then);
  void handle(PeerId from, const Fetch& message);
  void handle(PeerId from, const Fetched& message);
  void handle(PeerId from, const StableCheckpoint& message);
  bool may_help(PeerId to) const;
  void help(PeerId peer);
  Committed blocks_for(const Status& status) const;
  void resend(PeerId peer);
  void fetch_missing();
  void tell_status(std::optional<PeerId> to);
  bool is_alone() const;
  void make_checkpoint(Slot slot, const base::Digest& root, const base::Digest& block);
  void vote_checkpoint(StableCheckpoint checkpoint, Lsn lsn);
  void count_checkpoint(Slot slot);
  void on_certified(const StableCheckpoint& checkpoint);
  void on_stable(StableCheckpoint checkpoint);
  void collect_garbage();
  void on_applied(const Applied& applied);
  void on_installed(const Installed& installed);
  void on_lost();
  void forget_behind_gap(Slot slot);

  // --- epochs.cpp ---
  void handle(PeerId from, const Epochs& message);
  void begin_epoch(const StableCheckpoint& end, std::optional<NextEpoch> next);
  bool end_epoch();
  void keep_end(const StableCheckpoint& checkpoint);
  void tell_epochs(PeerId to, bool newest);
  void jump(const Installed& installed, Epoch epoch);
  void need_state(const StableCheckpoint& checkpoint);
  void ask_for_state();
  bool may_follow(const Voters& next);
  void on_unreadable(const Unreadable& unreadable);
  const Voters* voters_of(Epoch epoch) const;

  const Options options_;
  Signer& signer_;
  std::optional<base::PublicKey> own_key_;
  std::optional<ReplicaId> own_;

  // Of the step that is running.
  MonotonicTime now_{};
  std::uint64_t wall_ = 0;
  Outputs* out_ = nullptr;

  const bool silenced_;
  EpochBegun epoch_;
  std::optional<NextEpoch> next_;  // Ordered, not begun.

  View view_ = 0;
  bool changing_ = false;
  Claim claim_;                     // Of our wish for view_, while changing.
  std::vector<base::Digest> held_;  // Likewise.
  Claim voted_;                     // What we voted for last, in whatever view.
  Claim base_;
  bool base_there_ = false;  // The base and what leads to it are here.
  std::optional<NewView> proof_;
  std::map<Slot, Entry> entries_;  // Of view_.
  Slot accepted_ = 0;              // Every slot of view_ from its base to here is voted for.
  base::Digest accepted_digest_{};
  std::uint64_t accepted_time_ = 0;
  std::map<Slot, base::Digest> promised_;  // Votes of view_ from before a restart: not otherwise.
  // As primary of view_ it may propose up to reserved_ready_, and up to reserved_ when the record
  // is durable.
  Slot reserved_ = 0, reserved_ready_ = 0;
  Lsn reserved_lsn_ = 0;
  Lsn wish_lsn_ = 0, begun_lsn_ = 0;
  std::optional<Certificate> prepared_;  // The highest, of whatever phase.
  Slot rooted_ = 0;             // What leads from our certificate of view_ to this slot is here.
  MonotonicTime fast_again_{};  // Until then blocks are prepared, as somebody does not hold them.
  Duration fast_pause_{};
  MonotonicTime untold_since_ = MonotonicTime::max();  // Committed by us as primary.
  std::map<PeerId, std::deque<MessagePtr>> early_;     // For a view that has not begun here.

  struct Wanted {
    View view = 0;
    Wish wish;
    std::optional<Certificate> proof;
  };
  std::map<ReplicaId, Wanted> wanted_;  // The highest checked wish of each.
  std::map<ReplicaId, View> checking_wish_;

  struct Kept {
    LinkPtr link;
    Lsn lsn = 0;  // Of its record.
  };
  std::map<base::Digest, Kept> bodies_;
  std::optional<Certificate> blocked_commit_;  // What leads to its block is not all here.
  std::map<Slot, base::Digest> chain_;         // Committed, above what was collected.
  std::map<Slot, Certificate> commits_;
  Slot committed_ = 0;
  base::Digest committed_digest_{};
  Slot applying_ = 0, applied_ = 0;

  std::map<Slot, VoteSet> checkpoint_votes_;
  bool signed_end_ = false;                           // Of this epoch, in whatever life.
  std::map<Slot, StableCheckpoint> own_checkpoints_;  // Without a certificate yet.
  std::map<Slot, StableCheckpoint> said_;  // Signed of a state that was replaced or lost since.
  std::optional<StableCheckpoint> stable_, stable_before_;
  EpochChain epochs_;
  bool checking_epochs_ = false;
  bool lost_ = false;                       // Our state, and no other is here yet.
  Slot needed_ = 0;                         // Whose state was asked for,
  std::optional<StableCheckpoint> asking_;  // or will be when what proves it is durable.
  Lsn ended_lsn_ = 0;

  Duration commit_time_{};           // From our proposal to its commit, smoothed.
  std::size_t last_operations_ = 0;  // Of our last block.
  BundlePool pool_;
  std::map<PeerId, Peer> peers_;
  Reads reads_;
  std::set<ReplicaId> accused_;
  std::map<ReplicaId, Version> newer_;  // Who speaks a version that this program cannot.

  // What waits for a Check refers to its replica: one that waits cannot be copied.
  struct Tickets : std::map<Ticket, std::function<void(const std::vector<bool>&)>> {
    Tickets() = default;
    Tickets(const Tickets& other) : map(other) {
      BASE_ASSERT(empty(), "a replica is copied while it waits for a Check");
    }
  };
  Tickets tickets_;
  Ticket next_ticket_ = 1;
  Lsn last_lsn_ = 0, durable_ = 0;
  std::deque<std::pair<Lsn, Vote>> own_votes_;  // That do not count yet, by the record they need.

  Conditions conditions_;
  unsigned failed_views_ = 0;
  std::map<PeerId, MonotonicTime> heard_;  // Voters, when each said something last.
  bool cut_off_ = false;                   // The primary is silent, and so are too many others.
  MonotonicTime blamed_from_{};            // It is not given up before.
  MonotonicTime heard_primary_{}, view_wanted_by_quorum_{}, told_status_{}, told_wish_{};
  MonotonicTime progress_{};
  MonotonicTime fetched_{};
  ReplicaId fetch_from_ = 0;
  std::optional<Restored> restored_;  // Until the first step.
  Position position_;                 // Of the beginning.
};

}  // namespace hypermesh::consensus::pbft
