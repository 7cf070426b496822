#include "state/tree.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <iterator>

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

std::size_t Tree::PathHash::operator()(const Path& path) const {
  std::uint64_t word;
  std::memcpy(&word, path.nibbles.data(), sizeof word);
  return word * 0x9e3779b97f4a7c15 + path.depth;
}

base::Result<> Tree::load(const TreeRef& tree) {
  young_.clear();
  old_.clear();
  changed_.clear();
  removed_.clear();
  stale_.clear();
  young_bytes_ = 0;
  root_ = {};
  root_changed_ = false;
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

base::Result<> Tree::update(std::uint64_t version, std::span<LeafChange> changes) {
  if (changes.empty()) return {};
  version_ = version;
  TRY_DO(update_node(root_, {}, changes));
  root_changed_ = true;
  if (ref_.version != version && ref_.version != 0) stale_.push_back(node_key(ref_.version, {}));
  ref_ = {version, root_.hash()};
  trim();
  return {};
}

void Tree::store(Storage::Batch& batch, std::vector<std::string>& stale) {
  if (root_changed_) batch.put(node_key(version_, {}), encode_node(root_));
  root_changed_ = false;
  for (const Path& path : removed_) {
    if (!changed_.contains(path)) batch.remove(node_key(version_, path));
  }
  removed_.clear();
  for (auto& [path, node] : changed_) {  // in any order: a batch is one change
    batch.put(node_key(version_, path), encode_node(*node));
    keep(path, std::move(node));
  }
  changed_.clear();
  std::ranges::move(stale_, std::back_inserter(stale));
  stale_.clear();
}

base::Result<> Tree::update_node(Node& node, const Path& path, std::span<LeafChange> changes) {
  while (!changes.empty()) {
    const auto group = next_group(changes, path.depth);
    const int index = nibble(group.front().key_hash, path.depth);
    Child* old = node.has(index) ? &node.children[static_cast<std::size_t>(index)] : nullptr;
    TRY(auto child, update_child(old, path.child(index), group));
    if (child) {
      node.set(index, std::move(*child));
    } else {
      node.clear(index);
    }
    changes = changes.subspan(group.size());
  }
  return {};
}

base::Result<std::optional<Child>> Tree::update_child(Child* old, const Path& path,
                                                      std::span<LeafChange> changes) {
  if (old && !old->leaf) {
    TRY(Node* const node, changing(path, old->version));
    TRY_DO(update_node(*node, path, changes));
    const int last = node->present == 0 ? 0 : __builtin_ctz(node->present);
    Child& only = node->children[static_cast<std::size_t>(last)];
    if (node->count() == 0 || (node->count() == 1 && only.leaf)) {
      std::optional<Child> left;
      if (only.leaf) left = std::move(only);
      remove_node(path, old->version);
      return left;
    }
    if (old->version != version_) stale_.push_back(node_key(old->version, path));
    Child child;
    child.hash = node->hash();
    child.version = version_;
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
  return build(path, leaves);
}

Child Tree::build(const Path& path, std::span<LeafChange> leaves) {
  if (leaves.size() == 1) return leaf_child(std::move(*leaves.front().leaf));
  auto node = std::make_unique<Node>();
  while (!leaves.empty()) {
    const auto group = next_group(leaves, path.depth);
    const int index = nibble(group.front().key_hash, path.depth);
    node->set(index, build(path.child(index), group));
    leaves = leaves.subspan(group.size());
  }
  Child child;
  child.hash = node->hash();
  child.version = version_;
  changed_.insert_or_assign(path, std::move(node));
  return child;
}

base::Result<const Node*> Tree::node_at(const Path& path, std::uint64_t version) {
  if (const auto found = changed_.find(path); found != changed_.end()) return found->second.get();
  if (const auto found = young_.find(path); found != young_.end()) return found->second.get();
  if (auto found = old_.extract(path)) return keep(path, std::move(found.mapped()));
  TRY(Node node, read_node(storage_, version, path));
  return keep(path, std::make_unique<Node>(std::move(node)));
}

base::Result<Node*> Tree::changing(const Path& path, std::uint64_t version) {
  if (const auto found = changed_.find(path); found != changed_.end()) return found->second.get();
  auto& place = changed_[path];
  if (auto young = young_.extract(path)) {
    place = std::move(young.mapped());
    young_bytes_ -= place->memory_bytes();
  } else if (auto old = old_.extract(path)) {
    place = std::move(old.mapped());
  } else {
    TRY(Node node, read_node(storage_, version, path));
    place = std::make_unique<Node>(std::move(node));
  }
  return place.get();
}

void Tree::remove_node(const Path& path, std::uint64_t version) {
  changed_.erase(path);
  if (version == version_) {
    removed_.push_back(path);
  } else {
    stale_.push_back(node_key(version, path));
  }
}

const Node* Tree::keep(const Path& path, std::unique_ptr<Node> node) {
  young_bytes_ += node->memory_bytes();
  auto& place = young_[path];
  place = std::move(node);
  return place.get();
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
