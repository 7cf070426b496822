#include "sim/explore.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <set>
#include <unordered_map>

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
    if (3 * (count_ + 1) > 2 * slots_.size()) grow();
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
  std::map<MoveId, std::uint32_t> after[2];  // Transitions: with a working disk, and without.
};
struct Transition {
  LocalId to = 0;
  std::uint32_t said = 0;
  std::string failure;
};

struct Step {
  MoveId move = 0;
  bool disk_fails = false;
};
// Moves of one replica of which the last says something.
struct Stride {
  LocalId to = 0;
  std::uint32_t said = 0;
  unsigned crashes = 0;
  std::vector<Step> steps;
};
struct Strides {
  std::vector<Stride> list;
  std::string failure;
  std::vector<Step> failing;
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
    std::size_t replica = 0, next = 0;
    const Strides* strides = nullptr;  // Of the replica.
  };
  static SeenStates::Key key_of(const State& state);
  State first_state();
  LocalId intern(Seat seat, MonotonicTime now);
  const Transition& transition(LocalId from, MoveId move, bool disk_fails);
  std::string check_executed(const Menu& menu, LocalId local) const;
  const Strides& strides(const State& state, std::size_t replica);
  Strides find_strides(const State& state, std::size_t replica);
  bool next_stride(Frame& frame);
  void fail(const std::vector<Frame>& stack, std::string failure);

  const Bounds bounds_;
  Soups soups_;
  std::vector<std::unique_ptr<Local>> locals_;
  std::map<base::Digest, LocalId> local_by_print_;
  std::deque<Transition> transitions_;
  struct Asked {
    LocalId local = 0;
    MenuId menu = 0;
    unsigned crashes = 0;
    friend bool operator==(const Asked&, const Asked&) = default;
  };
  struct AskedHash {
    std::size_t operator()(const Asked& asked) const {
      return mixed(mixed(mixed(0, asked.local), asked.menu), asked.crashes);
    }
  };
  std::unordered_map<Asked, std::unique_ptr<const Strides>, AskedHash> strides_;
  SeenStates seen_;
  Explored result_;
};

SeenStates::Key Explorer::key_of(const State& state) {
  for (const LocalId local : state.locals)
    BASE_ASSERT(local < 1U << 21, "a replica's state has a number of 21 bits");
  BASE_ASSERT(state.crashes < 1U << 8, "a number of crashes has 8 bits");
  const auto& [one, two, three, four] = state.locals;
  return {std::uint64_t{state.soup} << 32 | state.crashes << 21 | one,
          std::uint64_t{two} << 42 | std::uint64_t{three} << 21 | four};
}

LocalId Explorer::intern(Seat seat, MonotonicTime now) {
  base::ByteWriter name;
  name.raw(seat.fingerprint(bounds_.crashes > 0));
  name.u16(seat.id);
  const auto [known, added] =
      local_by_print_.emplace(base::sha256(name.view()), static_cast<LocalId>(locals_.size()));
  if (added) locals_.push_back(std::make_unique<Local>(std::move(seat), now));
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
  } else if (move.kind == Move::Kind::GoSlow) {
    now += 2 * soups_.cluster().options.heartbeat;
    seat.step(pbft::Tick{}, now, sent);
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

// Whatever a replica has executed is in a chain that a quorum committed.
std::string Explorer::check_executed(const Menu& menu, LocalId local) const {
  const Seat& seat = locals_[local]->seat;
  for (const auto& [slot, digest] : seat.executed) {
    if (!menu.committed.contains(digest))
      return fmt::format("{} executes slot {}, which no quorum committed", seat.id, slot);
  }
  return {};
}

const Strides& Explorer::strides(const State& state, std::size_t replica) {
  auto& known =
      strides_[{state.locals[replica], soups_.menu_id(state.soup, replica), state.crashes}];
  if (!known) known = std::make_unique<const Strides>(find_strides(state, replica));
  return *known;
}

// All ways to say something new, through any number of moves that say nothing new.
Strides Explorer::find_strides(const State& state, std::size_t replica) {
  struct Place {
    LocalId local = 0;
    unsigned crashes = 0;
    std::size_t before = 0;
    Step step;
  };
  const auto id = static_cast<ReplicaId>(replica);
  std::vector<Place> places{{state.locals[replica], 0, 0, {}}};
  std::set<std::pair<LocalId, unsigned>> silent{{state.locals[replica], 0}};
  std::set<std::tuple<LocalId, std::uint32_t, unsigned>> loud;
  const auto way_to = [&](std::size_t place, const Step& last) {
    std::vector<Step> steps{last};
    for (; place != 0; place = places[place].before) steps.push_back(places[place].step);
    std::ranges::reverse(steps);
    return steps;
  };
  Strides found;
  const Menu& menu = soups_.menu(soups_.menu_id(state.soup, replica));
  for (std::size_t at = 0; at < places.size(); ++at) {
    for (const MoveId move : menu.moves) {
      const bool crash = soups_.move(move).kind == Move::Kind::Crash;
      // Whoever crashes anyway does so with all records.
      for (const bool disk_fails : {false, true}) {
        const unsigned crashes = places[at].crashes + (crash || disk_fails ? 1 : 0);
        if (crashes > state.crashes || (crash && disk_fails)) continue;
        const Step step{move, disk_fails};
        const Transition& made = transition(places[at].local, move, disk_fails);
        auto failure = made.failure;
        if (failure.empty()) failure = check_executed(menu, made.to);
        if (!failure.empty()) {
          found.failure = std::move(failure);
          found.failing = way_to(at, step);
          return found;
        }
        if (soups_.add(state.soup, id, made.said).soup == state.soup) {
          if (silent.emplace(made.to, crashes).second)
            places.push_back({made.to, crashes, at, step});
        } else if (loud.emplace(made.to, made.said, crashes).second) {
          found.list.push_back({made.to, made.said, crashes, way_to(at, step)});
        }
      }
    }
  }
  return found;
}

bool Explorer::next_stride(Frame& frame) {
  for (; frame.replica < kExplored; ++frame.replica, frame.next = 0) {
    if (!soups_.honest(frame.replica)) continue;
    if (frame.next == 0) frame.strides = &strides(frame.state, frame.replica);
    if (!frame.strides->failure.empty() || frame.next < frame.strides->list.size()) return true;
  }
  return false;
}

void Explorer::fail(const std::vector<Frame>& stack, std::string failure) {
  result_.failure = std::move(failure);
  const auto tell = [&](std::size_t replica, const std::vector<Step>& steps) {
    for (const Step& step : steps) {
      result_.path.push_back(
          fmt::format("{} {}{}", replica, soups_.move(step.move).text,
                      step.disk_fails ? ", and crashes before that is on its disk" : ""));
    }
  };
  // The next stride of each frame but the last was taken.
  for (const Frame& frame : stack) {
    const Strides& found = *frame.strides;
    tell(frame.replica, found.failure.empty() ? found.list[frame.next - 1].steps : found.failing);
  }
}

Explored Explorer::run() {
  std::vector<Frame> stack;
  stack.push_back({first_state()});
  seen_.put(key_of(stack.back().state));
  bool complete = true;
  while (!stack.empty() && result_.failure.empty() && complete) {
    Frame& frame = stack.back();
    if (!next_stride(frame)) {
      stack.pop_back();
      continue;
    }
    if (!frame.strides->failure.empty()) {
      fail(stack, frame.strides->failure);
      break;
    }
    const Stride& stride = frame.strides->list[frame.next++];
    ++result_.moves;
    const auto added =
        soups_.add(frame.state.soup, static_cast<ReplicaId>(frame.replica), stride.said);
    State next = frame.state;
    next.soup = added.soup;
    next.locals[frame.replica] = stride.to;
    next.crashes -= stride.crashes;
    if (!added.failure.empty()) {
      fail(stack, added.failure);
      break;
    }
    if (!seen_.put(key_of(next))) continue;
    if (seen_.size() >= bounds_.states_max) complete = false;
    stack.push_back({next});
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
