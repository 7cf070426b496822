#include "state/transfer_fetcher.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "state/transfer_switch.hpp"

namespace hypermesh::state {

namespace {

constexpr std::uint64_t kDoubtedAtFirst = 16, kTakenToOneDoubted = 16;

}  // namespace

base::Result<std::unique_ptr<Fetcher>> Fetcher::start(Storage& storage,
                                                      const TransferTarget& target,
                                                      FetcherOptions options) {
  TRY(const auto stored, storage.get(kLocalMetaKey));
  LocalMeta meta;
  if (stored) {
    TRY(meta, decode_meta(*stored));
  }
  if (meta.applied > target.slot) {
    return base::fail(base::Errc::FailedPrecondition,
                      fmt::format("the state is at slot {}, past the checkpoint of slot {}",
                                  meta.applied, target.slot));
  }
  if (meta.stored_slot != meta.applied) {
    return base::fail(base::Errc::FailedPrecondition,
                      "the local tree is not stored; flush the machine before a transfer");
  }
  options.items_max = std::clamp<std::size_t>(options.items_max, 1, kTransferItemsMax);
  std::unique_ptr<Fetcher> fetcher(new Fetcher(storage, target, options, meta));
  const std::string end = end_of_prefix(kStagingPrefix);
  TRY_DO(storage.scan(kStagingPrefix, end, [&](std::string_view, std::string_view) {
    fetcher->look_in_staging_ = true;
    return false;
  }));
  if (target.root == meta.tree.root) return fetcher;
  Want root{.path = {}, .hash = target.root, .ours = {.node = {meta.tree.version, 0}}};
  TRY(const Node local, fetcher->node_of(root.ours, {}));
  for (const Child& child : local.children) root.ours.leaves += child.leaves;
  TRY_DO(fetcher->need(std::move(root)));
  return fetcher;
}

base::Result<TransferLeaf> Fetcher::local_copy(const Leaf& leaf) const {
  TRY(Row row, read_row(storage_, leaf.key, leaf.modified));
  return TransferLeaf{leaf.key, leaf.created, leaf.modified, leaf.lease, std::move(row.value)};
}

base::Result<Node> Fetcher::node_of(const Ours& ours, const Path& path) {
  if (ours.node.version == 0) return Node{};
  return nodes_.read(ours.node, path);
}

// Of the child `index` of our node at `path`; a single leaf of ours may lie further down there.
Fetcher::Ours Fetcher::below(const Node& node, const Ours& ours, const Path& path, int index) {
  Ours child;
  if (node.has(index)) {
    const Child& there = node.children[static_cast<std::size_t>(index)];
    if (there.leaf) {
      child.leaf = *there.leaf;
    } else {
      child.node = there.at;
      child.leaves = there.leaves;
    }
  } else if (ours.leaf && nibble(base::sha256(ours.leaf->key), path.depth) == index) {
    child.leaf = ours.leaf;
  }
  return child;
}

// Where leaves came or went, one that stayed may lie a level higher or lower than ours.
base::Result<std::optional<Leaf>> Fetcher::local_leaf_of_hash(const Want& want) {
  if (want.ours.leaf && want.ours.leaf->hash == want.hash) return want.ours.leaf;
  if (want.ours.node.version == 0 || want.path.depth == 0) return std::optional<Leaf>();
  TRY(const Node node, node_of(want.ours, want.path));
  for (const Child& child : node.children) {
    if (child.leaf && child.hash == want.hash) return *child.leaf;
  }
  return std::optional<Leaf>();
}

base::Result<> Fetcher::need(Want want) {
  TRY(const auto known, local_leaf_of_hash(want));
  if (known) {
    TRY(const auto copy, local_copy(*known));
    Storage::Batch batch;
    stage(batch, want.path, copy);
    return storage_.write(batch);
  }
  if (look_in_staging_) {
    TRY(const auto node, staged_node(storage_, want.path, want.hash));
    if (node) return need_children(want, *node, 0);
    TRY(const auto leaf, staged_leaf(storage_, want.path, want.hash));
    if (leaf) return {};
  }
  waiting_.push_back(std::move(want));
  return {};
}

// `here`: children that came with their node.
base::Result<> Fetcher::need_children(const Want& parent, const StagedNode& node,
                                      std::uint16_t here) {
  TRY(const Node local, node_of(parent.ours, parent.path));
  for (int i = 0; i < kFanout; ++i) {
    const auto index = static_cast<std::size_t>(i);
    if (!node.has(i) || (here >> i & 1) != 0) continue;
    if (local.has(i) && local.children[index].hash == node.hashes[index]) continue;
    TRY_DO(need({.path = parent.path.child(i),
                 .hash = node.hashes[index],
                 .ours = below(local, parent.ours, parent.path, i)}));
  }
  return {};
}

// All leaves of ours at a path, ascending by key hash.
base::Result<> Fetcher::list(const Ours& ours, const Path& path, std::vector<Leaf>& leaves) {
  if (ours.leaf) leaves.push_back(*ours.leaf);
  TRY(const Node local, node_of(ours, path));
  for (int i = 0; i < kFanout; ++i) {
    if (local.has(i)) TRY_DO(list(below(local, ours, path, i), path.child(i), leaves));
  }
  return {};
}

base::Result<TransferItem> Fetcher::question(Want& want) {
  // Short hints are for a state that differs little.
  want.exact = want.exact || progress_.doubted > kDoubtedAtFirst + taken_ / kTakenToOneDoubted;
  TransferItem item{.path = want.path, .exact = want.exact, .asked = {}};
  if (want.ours.leaves <= kListedLeavesMax) {
    TRY_DO(list(want.ours, want.path, want.listed.emplace()));
    auto& asked = item.asked.emplace<LeavesQuestion>();
    for (const Leaf& leaf : *want.listed) {
      asked.hints.push_back(hint_of(
          leaf.hash, want.exact ? LeavesQuestion::kExactHintBytes : LeavesQuestion::kHintBytes));
    }
    return item;
  }
  want.listed.reset();
  TRY(const Node local, node_of(want.ours, want.path));
  auto& asked = item.asked.emplace<NodeQuestion>();
  asked.known = local.present;
  for (std::size_t i = 0; i < kFanout; ++i) {
    if (!local.has(static_cast<int>(i))) continue;
    asked.hints[i] = hint_of(local.children[i].hash,
                             want.exact ? NodeQuestion::kExactHintBytes : NodeQuestion::kHintBytes);
    if (local.children[i].leaf) asked.leaves = static_cast<std::uint16_t>(asked.leaves | 1u << i);
  }
  return item;
}

// Our own disk must not be blamed on who answered.
std::unexpected<base::Error> Fetcher::fail_for_good(base::Error error) {
  if (error.code == base::Errc::DataLoss || error.code == base::Errc::NotVerified)
    error.code = base::Errc::FailedPrecondition;
  failure_ = base::wrap(std::move(error), "a transfer cannot read or write the local state");
  return std::unexpected(*failure_);
}

base::Result<std::vector<Fetcher::Request>> Fetcher::next_requests() {
  if (failure_) return std::unexpected(*failure_);
  std::vector<Request> requests;
  while (asked_.size() < options_.requests_max && !waiting_.empty()) {
    TransferRequest request{.checkpoint = target_.slot, .revision = meta_.revision, .items = {}};
    std::vector<Want> wants;
    while (!waiting_.empty() && wants.size() < options_.items_max) {
      auto item = question(waiting_.back());
      if (!item) return fail_for_good(std::move(item).error());
      request.items.push_back(*std::move(item));
      wants.push_back(std::move(waiting_.back()));
      waiting_.pop_back();
    }
    const std::uint64_t id = ++last_id_;
    asked_.emplace(id, std::move(wants));
    requests.push_back({id, encode(request)});
    progress_.bytes_asked += requests.back().bytes.size();
  }
  return requests;
}

void Fetcher::on_failure(std::uint64_t id) {
  auto asked = asked_.extract(id);
  if (!asked) return;
  std::ranges::move(asked.mapped(), std::back_inserter(waiting_));
}

base::Result<> Fetcher::on_answer(std::uint64_t id, base::BytesView bytes) {
  if (failure_) return std::unexpected(*failure_);
  const auto found = asked_.find(id);
  if (found == asked_.end()) return {};  // late: it was given up
  auto answer = decode_transfer_answer(bytes);
  if (!answer) {
    ++progress_.bad_answers;
    on_failure(id);
    return std::unexpected(std::move(answer).error());
  }
  if (!answer->kept) {
    on_failure(id);
    return base::fail(base::Errc::NotFound,
                      fmt::format("the checkpoint of slot {} is no longer kept", target_.slot));
  }
  std::vector<Want> wants = std::move(found->second);
  asked_.erase(found);
  base::Result<> result;
  if (answer->items.empty() || answer->items.size() > wants.size())
    result = base::fail(base::Errc::NotVerified, "an answer does not fit its request");
  std::size_t done = 0;
  Storage::Batch batch;
  for (; result && done < answer->items.size(); ++done) {
    result = std::visit(
        [&](const auto& item) -> base::Result<> {
          if constexpr (std::is_same_v<std::decay_t<decltype(item)>, NothingThere>) {
            return base::fail(base::Errc::NotVerified,
                              "an answer denies a part of the state that is certified");
          } else {
            return take(wants[done], item, batch);
          }
        },
        answer->items[done]);
    // The item at fault is asked for again, and so is all behind it.
    if (!result) break;
    ++taken_;
  }
  for (; done < wants.size(); ++done) waiting_.push_back(std::move(wants[done]));
  if (!result && result.error().code != base::Errc::NotVerified)
    return fail_for_good(std::move(result).error());
  if (!batch.writes.empty()) {
    if (auto written = storage_.write(batch); !written)
      return fail_for_good(std::move(written).error());
  }
  if (!result) {
    ++progress_.bad_answers;
  } else {
    progress_.bytes_received += bytes.size();
  }
  return result;
}

// A hint that matched by chance is nobody's fault: then it is asked for again exactly.
base::Result<> Fetcher::refuse(const Want& want, bool hinted, const char* why) {
  if (hinted && !want.exact) {
    Want again = want;
    again.exact = true;
    ++progress_.doubted;
    waiting_.push_back(std::move(again));
    return {};
  }
  return base::fail(base::Errc::NotVerified,
                    fmt::format("an answer {} levels deep {}", want.path.depth, why));
}

base::Result<> Fetcher::take(const Want& want, const TransferNode& answer, Storage::Batch& batch) {
  TRY(const Node local, node_of(want.ours, want.path));
  StagedNode node{.present = answer.present};
  std::vector<std::pair<int, const TransferLeaf*>> leaves;
  std::uint16_t here = 0;
  bool hinted = false;
  std::size_t next = 0;
  for (int i = 0; i < kFanout; ++i) {
    if (!node.has(i)) continue;
    auto& hash = node.hashes[static_cast<std::size_t>(i)];
    const auto& child = answer.children[next++];
    if (const auto* given = std::get_if<base::Digest>(&child)) {
      hash = *given;
    } else if (const auto* leaf = std::get_if<TransferLeaf>(&child)) {
      hash = leaf->leaf().hash;
      leaves.emplace_back(i, leaf);
    } else {
      if (!local.has(i) || want.listed)
        return base::fail(base::Errc::NotVerified, "an answer refers to what was not named");
      hash = local.children[static_cast<std::size_t>(i)].hash;
      here = static_cast<std::uint16_t>(here | 1u << i);
      hinted = true;
    }
  }
  if (node.hash() != want.hash) return refuse(want, hinted, "is not what its parent certifies");
  stage(batch, want.path, node);
  for (const auto& [index, leaf] : leaves) {
    stage(batch, want.path.child(index), *leaf);
    here = static_cast<std::uint16_t>(here | 1u << index);
    ++progress_.leaves;
  }
  return need_children(want, node, here);
}

// Verified leaves, and the nodes above them; what our tree has in the same place is left out.
base::Result<> Fetcher::stage_merged(Storage::Batch& batch, const Path& path,
                                     std::span<const MergedLeaf> leaves, const Ours& ours) {
  if (leaves.size() == 1 && path.depth > 0) {
    if (const auto* fetched = std::get_if<TransferLeaf>(&leaves.front().leaf)) {
      stage(batch, path, *fetched);
      return {};
    }
    TRY(const auto copy, local_copy(*std::get<const Leaf*>(leaves.front().leaf)));
    stage(batch, path, copy);
    return {};
  }
  TRY(const Node local, node_of(ours, path));
  StagedNode node;
  while (!leaves.empty()) {
    const std::size_t count = first_group(leaves, path.depth);
    const int index = nibble(leaves.front().key_hash, path.depth);
    const auto at = static_cast<std::size_t>(index);
    node.present = static_cast<std::uint16_t>(node.present | 1u << index);
    node.hashes[at] = subtree_hash(leaves.first(count), path.depth + 1u);
    if (!local.has(index) || local.children[at].hash != node.hashes[at]) {
      TRY_DO(stage_merged(batch, path.child(index), leaves.first(count),
                          below(local, ours, path, index)));
    }
    leaves = leaves.subspan(count);
  }
  stage(batch, path, node);
  return {};
}

base::Result<> Fetcher::take(const Want& want, const LeafEdits& answer, Storage::Batch& batch) {
  const bool hinted = want.listed && !want.listed->empty();
  const auto leaves =
      merge(want.path, want.listed ? std::span<const Leaf>(*want.listed) : std::span<const Leaf>(),
            answer);
  if (!leaves) return refuse(want, hinted, "has leaves where they cannot lie");
  if (subtree_hash(*leaves, want.path.depth) != want.hash)
    return refuse(want, hinted, "is not what its parent certifies");
  TRY_DO(stage_merged(batch, want.path, *leaves, want.ours));
  for (const MergedLeaf& each : *leaves)
    progress_.leaves += std::holds_alternative<TransferLeaf>(each.leaf) ? 1 : 0;
  return {};
}

base::Result<> Fetcher::finish() {
  if (failure_) return std::unexpected(*failure_);
  BASE_ASSERT(complete(), "a transfer is finished when everything is here");
  TRY(const auto stored, storage_.get(kLocalMetaKey));
  LocalMeta now;
  if (stored) {
    TRY(now, decode_meta(*stored));
  }
  if (now != meta_) {
    return base::fail(base::Errc::FailedPrecondition,
                      "the local state changed while another was fetched");
  }
  return switch_state(storage_, target_);
}

}  // namespace hypermesh::state
