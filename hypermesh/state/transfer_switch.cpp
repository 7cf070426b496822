#include "state/transfer_switch.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "state/event_log.hpp"
#include "state/key_list.hpp"
#include "state/local_meta.hpp"
#include "state/transfer_fetcher.hpp"

namespace hypermesh::state {
namespace {

constexpr std::uint8_t kSwitchFormat = 1;
constexpr std::size_t kBatchBytes = 4u << 20;
constexpr std::size_t kBytesOfChange = 200;  // in the batch and in the tree
constexpr std::size_t kTreeCacheBytes = 16u << 20;

// The local history must go before anything is installed: afterwards the rows that it names may be
// those of the new state.
enum class Phase : std::uint8_t { DropHistory = 1, Install = 2 };

struct Marker {
  Phase phase = Phase::DropHistory;
  TransferTarget target;
};

std::string encode_marker(const Marker& marker) {
  base::ByteWriter writer;
  writer.u8(kSwitchFormat);
  writer.u8(static_cast<std::uint8_t>(marker.phase));
  writer.u64(marker.target.slot);
  writer.raw(marker.target.root);
  return std::string(base::as_text(writer.view()));
}

base::Result<Marker> decode_marker(std::string_view bytes) {
  base::ByteReader reader(base::as_bytes(bytes));
  Marker marker;
  TRY(const auto format, reader.u8());
  TRY(const auto phase, reader.u8());
  if (format != kSwitchFormat || phase < 1 || phase > 2) {
    return base::fail(
        base::Errc::DataLoss,
        fmt::format("a switch of the state has format {} and phase {}", format, phase));
  }
  marker.phase = static_cast<Phase>(phase);
  TRY(marker.target.slot, reader.u64());
  TRY(const auto root, reader.raw(marker.target.root.size()));
  std::ranges::copy(root, marker.target.root.begin());
  TRY_DO(reader.end());
  return marker;
}

class Switch {
 public:
  Switch(Storage& storage, const Marker& marker)
      : storage_(storage), marker_(marker), tree_(storage, kTreeCacheBytes) {}

  base::Result<> run() {
    TRY(const auto stored, storage_.get(kLocalMetaKey));
    if (stored) {
      TRY(meta_, decode_meta(*stored));
    }
    if (marker_.phase == Phase::DropHistory) {
      TRY_DO(drop_history());
      marker_.phase = Phase::Install;
      batch_.put(std::string(kSwitchKey), encode_marker(marker_));
      TRY_DO(write());
    }
    return install_all();
  }

 private:
  // What the local state has where a new subtree goes: a node, a leaf or nothing.
  struct Ours {
    NodeRef node;
    std::optional<Leaf> leaf;
  };

  base::Result<> write() {
    Storage::Batch batch;
    std::swap(batch, batch_);
    batch_bytes_ = 0;
    if (tree_.waiting() > 0) {
      TRY_DO(tree_.fold(version_));
      tree_.store(batch, stale_);
      put_stale(batch);
    }
    return storage_.write(batch);
  }
  base::Result<> write_when_large(std::size_t bytes) {
    batch_bytes_ += bytes;
    return batch_bytes_ < kBatchBytes ? base::Result<>() : write();
  }

  base::Result<> drop_history();
  base::Result<> install_all();
  base::Result<> install(const Path& path, const base::Digest* hash, const Ours& ours);
  base::Result<> remove_all(const Path& path, const Ours& ours, const Leaf* but);
  void remove(const Leaf& leaf);
  void add(const TransferLeaf& leaf);
  void put_stale(Storage::Batch& batch);

  Storage& storage_;
  Marker marker_;
  LocalMeta meta_;
  Storage::Batch batch_;
  std::size_t batch_bytes_ = 0;
  Tree tree_;                  // becomes the new one
  std::uint64_t version_ = 0;  // of its pages
  std::vector<std::string> stale_;
  std::uint64_t stale_records_ = 0;
};

base::Result<> Switch::drop_history() {
  base::Result<> parsed;
  // In pieces: a batch must not hold a history of any size.
  const auto drop = [&](std::string prefix, auto&& look) -> base::Result<> {
    bool more = true;
    while (more) {
      more = false;
      TRY_DO(storage_.scan(prefix, end_of_prefix(prefix.substr(0, 1)),
                           [&](std::string_view key, std::string_view value) {
                             parsed = look(key, value);
                             if (!parsed) return false;
                             batch_.remove(std::string(key));
                             batch_bytes_ += key.size() + value.size();
                             more = batch_bytes_ >= kBatchBytes;
                             if (more) prefix = key;
                             return !more;
                           }));
      if (!parsed) return parsed;
      TRY_DO(write());
    }
    return {};
  };
  TRY_DO(drop("e", [&](std::string_view key, std::string_view value) -> base::Result<> {
    const Revision revision = get_u64(key.substr(1));
    TRY(const auto revisions, decode_events(revision, value));
    for (const auto& [at, events] : revisions) {
      for (const LoggedEvent& event : events) {
        const std::string full = full_key(Space::User, event.key);
        if (event.previous != 0) batch_.remove(row_key(full, event.previous));
        if (!event.put) batch_.remove(row_key(full, at));
      }
    }
    return {};
  }));
  return drop("s", [&](std::string_view, std::string_view value) -> base::Result<> {
    TRY(auto keys, decode_keys(value));
    for (auto& key : keys) batch_.remove(std::move(key));
    return {};
  });
}

void Switch::remove(const Leaf& leaf) {
  batch_.remove(row_key(leaf.key, leaf.modified));
  if (leaf.lease != 0) batch_.remove(attachment_key(leaf.lease, leaf.key));
  tree_.change(base::sha256(leaf.key), std::nullopt);
}

void Switch::add(const TransferLeaf& leaf) {
  batch_.put(row_key(leaf.key, leaf.modified), encode_row(leaf.created, leaf.lease, leaf.value));
  if (leaf.lease != 0) batch_.put(attachment_key(leaf.lease, leaf.key), "");
  tree_.change(base::sha256(leaf.key), leaf.leaf());
}

// Removed by the machine later: until the switch is over, our own tree is what it starts from.
void Switch::put_stale(Storage::Batch& batch) {
  if (!stale_.empty()) batch.put(stale_key(version_, ++stale_records_), encode_keys(stale_));
  stale_.clear();
}

// All that we have at `path` goes, except the very leaf `but`.
base::Result<> Switch::remove_all(const Path& path, const Ours& ours, const Leaf* but) {
  if (ours.leaf && (!but || *but != *ours.leaf)) {
    remove(*ours.leaf);
    TRY_DO(write_when_large(kBytesOfChange));
  }
  if (ours.node.version == 0) return {};
  TRY(const Node node, NodeReader(storage_).read(ours.node, path));
  for (int i = 0; i < kFanout; ++i) {
    if (!node.has(i)) continue;
    const Child& child = node.children[static_cast<std::size_t>(i)];
    Ours below;
    if (child.leaf) {
      below.leaf = *child.leaf;
    } else {
      below.node = child.at;
    }
    TRY_DO(remove_all(path.child(i), below, but));
  }
  return {};
}

// Puts what is staged for `hash` (null: nothing) in the place of ours.
base::Result<> Switch::install(const Path& path, const base::Digest* hash, const Ours& ours) {
  if (!hash) return remove_all(path, ours, nullptr);
  TRY(const auto node, staged_node(storage_, path, *hash));
  if (!node) {
    TRY(const auto staged, staged_leaf(storage_, path, *hash));
    if (!staged) {
      return base::fail(base::Errc::DataLoss,
                        fmt::format("a fetched state lacks a part {} levels deep", path.depth));
    }
    const Leaf leaf = staged->leaf();
    TRY_DO(remove_all(path, ours, &leaf));
    add(*staged);
    return write_when_large(staged->key.size() + staged->value.size() + kBytesOfChange);
  }
  Node local;
  if (ours.node.version != 0) {
    TRY(local, NodeReader(storage_).read(ours.node, path));
  }
  std::optional<int> leaf_index;
  if (ours.leaf) leaf_index = nibble(base::sha256(ours.leaf->key), path.depth);
  for (int i = 0; i < kFanout; ++i) {
    const auto index = static_cast<std::size_t>(i);
    Ours below;
    if (local.has(i)) {
      const Child& there = local.children[index];
      if (node->has(i) && there.hash == node->hashes[index]) continue;
      if (there.leaf) {
        below.leaf = *there.leaf;
      } else {
        below.node = there.at;
      }
    } else if (leaf_index == i) {
      below.leaf = ours.leaf;
    }
    TRY_DO(install(path.child(i), node->has(i) ? &node->hashes[index] : nullptr, below));
  }
  return {};
}

base::Result<> Switch::install_all() {
  version_ = meta_.version + 1;
  TRY_DO(tree_.load(meta_.tree));
  if (marker_.target.root != meta_.tree.root) {
    TRY_DO(install({}, &marker_.target.root, {.node = {meta_.tree.version, 0}, .leaf = {}}));
    TRY_DO(write());
  }
  const TreeRef tree = tree_.ref();
  if (tree.root != marker_.target.root)
    return base::fail(base::Errc::DataLoss, "a fetched state is not the one that was certified");
  // The revision lies in the new tree itself.
  Head head;
  TRY(const auto leaf, tree_.find(base::sha256(kHeadKey), kHeadKey));
  if (leaf) {
    TRY(const Row row, read_row(storage_, kHeadKey, leaf->modified));
    TRY(head, decode_head(row.value));
  }
  const Slot slot = marker_.target.slot;
  const LocalMeta meta{.applied = slot,
                       .revision = head.revision,
                       .tree = tree,
                       .stored_slot = slot,
                       .stored_revision = head.revision,
                       .version = version_ + 1,
                       .compacted = head.revision,
                       .history_bytes = 0,
                       .certified = slot,
                       .checkpoints = {{slot, head.revision, tree, version_}}};
  batch_.put(std::string(kLocalMetaKey), encode_meta(meta));
  batch_.remove(std::string(kSwitchKey));
  batch_.delete_ranges.emplace_back(kStagingPrefix, end_of_prefix(kStagingPrefix));
  TRY_DO(write());
  return storage_.flush();
}

}  // namespace

base::Result<> switch_state(Storage& storage, const TransferTarget& target) {
  const Marker marker{Phase::DropHistory, target};
  Storage::Batch batch;
  batch.put(std::string(kSwitchKey), encode_marker(marker));
  TRY_DO(storage.write(batch));
  return Switch(storage, marker).run();
}

base::Result<> resume_switch(Storage& storage) {
  TRY(const auto stored, storage.get(kSwitchKey));
  if (!stored) return {};
  TRY(const Marker marker, decode_marker(*stored));
  return Switch(storage, marker).run();
}

}  // namespace hypermesh::state
