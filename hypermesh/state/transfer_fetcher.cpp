#include "state/transfer_fetcher.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "state/transfer_switch.hpp"

namespace hypermesh::state {

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
  if (target.root != meta.tree.root)
    TRY_DO(fetcher->need({.hash = target.root, .local_node = {meta.tree.version, 0}}));
  return fetcher;
}

base::Result<TransferLeaf> Fetcher::local_copy(const Leaf& leaf) const {
  TRY(Row row, read_row(storage_, leaf.key, leaf.modified));
  return TransferLeaf{leaf.key, leaf.created, leaf.modified, leaf.lease, std::move(row.value)};
}

// Where leaves came or went, one that stayed may lie a level higher or lower than ours.
base::Result<std::optional<Leaf>> Fetcher::local_leaf_of_hash(const Want& want) const {
  if (want.local_leaf && want.local_leaf->hash == want.hash) return want.local_leaf;
  if (want.local_node.version == 0 || want.path.depth == 0) return std::optional<Leaf>();
  TRY(const Node node, NodeReader(storage_).read(want.local_node, want.path));
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
  Node local;
  if (parent.local_node.version != 0) {
    TRY(local, NodeReader(storage_).read(parent.local_node, parent.path));
  }
  std::optional<int> leaf_index;
  if (parent.local_leaf)
    leaf_index = nibble(base::sha256(parent.local_leaf->key), parent.path.depth);
  for (int i = 0; i < kFanout; ++i) {
    const auto index = static_cast<std::size_t>(i);
    if (!node.has(i) || (here >> i & 1) != 0) continue;
    Want want{.path = parent.path.child(i), .hash = node.hashes[index]};
    if (local.has(i)) {
      const Child& ours = local.children[index];
      if (ours.hash == want.hash) continue;
      if (ours.leaf) {
        want.local_leaf = *ours.leaf;
      } else {
        want.local_node = ours.at;
      }
    } else if (leaf_index == i) {
      want.local_leaf = parent.local_leaf;
    }
    TRY_DO(need(std::move(want)));
  }
  return {};
}

base::Result<TransferItem> Fetcher::question(const Want& want) const {
  TransferItem item{.path = want.path};
  if (!want.hints) return item;
  if (want.local_leaf)
    std::ranges::copy_n(want.local_leaf->hash.begin(), 8, item.leaf.emplace().begin());
  if (want.local_node.version == 0) return item;
  TRY(const Node local, NodeReader(storage_).read(want.local_node, want.path));
  item.known = local.present;
  for (std::size_t i = 0; i < kFanout; ++i) {
    if (!local.has(static_cast<int>(i))) continue;
    item.hints[i] = hint_of(local.children[i].hash);
    if (local.children[i].leaf) item.leaves = static_cast<std::uint16_t>(item.leaves | 1u << i);
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
    TransferRequest request{.checkpoint = target_.slot};
    std::vector<Want> wants;
    while (!waiting_.empty() && wants.size() < options_.items_max) {
      auto item = question(waiting_.back());
      if (!item) return fail_for_good(std::move(item).error());
      request.items.push_back(*item);
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

// A hint that matched by chance is nobody's fault: then it is asked for again without.
base::Result<> Fetcher::refuse(const Want& want, bool hinted, const char* why) {
  if (hinted && want.hints) {
    Want again = want;
    again.hints = false;
    ++progress_.doubted;
    waiting_.push_back(std::move(again));
    return {};
  }
  return base::fail(base::Errc::NotVerified,
                    fmt::format("an answer {} levels deep {}", want.path.depth, why));
}

base::Result<> Fetcher::take(const Want& want, const TransferNode& answer, Storage::Batch& batch) {
  Node local;
  if (want.local_node.version != 0) {
    TRY(local, NodeReader(storage_).read(want.local_node, want.path));
  }
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
      if (!local.has(i) || !want.hints)
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

base::Result<> Fetcher::take(const Want& want, const TransferLeaves& answer,
                             Storage::Batch& batch) {
  std::vector<std::pair<base::Digest, TransferLeaf>> leaves;
  bool hinted = false;
  for (const auto& each : answer.leaves) {
    TransferLeaf leaf;
    if (const auto* whole = std::get_if<TransferLeaf>(&each)) {
      leaf = *whole;
    } else {
      hinted = true;
      std::optional<Leaf> ours = want.local_leaf;
      if (!ours) {
        TRY(ours, local_leaf_of_hash(want));
      }
      if (!ours || !want.hints) return refuse(want, true, "refers to what was not named");
      TRY(leaf, local_copy(*ours));
    }
    const auto key_hash = base::sha256(leaf.key);
    if (!want.path.covers(key_hash) || (!leaves.empty() && leaves.back().first >= key_hash))
      return base::fail(base::Errc::NotVerified, "an answer has a leaf where it cannot lie");
    leaves.emplace_back(key_hash, std::move(leaf));
  }
  if (leaves.empty() && want.path.depth > 0)
    return base::fail(base::Errc::NotVerified, "an answer has no leaves");
  Storage::Batch staged;
  if (stage_subtree(staged, want.path, leaves) != want.hash)
    return refuse(want, hinted, "is not what its parent certifies");
  std::ranges::move(staged.writes, std::back_inserter(batch.writes));
  progress_.leaves += leaves.size();
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
