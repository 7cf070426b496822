#include <fmt/format.h>

#include <ranges>

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

constexpr Duration kAgain = 300ms;

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
  node.fetching->fetcher = *std::move(fetcher);
  node.sources.begin(std::views::iota(0UZ, nodes_.size()) |
                     std::views::filter([&](std::size_t i) { return node.peers[i].has_value(); }));
  ask_more(node);
}

void World::ask_more(Node& node) {
  Fetching& fetching = *node.fetching;
  if (fetching.fetcher->complete()) return end_fetch(node);
  auto requests = fetching.fetcher->next_requests();
  if (!requests) return broken(node, requests.error());
  for (auto& request : *requests) {
    const auto asked = node.sources.choose();
    if (!asked) {
      fetching.fetcher->on_failure(request.id);
      continue;
    }
    node.asked.emplace(std::pair(asked->transfer, request.id), *asked);
    const auto answered = [this, &node, life = node.incarnation,
                           of = std::pair(asked->transfer, request.id)](
                              std::shared_ptr<const std::optional<base::Bytes>> answer) {
      if (node.incarnation == life) on_transfer_answer(node, of, *answer);
    };
    const std::size_t to = asked->source;
    for (const Duration there : journeys(node)) {
      timeline_.after(there, [this, &node, to, answered,
                              bytes = std::make_shared<const base::Bytes>(request.bytes)] {
        Node& source = *nodes_[to];
        if (cuts_[node.index][to] > 0 || !source.replica) return;
        auto answer =
            std::make_shared<const std::optional<base::Bytes>>(answer_transfer(source, *bytes));
        for (const Duration back : journeys(source)) {
          timeline_.after(back, [this, from = to, index = node.index, answered, answer] {
            if (cuts_[from][index] == 0) answered(answer);
          });
        }
      });
    }
    timeline_.after(node.sources.patience(to),
                    [answered] { answered(std::make_shared<const std::optional<base::Bytes>>()); });
  }
  if (node.asked.lower_bound({node.sources.transfer(), 0}) == node.asked.end())
    fetch_again(node, kAgain);
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

void World::on_transfer_answer(Node& node, std::pair<std::uint64_t, std::uint64_t> of,
                               const std::optional<base::Bytes>& answer) {
  const auto found = node.asked.extract(of);
  if (!found) return;
  const auto& asked = found.mapped();
  const auto [transfer, id] = of;
  if (transfer != node.sources.transfer() || !node.fetching) {
    if (!answer) node.sources.on_silent(asked);
    return;
  }
  Fetching& fetching = *node.fetching;
  mark_ = mixed(mixed(mark_, asked.source), id);
  if (!answer) {
    fetching.fetcher->on_failure(id);
    node.sources.on_silent(asked);
  } else {
    const auto took = fetching.fetcher->on_answer(id, *answer);
    if (!node.sources.on_answer(asked, took)) return broken(node, took.error());
    if (took) return ask_more(node);
    if (took.error().code != base::Errc::NotFound && nodes_[asked.source]->honest())
      fail(fmt::format("{} finds a piece of state wrong that the honest {} sent: {}", node.index,
                       asked.source, took.error().describe()));
  }
  if (node.needed->certificate.statement.slot > fetching.checkpoint.certificate.statement.slot)
    return fetch_again(node, 0s);
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
  // Whoever had none wants the newer one.
  if (node.stateless && node.needed->certificate.statement.slot > slot) return begin_fetch(node);
  node.on_disk = node.fetched = slot;
  node.stateless = false;
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
void World::fetch_again(Node& node, Duration after) {
  node.fetching.reset();
  for (const auto& each : std::exchange(node.waiting, {})) {
    if (node.replica) apply(node, each);
  }
  timeline_.after(after, [this, &node, life = node.incarnation] {
    if (node.incarnation == life && node.needed && !node.fetching) begin_fetch(node);
  });
}

}  // namespace sim
