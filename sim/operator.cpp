#include "sim/operator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "consensus/execution/command.hpp"
#include "state/view.hpp"

// An operator changes the cluster while everything else happens.

namespace sim {

using namespace hypermesh::consensus;
using namespace std::chrono_literals;

namespace {

constexpr Duration kAgain = 300ms;
// Then the cluster refuses for a reason that stays; others may still want something.
constexpr unsigned kTriesMax = 100;
constexpr std::size_t kVotersMin = 3;

}  // namespace

void World::begin_change(const Fault& fault) {
  auto goal = std::make_unique<Goal>(fault);
  if (fault.kind == FaultKind::Join) {
    goal->newcomer = newcomers_.at(&fault);
    Node& node = *nodes_.at(*goal->newcomer);
    node.absent = false;
    for (const auto& other : nodes_) node.newest = std::max(node.newest, other->newest);
    start(node);
  }
  if (fault.nodes != 0) goal->goes = static_cast<std::size_t>(std::countr_zero(fault.nodes));
  goals_.push_back(std::move(goal));
  if (goals_.size() == 1) work();
}

// The next step of the goal under way.
void World::work() {
  Goal& goal = *goals_.front();
  if (goal.fault.kind == FaultKind::Unsafe) return try_unsafe();
  if (++goal.tries > kTriesMax) return end_goal();
  if (goal.fault.kind == FaultKind::Version) return change_version();
  if (goal.newcomer && !goal.listed) return let_learn();
  if (!goal.voted) return change_voters();
  let_go();
}

void World::work_again() {
  timeline_.after(kAgain, [this] { work(); });
}

void World::end_goal() {
  if (trace_)
    note(fmt::format("the operator is done with {}", to_text(goals_.front()->fault.kind)));
  goals_.erase(goals_.begin());
  if (!goals_.empty()) work();
}

void World::order_change(base::Bytes command, std::function<void(const Outcome&)> then) {
  send_bundle(*clients_.back(), std::move(command),
              OpenBundle{.begun = timeline_.now(),
                         .then = [then = std::move(then)](const OpenBundle& open) {
                           then(*open.outcome);
                         }});
}

// Of whoever has executed most.
const Configuration& World::configuration() const {
  const Node* newest = nullptr;
  for (const auto& node : nodes_) {
    if (node->executor && (newest == nullptr || node->applied() > newest->applied()))
      newest = node.get();
  }
  static const Configuration nobody{};
  return newest == nullptr ? nobody : newest->executor->configuration();
}

// No operator brings in more liars and nodes without promises than the voters endure.
bool World::may_vote_together(const std::vector<base::PublicKey>& keys) const {
  std::size_t failing = 0;
  for (const auto& key : keys) failing += (nodes_[node_of_.at(key)]->bit() & spoilt_) != 0 ? 1 : 0;
  return keys.size() >= kVotersMin && failing <= (keys.size() - 1) / 3;
}

void World::let_learn() {
  const Node& node = *nodes_[*goals_.front()->newcomer];
  order_change(encode(OnCluster<ChangeMembers>{0, {{{node.key, Role::Node, "[::1]:1"}}, {}}}),
               [this](const Outcome& outcome) {
                 if (outcome.refused) return fail("a node is refused: " + outcome.message);
                 goals_.front()->listed = true;
                 work();
               });
}

// The newcomer's word that it holds a checkpoint.
std::optional<Copy> World::copy_of(const Node& node) const {
  if (!node.replica) return std::nullopt;
  const auto view = state::View::of(node.storage);
  if (!view || view->checkpoints().empty()) return std::nullopt;
  const auto& last = view->checkpoints().back();
  Copy copy{node.key, last.slot, last.tree.root, {}, node.newest};
  copy.signature = keys_.sign_real(node.key, signed_bytes(cluster_, copy));
  return copy;
}

void World::change_voters() {
  Goal& goal = *goals_.front();
  const Voters& now = configuration().voters;
  if (now.keys.empty()) return work_again();
  ChangeVoters change{now.epoch, now.keys, {}};
  auto place = change.voters.end();
  if (goal.goes) {
    place = std::ranges::find(change.voters, nodes_.at(*goal.goes)->key);
    if (place == change.voters.end()) goal.goes.reset();
  }
  if (goal.newcomer) {
    const Node& node = *nodes_[*goal.newcomer];
    if (now.find(node.key)) {
      goal.voted = true;
      return work();
    }
    const auto copy = copy_of(node);
    if (!copy) return work_again();
    change.copies.push_back(*copy);
    if (goal.goes) {
      *place = node.key;
    } else {
      change.voters.push_back(node.key);
    }
  } else if (goal.goes) {
    change.voters.erase(place);
  }
  if (change.voters == now.keys || !may_vote_together(change.voters)) return end_goal();
  if (trace_)
    note(fmt::format("the operator wants {} voters after epoch {}", change.voters.size(),
                     now.epoch));
  order_change(encode(OnCluster<ChangeVoters>{0, std::move(change)}),
               [this](const Outcome& outcome) {
                 if (trace_ && outcome.refused) note("refused: " + outcome.message);
                 if (outcome.refused) return work_again();
                 goals_.front()->voted = true;
                 work();
               });
}

// Who votes no more may go, when the epoch has begun.
void World::let_go() {
  const Goal& goal = *goals_.front();
  if (!goal.goes || goal.fault.amount == 0) return end_goal();
  Node& node = *nodes_[*goal.goes];
  order_change(encode(OnCluster<ChangeMembers>{0, {{}, {node.key}}}),
               [this, &node](const Outcome& outcome) {
                 if (outcome.refused && outcome.refused != base::Errc::NotFound)
                   return work_again();
                 go(node);
                 end_goal();
               });
}

// No member any more: nobody hears it, and it is switched off.
void World::go(Node& node) {
  node.gone = true;
  timeline_.after(0us, [this, &node] {
    if (trace_) note(fmt::format("{} goes", node.index));
    if (node.replica) crash(node);
  });
}

// Or will in the next epoch, by the configuration in which that slot is executed.
bool World::votes_in(Slot slot, const base::PublicKey& key) const {
  const auto after = configured_.lower_bound(slot);
  const auto now =
      after == configured_.begin() ? first_configuration(genesis_) : std::prev(after)->second;
  return now.voters.find(key) || (now.next && now.next->voters.find(key));
}

// Whatever the state is, these change nothing.
void World::try_unsafe() {
  const Configuration& now = configuration();
  if (now.voters.keys.empty()) return work_again();
  const std::uint64_t which = goals_.front()->fault.amount % 7;
  ChangeVoters change{now.voters.epoch, now.voters.keys, {}};
  base::Bytes command;
  std::optional<base::PublicKey> member;
  if (which == 0) {
    // More than may go at once.
    const auto gone = std::max<std::size_t>(1, now.voters.faulty_max()) + 1;
    change.voters.erase(
        change.voters.begin(),
        change.voters.begin() + static_cast<std::ptrdiff_t>(std::min(gone, change.voters.size())));
  } else if (which == 1) {
    member = now.voters.keys[goals_.front()->fault.amount % now.voters.size()];
    command = encode(OnCluster<ChangeMembers>{0, {{}, {*member}}});
  } else if (which == 2) {
    change.epoch += 100;
    change.voters.pop_back();
  } else if (which == 3) {
    change.voters.push_back(clients_.front()->key);
  } else if (which == 4) {
    change.voters.push_back(change.voters.front());
  } else if (which == 5) {
    // Nobody says that it holds a copy, or it says so of another state.
    const auto other = std::ranges::find_if(now.members, [&](const Member& each) {
      return each.role == Role::Node && !now.voters.find(each.key);
    });
    if (other != now.members.end()) {
      change.voters.push_back(other->key);
      if (auto copy = copy_of(*nodes_[node_of_.at(other->key)])) {
        copy->root[0] ^= 1;
        copy->signature = keys_.sign_real(other->key, signed_bytes(cluster_, *copy));
        change.copies.push_back(*copy);
      }
    }
  }
  if (command.empty()) command = encode(OnCluster<ChangeVoters>{0, std::move(change)});
  // By who is no operator it is as little allowed as anything else.
  Client& asks = *clients_[which == 6 ? plan_.clients : plan_.clients + 1];
  send_bundle(
      asks, std::move(command),
      OpenBundle{.begun = timeline_.now(), .then = [this, which, member](const OpenBundle& open) {
                   // A voter may have left its place to another before this was ordered.
                   const bool safe = member && !votes_in(open.slot, *member);
                   if (!open.outcome->refused && !safe) {
                     fail(fmt::format("an unsafe change ({}) is not refused", which));
                   } else if (!open.outcome->refused) {
                     go(*nodes_[node_of_.at(*member)]);
                   }
                   end_goal();
                 }});
}

}  // namespace sim
