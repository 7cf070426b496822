#include "consensus/execution/change.hpp"
#include "sim/scenario_table.hpp"

// The same replicas in two epochs: what belongs to the first means nothing in the second.

namespace sim {

using namespace hypermesh::consensus;

namespace {

constexpr Slot kWindow = 4;

// The block in slot 2 begins another epoch, four slots later.
class TwoEpochs : public Table {
 public:
  TwoEpochs() {
    cluster.options.window = kWindow;
    Voters next = cluster.voters();
    next.epoch = 2;
    cluster.changes.emplace(2, next);
    sit_down();
  }
  bool in_second(const std::vector<std::size_t>& seats) {
    return std::ranges::all_of(
        seats, [&](std::size_t seat) { return lab().replica(seat).voters().epoch == 2; });
  }
  /// All but 3 go on to the second, and it hears of none of the end of the first. False: they do
  /// not.
  bool go_on_without_3() {
    lab().separate({0, 0, 0, 1});
    order(5);
    lab().pass(200ms);
    return in_second({0, 1, 2});
  }
  /// 3 hears the others again, and has the time to fetch what it lacks. False: it stays behind.
  bool let_3_follow() {
    lab().heal();
    lab().pass(2s);
    if (lab()[3].needed) lab().install(3);
    lab().pass(2s);
    order(2);
    lab().pass(200ms);
    return in_second({0, 1, 2, 3}) && lab().replica(3).applied() == lab().replica(0).applied();
  }
};

std::string wishes_of_an_epoch_that_is_over_count_no_more() {
  TwoEpochs table;
  Lab& lab = table.lab();
  std::vector<std::pair<ReplicaId, MessagePtr>> wishes;
  lab.lost = [&](std::size_t from, std::size_t to, const Message& message) {
    if (to == 3 && std::holds_alternative<ViewChange>(message))
      wishes.emplace_back(from, std::make_shared<const Message>(message));
    return false;
  };
  table.order(1);
  lab.give_up({0, 1, 2, 3});
  lab.pass(200ms);
  table.order(4);
  lab.pass(200ms);
  const bool begun = table.in_second({0, 1, 2, 3}) && lab.replica(3).view() == 0;
  for (const auto& [from, wish] : wishes) lab.tell(3, from, *wish);
  lab.pass(50ms);
  return table.judge(begun && wishes.size() >= 3 && lab.replica(3).view() == 0,
                     "wishes of an epoch that is over end a view");
}

std::string a_laggard_follows_into_the_next_epoch() {
  TwoEpochs table;
  const bool begun = table.go_on_without_3();
  const bool follows = table.let_3_follow();
  return table.judge(begun && follows, "who missed the end of an epoch stays in it");
}

// As many as may fail missed the end; the others restart, so that only disks remember it.
std::string an_epochs_end_outlives_a_restart() {
  TwoEpochs table;
  const bool begun = table.go_on_without_3();
  for (const std::size_t seat : {0, 1, 2, 3}) table.lab().crash(seat);
  for (const std::size_t seat : {0, 1, 2, 3}) table.lab().start(seat);
  const bool follows = table.let_3_follow();
  return table.judge(begun && follows, "nobody keeps the end of an epoch over a restart");
}

// Who votes is no property of a member that an update could lose.
std::string an_update_changes_no_votes() {
  const auto key = [](std::uint8_t number) {
    base::PublicKey made{};
    made[0] = number;
    return made;
  };
  Configuration configuration;
  for (std::uint8_t i = 1; i <= 5; ++i) configuration.put({key(i), Role::Node, "[::1]:1"});
  configuration.voters.keys = {key(1), key(2), key(3), key(4)};
  const Voters before = configuration.voters;
  ChangeMembers update;
  update.put = {{key(5), Role::Node, "[::1]:5"}, {key(2), Role::Node, "[::1]:2"}};
  if (!change_members(configuration, update) || configuration.voters != before)
    return "an update of members changes who votes";
  update.put = {{key(2), Role::Client, ""}};
  if (change_members(configuration, update)) return "a voter is made a client while it votes";
  update = {{}, {key(2)}};
  return change_members(configuration, update) ? "a voter is removed while it votes" : "";
}

}  // namespace

// etcd #21610, a learner that removes itself after a snapshot, has no script: nobody removes itself
// here, members leave by an operator's ordered command alone.
std::vector<Scenario> epoch_scenarios() {
  return {
      {"WishesOfAnEpochThatIsOverCountNoMore", "messages that liars keep",
       wishes_of_an_epoch_that_is_over_count_no_more},
      {"ALaggardFollowsIntoTheNextEpoch", "concord-bft #912, #927",
       a_laggard_follows_into_the_next_epoch},
      {"AnEpochsEndOutlivesARestart", "concord-bft #912, #927", an_epochs_end_outlives_a_restart},
      {"AnUpdateChangesNoVotes", "etcd #21694", an_update_changes_no_votes},
  };
}

}  // namespace sim
