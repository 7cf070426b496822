#include "state/tree.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace hypermesh::state {
namespace {

// The first run of changes that go to one child of a node at `depth`.
std::span<LeafChange> next_group(std::span<LeafChange> changes, std::size_t depth) {
  const int index = nibble(changes.front().key_hash, depth);
  std::size_t count = 1;
  while (count < changes.size() && nibble(changes[count].key_hash, depth) == index) ++count;
  return changes.first(count);
}

Child leaf_child(Leaf leaf) {
  Child child;
  child.hash = leaf.hash;
  child.leaf = std::make_unique<Leaf>(std::move(leaf));
  return child;
}

}  // namespace

struct Tree::Update {
  std::uint64_t version;
  Storage::Batch& batch;
  std::vector<std::string>& stale;

  // The node at `path` was stored under `old`, and is no longer what the tree has there.
  void replaced(std::uint64_t old, const Path& path) const {
    if (old != 0 && old != version) stale.push_back(node_key(old, path));
  }
  void removed(std::uint64_t old, const Path& path) const {
    if (old == version) batch.remove(node_key(old, path));
    replaced(old, path);
  }
};

std::size_t Tree::PathHash::operator()(const Path& path) const {
  std::uint64_t word;
  std::memcpy(&word, path.nibbles.data(), sizeof word);
  return word * 0x9e3779b97f4a7c15 + path.depth;
}

base::Result<> Tree::load(const TreeRef& tree) {
  young_.clear();
  old_.clear();
  young_bytes_ = 0;
  root_ = {};
  if (tree.version != 0) {
    TRY(root_, read_node(storage_, tree.version, {}));
  }
  if (root_.hash() != tree.root)
    return base::fail(base::Errc::DataLoss, "the root of the state's tree is damaged");
  ref_ = tree;
  return {};
}

base::Result<const Leaf*> Tree::find(const base::Digest& key_hash, std::string_view full) {
  const Node* node = &root_;
  Path path;
  while (true) {
    const int index = nibble(key_hash, path.depth);
    if (!node->has(index)) return nullptr;
    const Child& child = node->children[static_cast<std::size_t>(index)];
    if (child.leaf) return child.leaf->key == full ? child.leaf.get() : nullptr;
    path = path.child(index);
    TRY(node, node_at(path, child.version));
  }
}

base::Result<> Tree::update(std::uint64_t version, std::span<LeafChange> changes,
                            Storage::Batch& batch, std::vector<std::string>& stale) {
  if (changes.empty()) return {};
  Update update{version, batch, stale};
  TRY_DO(update_node(update, root_, {}, changes));
  write(update, {}, root_);
  update.replaced(ref_.version, {});
  ref_ = {version, root_.hash()};
  trim();
  return {};
}

base::Result<> Tree::update_node(Update& update, Node& node, const Path& path,
                                 std::span<LeafChange> changes) {
  while (!changes.empty()) {
    const auto group = next_group(changes, path.depth);
    const int index = nibble(group.front().key_hash, path.depth);
    Child* old = node.has(index) ? &node.children[static_cast<std::size_t>(index)] : nullptr;
    TRY(auto child, update_child(update, old, path.child(index), group));
    if (child) {
      node.set(index, std::move(*child));
    } else {
      node.clear(index);
    }
    changes = changes.subspan(group.size());
  }
  return {};
}

base::Result<std::optional<Child>> Tree::update_child(Update& update, Child* old, const Path& path,
                                                      std::span<LeafChange> changes) {
  if (old && !old->leaf) {
    const std::uint64_t old_version = old->version;
    TRY(Node* const node, node_at(path, old_version));
    TRY_DO(update_node(update, *node, path, changes));
    const int last = node->present == 0 ? 0 : __builtin_ctz(node->present);
    Child& only = node->children[static_cast<std::size_t>(last)];
    if (node->count() == 0 || (node->count() == 1 && only.leaf)) {
      std::optional<Child> left;
      if (only.leaf) left = std::move(only);
      update.removed(old_version, path);
      forget(path);
      return left;
    }
    write(update, path, *node);
    update.replaced(old_version, path);
    Child child;
    child.hash = node->hash();
    child.version = update.version;
    return child;
  }
  std::vector<LeafChange> leaves;
  leaves.reserve(changes.size() + 1);
  bool replaced = !old;
  for (LeafChange& change : changes) {
    if (!replaced && change.leaf && change.leaf->key == old->leaf->key) replaced = true;
    if (change.leaf) leaves.push_back(std::move(change));
  }
  if (!replaced) {
    const base::Digest key_hash = base::sha256(old->leaf->key);
    const auto at = std::ranges::lower_bound(changes, key_hash, {}, &LeafChange::key_hash);
    const bool deleted = at != changes.end() && at->key_hash == key_hash;
    if (!deleted) {
      leaves.insert(std::ranges::lower_bound(leaves, key_hash, {}, &LeafChange::key_hash),
                    LeafChange{key_hash, std::move(*old->leaf)});
    }
  }
  if (leaves.empty()) return std::nullopt;
  return build(update, path, leaves);
}

Child Tree::build(Update& update, const Path& path, std::span<LeafChange> leaves) {
  if (leaves.size() == 1) return leaf_child(std::move(*leaves.front().leaf));
  auto node = std::make_unique<Node>();
  while (!leaves.empty()) {
    const auto group = next_group(leaves, path.depth);
    const int index = nibble(group.front().key_hash, path.depth);
    node->set(index, build(update, path.child(index), group));
    leaves = leaves.subspan(group.size());
  }
  write(update, path, *node);
  Child child;
  child.hash = node->hash();
  child.version = update.version;
  keep(path, std::move(node));
  return child;
}

void Tree::write(Update& update, const Path& path, const Node& node) {
  update.batch.put(node_key(update.version, path), encode_node(node));
}

base::Result<Node*> Tree::node_at(const Path& path, std::uint64_t version) {
  if (const auto found = young_.find(path); found != young_.end()) return found->second.get();
  if (auto found = old_.extract(path)) return keep(path, std::move(found.mapped()));
  TRY(Node node, read_node(storage_, version, path));
  return keep(path, std::make_unique<Node>(std::move(node)));
}

Node* Tree::keep(const Path& path, std::unique_ptr<Node> node) {
  young_bytes_ += node->memory_bytes();
  auto& place = young_[path];
  place = std::move(node);
  return place.get();
}

void Tree::forget(const Path& path) {
  young_.erase(path);
  old_.erase(path);
}

void Tree::trim() {
  if (young_bytes_ < cache_bytes_max_ / 2) return;
  old_ = std::move(young_);
  young_.clear();
  young_bytes_ = 0;
}

base::Result<Node> read_node(const Reader& storage, std::uint64_t version, const Path& path) {
  TRY(const auto bytes, storage.get(node_key(version, path)));
  if (!bytes) {
    return base::fail(base::Errc::DataLoss,
                      fmt::format("the state's tree lacks a node {} levels deep", path.depth));
  }
  return decode_node(*bytes);
}

}  // namespace hypermesh::state
