#include <fmt/format.h>

#include "consensus/execution/command.hpp"
#include "sim/client.hpp"
#include "sim/node.hpp"
#include "sim/operator.hpp"

// Programs of two versions in one cluster: docs/design/0014. The newer one differs in its number
// alone, as messages, records and refusals show it; it goes by the older as long as the cluster
// does.

namespace sim {

using namespace hypermesh::consensus;
using namespace std::chrono_literals;

namespace {

constexpr Duration kUnknownEvery = 150ms;

}  // namespace

// The highest that was ordered.
Version World::ordered_version() const {
  if (configured_.empty()) return 1;
  const Configuration& last = configured_.rbegin()->second;
  return last.next ? last.next->voters.version : last.voters.version;
}

void World::install_program(Node& node, Version newest, Duration down) {
  if (trace_) note(fmt::format("{} gets the program of version {}", node.index, newest));
  node.newest = newest;
  if (node.replica) return crash_for(node, down);
  start_after(node, down);
}

// Until it gets another program.
void World::left_behind(Node& node, const std::string& why) {
  if (ordered_version() <= node.newest)
    return fail(fmt::format("{} stops: {}; and its program is new enough", node.index, why));
  if (trace_) note(fmt::format("{} is left behind: {}", node.index, why));
  ++left_behind_;
  stop(node);
  lose_power(node);
}

// Whatever version a replica's program is of, it says what the cluster's version says.
void World::ask_unknown() {
  if (healed_) return;
  timeline_.after(kUnknownEvery, [this] { ask_unknown(); });
  Client& client = *clients_[plan_.clients];
  if (!client.open.empty()) return;
  base::ByteWriter command;
  command.u8(99);
  command.u64(0);
  send_bundle(client, std::move(command).take(),
              OpenBundle{.begun = timeline_.now(), .then = [this](const OpenBundle& open) {
                           if (open.outcome->refused != base::Errc::Unsupported)
                             fail("a command of no version is not refused");
                         }});
}

// Again and again, until all voters have shown that their programs can; one that never comes back,
// or that shows nothing since it lies, would have to be replaced before.
void World::change_version() {
  const Voters& now = configuration().voters;
  if (now.keys.empty()) return work_again();
  if (now.version == kNewestVersion) return end_goal();
  ChangeVersion change{now.epoch, static_cast<Version>(now.version + 1), {}};
  bool all = true, in_vain = false;
  for (std::size_t i = 0; i < now.size(); ++i) {
    if (now.is_isolated(static_cast<ReplicaId>(i))) continue;
    const Node& node = *nodes_[node_of_.at(now.keys[i])];
    const auto copy = copy_of(node);
    in_vain = in_vain || node.gone || (!copy && !node.honest());
    all = all && copy && copy->newest >= change.version;
    if (copy) change.copies.push_back(*copy);
  }
  order_change(encode(OnCluster<ChangeVersion>{0, std::move(change)}),
               [this, all, in_vain](const Outcome& outcome) {
                 if (trace_ && outcome.refused) note("refused: " + outcome.message);
                 if (outcome.refused && !in_vain) return work_again();
                 if (!outcome.refused && !all)
                   return fail("a version is ordered that a voter's program cannot");
                 end_goal();
               });
}

}  // namespace sim
