#include "sim/explore.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "sim/explore_soup.hpp"
#include "sim/seat.hpp"

namespace sim {

using namespace hypermesh::consensus;
using namespace std::chrono_literals;

namespace {

using LocalId = std::uint32_t;

// Keys that were put in. Exact: whole states, not hashes of them.
class SeenStates {
 public:
  using Key = std::array<std::uint64_t, 2>;
  /// False if it was there.
  bool put(const Key& key) {
    if (2 * (count_ + 1) > slots_.size()) grow();
    if (!place(slots_, key)) return false;
    ++count_;
    return true;
  }
  std::uint64_t size() const { return count_; }

 private:
  static constexpr Key kFree{UINT64_MAX, UINT64_MAX};
  static bool place(std::vector<Key>& slots, const Key& key) {
    const std::size_t mask = slots.size() - 1;
    std::size_t at = mixed(mixed(0, key[0]), key[1]) & mask;
    for (; slots[at] != kFree; at = (at + 1) & mask) {
      if (slots[at] == key) return false;
    }
    slots[at] = key;
    return true;
  }
  void grow() {
    std::vector<Key> larger(std::max<std::size_t>(1024, slots_.size() * 2), kFree);
    for (const Key& key : slots_) {
      if (key != kFree) place(larger, key);
    }
    slots_ = std::move(larger);
  }

  std::vector<Key> slots_;
  std::uint64_t count_ = 0;
};

// One honest replica in one of its states.
struct Local {
  Local(Seat made, MonotonicTime time) : seat(std::move(made)), now(time) {}

  Seat seat;
  MonotonicTime now;
  std::uint32_t executed = 0;                // The number of its list of executed blocks.
  std::map<MoveId, std::uint32_t> after[2];  // Transitions: with a working disk, and without.
};
struct Transition {
  LocalId to = 0;
  std::uint32_t said = 0;
  std::string failure;
};

class Explorer {
 public:
  explicit Explorer(const Bounds& bounds) : bounds_(bounds), soups_(bounds) {}
  Explored run();

 private:
  struct State {
    SoupId soup = 0;
    std::array<LocalId, kExplored> locals{};
    unsigned crashes = 0;
  };
  struct Frame {
    State state;
    std::size_t replica = 0, move = 0, disk_fails = 0;
    std::string how;
  };
  static SeenStates::Key key_of(const State& state);
  State first_state();
  LocalId intern(Seat seat, MonotonicTime now);
  const Transition& transition(LocalId from, MoveId move, bool disk_fails);
  std::string check(const State& state);
  bool next_move(Frame& frame);

  const Bounds bounds_;
  Soups soups_;
  std::vector<std::unique_ptr<Local>> locals_;
  std::map<base::Digest, LocalId> local_by_print_;
  std::vector<Transition> transitions_;
  std::vector<std::map<Slot, base::Digest>> executed_;
  std::map<std::map<Slot, base::Digest>, std::uint32_t> executed_by_content_;
  SeenStates seen_;
  Explored result_;
};

SeenStates::Key Explorer::key_of(const State& state) {
  SeenStates::Key key{std::uint64_t{state.soup} << 32 | state.crashes, 0};
  std::size_t place = 0;
  for (const LocalId local : state.locals) {
    BASE_ASSERT(local < 1U << 21, "a replica's state has a number of 21 bits");
    if (place < 63) key[1] |= std::uint64_t{local} << place;
    // The liar's is always 0, so that one of the four takes no space.
    place += local == 0 ? 0 : 21;
  }
  return key;
}

LocalId Explorer::intern(Seat seat, MonotonicTime now) {
  base::ByteWriter name;
  name.raw(seat.fingerprint(bounds_.crashes > 0));
  name.u16(seat.id);
  const auto [known, added] =
      local_by_print_.emplace(base::sha256(name.view()), static_cast<LocalId>(locals_.size()));
  if (added) {
    auto local = std::make_unique<Local>(std::move(seat), now);
    const auto [list, first] = executed_by_content_.emplace(
        local->seat.executed, static_cast<std::uint32_t>(executed_.size()));
    if (first) executed_.push_back(local->seat.executed);
    local->executed = list->second;
    locals_.push_back(std::move(local));
  }
  return known->second;
}

Explorer::State Explorer::first_state() {
  locals_.push_back(nullptr);  // The liar has none.
  State state;
  state.crashes = bounds_.crashes;
  const MonotonicTime now = MonotonicTime() + 1h;
  for (ReplicaId id = 0; id < kExplored; ++id) {
    if (!soups_.honest(id)) continue;
    Seat seat(soups_.cluster(), id);
    std::vector<pbft::Send> sent;
    seat.start(now, sent);
    for (std::uint64_t i = 1; i <= bounds_.slots; ++i) {
      seat.step(pbft::Received{pbft::kFirstFollower,
                               std::make_shared<const Message>(Submit{soups_.cluster().bundle(i)})},
                now, sent);
    }
    state.soup = soups_.add(state.soup, id, soups_.intern(id, sent)).soup;
    state.locals[id] = intern(std::move(seat), now);
  }
  return state;
}

// What the engine would only keep for later: explore.hpp says why it need not.
bool comes_later(const pbft::Replica& replica, const Message& message) {
  const auto not_yet = [&](View view) {
    return view > replica.view() || (view == replica.view() && replica.changing());
  };
  if (const auto* vote = std::get_if<Vote>(&message)) return not_yet(vote->statement.view);
  if (const auto* proposal = std::get_if<Proposal>(&message)) return not_yet(proposal->view);
  if (std::holds_alternative<ViewChange>(message))
    return !replica.changing() || replica.view() == 0;
  return false;
}

const Transition& Explorer::transition(LocalId from, MoveId id, bool disk_fails) {
  auto& after = locals_[from]->after[disk_fails ? 1 : 0];
  if (const auto known = after.find(id); known != after.end()) return transitions_[known->second];
  after.emplace(id, static_cast<std::uint32_t>(transitions_.size()));
  const Move& move = soups_.move(id);
  Seat seat = locals_[from]->seat;
  MonotonicTime now = locals_[from]->now;
  std::vector<pbft::Send> sent;
  if (disk_fails) seat.stop_disk();
  if (move.kind == Move::Kind::GiveUp) {
    if (seat.replica().view() == 0 && !seat.replica().changing()) {
      now += soups_.cluster().options.request_timeout;
      seat.step(pbft::Tick{}, now, sent);
    }
  } else if (move.kind == Move::Kind::Hear) {
    for (const auto& [sender, message] : move.heard) {
      if (comes_later(seat.replica(), *message)) continue;
      seat.step(pbft::Received{sender, message}, now, sent);
    }
  }
  if (disk_fails || move.kind == Move::Kind::Crash) {
    seat.crash();
    seat.start(now, sent);
  }
  Transition made;
  made.failure = seat.failure;
  if (!seat.evidence.empty() && seat.evidence.back().first.replica != bounds_.liar)
    made.failure = "evidence against an honest replica";
  made.said = soups_.intern(seat.id, sent);
  made.to = intern(std::move(seat), now);
  transitions_.push_back(std::move(made));
  return transitions_.back();
}

std::string Explorer::check(const State& state) {
  for (std::size_t a = 0; a < kExplored; ++a) {
    for (std::size_t b = 0; b < a; ++b) {
      if (state.locals[a] == 0 || state.locals[b] == 0) continue;
      const auto one = locals_[state.locals[a]]->executed, two = locals_[state.locals[b]]->executed;
      if (one == two) continue;
      for (const auto& [slot, digest] : executed_[one]) {
        const auto other = executed_[two].find(slot);
        if (other != executed_[two].end() && other->second != digest)
          return fmt::format("{} and {} execute different blocks in slot {}", a, b, slot);
      }
    }
  }
  return {};
}

// To the next that leads out of the state, in this order: replicas, their moves, and for each with
// a working disk first.
bool Explorer::next_move(Frame& frame) {
  for (; frame.replica < kExplored; ++frame.replica, frame.move = 0) {
    if (!soups_.honest(frame.replica)) continue;
    const auto& moves = soups_.moves(frame.state.soup, frame.replica);
    if (frame.move < moves.size()) return true;
  }
  return false;
}

Explored Explorer::run() {
  std::vector<Frame> stack;
  stack.push_back({first_state(), 0, 0, 0, "the beginning"});
  seen_.put(key_of(stack.back().state));
  bool complete = true;
  while (!stack.empty() && result_.failure.empty()) {
    Frame& frame = stack.back();
    if (!next_move(frame)) {
      stack.pop_back();
      continue;
    }
    const std::size_t replica = frame.replica;
    const MoveId id = soups_.moves(frame.state.soup, replica)[frame.move];
    const Move& move = soups_.move(id);
    const bool disk_fails = frame.disk_fails == 1;
    const bool crashes = disk_fails || move.kind == Move::Kind::Crash;
    // Whoever crashes anyway does so with all records.
    const bool twice = frame.state.crashes > 0 && !crashes;
    frame.disk_fails = twice ? 1 : 0;
    frame.move += twice ? 0 : 1;
    if (crashes && frame.state.crashes == 0) continue;

    ++result_.moves;
    const LocalId from = frame.state.locals[replica];
    const Transition made = transition(from, id, disk_fails);
    const auto added = soups_.add(frame.state.soup, static_cast<ReplicaId>(replica), made.said);
    State next = frame.state;
    next.soup = added.soup;
    next.locals[replica] = made.to;
    next.crashes -= crashes ? 1 : 0;
    const bool fresh = seen_.put(key_of(next));
    result_.failure = !made.failure.empty() ? made.failure : added.failure;
    if (result_.failure.empty() && fresh) result_.failure = check(next);
    if (!fresh && result_.failure.empty()) continue;
    if (seen_.size() >= bounds_.states_max) complete = false;
    if (!complete && result_.failure.empty()) break;
    stack.push_back({next, 0, 0, 0,
                     fmt::format("{} {}{}", replica, move.text,
                                 disk_fails ? ", and crashes before that is on its disk" : "")});
  }
  if (!result_.failure.empty()) {
    for (const Frame& frame : stack) result_.path.push_back(frame.how);
  }
  result_.complete = complete && result_.failure.empty();
  result_.states = seen_.size();
  result_.replica_states = locals_.size() - 1;
  result_.soups = soups_.size();
  return std::move(result_);
}

}  // namespace

Explored explore(const Bounds& bounds) {
  return Explorer(bounds).run();
}

}  // namespace sim
