#include <fmt/format.h>

#include "consensus/execution/resume.hpp"
#include "sim/client.hpp"
#include "sim/node.hpp"
#include "state/transfer_source.hpp"

// A node that is far behind fetches a certified state from the others, piece by piece; as
// StateFetch does.

namespace sim {

using namespace hypermesh::consensus;
using namespace std::chrono_literals;

namespace {

constexpr Duration kAnswerWait = 1s, kAgain = 300ms;
constexpr unsigned kFailuresMax = 3;

}  // namespace

void World::begin_fetch(Node& node) {
  const StableCheckpoint& checkpoint = *node.needed;
  const Slot slot = checkpoint.certificate.statement.slot;
  if (slot <= node.applied()) return node.needed.reset();  // Blocks came after all.
  if (trace_) note(fmt::format("{} fetches the state after slot {}", node.index, slot));
  flush_state(node);
  if (!node.replica) return;
  auto fetcher = state::Fetcher::start(node.storage, {slot, checkpoint.root}, {});
  if (!fetcher) return fail("a transfer cannot begin: " + fetcher.error().describe());
  node.fetching = std::make_unique<Fetching>();
  node.fetching->checkpoint = checkpoint;
  node.fetching->number = ++transfers_;
  node.fetching->fetcher = *std::move(fetcher);
  for (std::size_t i = 0; i < nodes_.size(); ++i)
    if (node.peers[i]) node.fetching->sources.emplace(i, 0);
  ask_more(node);
}

void World::ask_more(Node& node) {
  Fetching& fetching = *node.fetching;
  if (fetching.fetcher->complete()) return end_fetch(node);
  auto requests = fetching.fetcher->next_requests();
  if (!requests) return broken(node, requests.error());
  for (auto& request : *requests) {
    if (fetching.sources.empty()) {
      fetching.fetcher->on_failure(request.id);
      continue;
    }
    const auto busy = [&](const auto& source) {
      return std::ranges::count(fetching.asked, source.first,
                                [](const auto& a) { return a.second; });
    };
    const auto source = std::ranges::min_element(
        fetching.sources, {}, [&](const auto& each) { return std::pair(each.second, busy(each)); });
    const std::size_t to = source->first;
    fetching.asked.emplace(request.id, to);
    const auto answered = [this, &node, number = fetching.number, to,
                           id = request.id](std::shared_ptr<const std::optional<base::Bytes>> got) {
      if (node.fetching && node.fetching->number == number) on_transfer_answer(node, to, id, *got);
    };
    for (const Duration there : journeys(node)) {
      timeline_.after(there, [this, &node, to, answered,
                              asked = std::make_shared<const base::Bytes>(request.bytes)] {
        Node& source = *nodes_[to];
        if (cuts_[node.index][to] > 0 || !source.replica) return;
        auto answer =
            std::make_shared<const std::optional<base::Bytes>>(answer_transfer(source, *asked));
        for (const Duration back : journeys(source)) {
          timeline_.after(back, [this, from = to, index = node.index, answered, answer] {
            if (cuts_[from][index] == 0) answered(answer);
          });
        }
      });
    }
    timeline_.after(kAnswerWait,
                    [answered] { answered(std::make_shared<const std::optional<base::Bytes>>()); });
  }
  if (fetching.asked.empty()) fetch_again(node);
}

// What a liar says of its state. None: it stays silent.
std::optional<base::Bytes> World::answer_transfer(Node& source, base::BytesView request) {
  if (source.lie == "silent" || (source.lie == "false state" && source.lies.below(3) == 0))
    return std::nullopt;
  const auto asked = state::decode_transfer_request(request);
  const auto view = state::View::of(source.storage);
  if (!asked || !view) return std::nullopt;
  const auto answer = state::answer_transfer(*view, *asked);
  if (!answer) return std::nullopt;
  auto bytes = encode(*answer);
  if (source.lie == "false state" && source.lies.below(2) == 0)
    bytes[source.lies.below(bytes.size())] ^= static_cast<std::uint8_t>(1 + source.lies.below(255));
  return bytes;
}

void World::on_transfer_answer(Node& node, std::size_t from, std::uint64_t id,
                               const std::optional<base::Bytes>& answer) {
  Fetching& fetching = *node.fetching;
  if (fetching.asked.erase(id) == 0) return;
  mark_ = mixed(mixed(mark_, from), id);
  base::Result<> took = base::fail(base::Errc::TimedOut, "no answer");
  if (answer) {
    took = fetching.fetcher->on_answer(id, *answer);
  } else {
    fetching.fetcher->on_failure(id);
  }
  const auto source = fetching.sources.find(from);
  if (took && source != fetching.sources.end()) source->second = 0;
  if (!took) {
    const auto code = took.error().code;
    const bool lied = code == base::Errc::NotVerified || code == base::Errc::DataLoss;
    if (answer && !lied && code != base::Errc::NotFound) return broken(node, took.error());
    if (lied && nodes_[from]->honest())
      fail(fmt::format("{} finds a piece of state wrong that the honest {} sent: {}", node.index,
                       from, took.error().describe()));
    if (source != fetching.sources.end() && (answer || ++source->second > kFailuresMax))
      fetching.sources.erase(source);
  }
  ask_more(node);
}

void World::end_fetch(Node& node) {
  const auto finished = node.fetching->fetcher->finish();
  const StableCheckpoint checkpoint = std::move(node.fetching->checkpoint);
  node.fetching.reset();
  if (!finished) return broken(node, finished.error());
  const auto loaded = node.executor->reload();
  if (!loaded) return broken(node, loaded.error());
  const Slot slot = checkpoint.certificate.statement.slot;
  if (trace_) note(fmt::format("{} has the state after slot {}", node.index, slot));
  if (node.executor->checkpoint_root() != checkpoint.root || node.applied() != slot)
    return fail(fmt::format("{} fetched another state than that of slot {}", node.index, slot));
  const auto known = done_.find(slot);
  if (known == done_.end() || known->second.root != checkpoint.root)
    return fail(fmt::format("a quorum signed a state after slot {} that nobody has", slot));
  node.on_disk = node.fetched = slot;
  node.block_time = 0;
  ++node.execution;
  node.waiting.clear();
  update_members(node);
  settle(node);
  // A newer one may be needed meanwhile.
  if (node.needed->certificate.statement.slot == slot) node.needed.reset();
  step(node, pbft::Installed{checkpoint, node.executor->configuration().next});
  if (node.needed && !node.fetching && node.replica) begin_fetch(node);
}

// The others may keep a newer checkpoint only.
void World::fetch_again(Node& node) {
  node.fetching.reset();
  for (const auto& each : std::exchange(node.waiting, {})) {
    if (node.replica) apply(node, each);
  }
  timeline_.after(kAgain, [this, &node, life = node.incarnation] {
    if (node.incarnation == life && node.needed && !node.fetching) begin_fetch(node);
  });
}

}  // namespace sim
