#include "state/transfer_source.hpp"

#include <algorithm>
#include <map>

namespace hypermesh::state {
namespace {

using Item = std::variant<NothingThere, TransferNode, TransferLeaves>;

class Walk {
 public:
  Walk(const Reader& storage, const TreeRef& tree)
      : storage_(storage), reader_(storage), tree_(tree) {}

  base::Result<Item> answer(const TransferItem& asked);
  std::size_t bytes() const { return bytes_; }

 private:
  struct Place {
    const Node* node = nullptr;  // an inner node at the path
    const Leaf* leaf = nullptr;  // or a leaf
  };
  struct LeafAt {
    base::Digest key_hash;
    Leaf leaf;
  };

  base::Result<const Node*> node(const NodeRef& at, const Path& path);
  base::Result<Place> find(const Path& path);
  base::Result<bool> collect(const Node& from, const Path& path, std::vector<LeafAt>& leaves);
  base::Result<TransferLeaf> whole(const Leaf& leaf);
  base::Result<Item> subtree(const std::vector<LeafAt>& leaves, const TransferItem& asked,
                             bool bounded);
  base::Result<Item> one_node(const Node& from, const TransferItem& asked);

  const Reader& storage_;
  NodeReader reader_;
  TreeRef tree_;
  std::map<Path, Node> nodes_;  // those of this request, which often share their way
  std::size_t bytes_ = 0;
};

base::Result<const Node*> Walk::node(const NodeRef& at, const Path& path) {
  if (const auto found = nodes_.find(path); found != nodes_.end()) return &found->second;
  Node read;
  if (at.version != 0) {
    TRY(read, reader_.read(at, path));
  }
  return &nodes_.emplace(path, std::move(read)).first->second;
}

base::Result<Walk::Place> Walk::find(const Path& path) {
  Path at;
  TRY(const Node* inner, node({tree_.version, 0}, at));
  while (at.depth < path.depth) {
    const int index = nibble(path.nibbles, at.depth);
    if (!inner->has(index)) return Place{};
    const Child& child = inner->children[static_cast<std::size_t>(index)];
    at = at.child(index);
    if (child.leaf) return at.depth == path.depth ? Place{nullptr, child.leaf.get()} : Place{};
    TRY(inner, node(child.at, at));
  }
  return Place{inner, nullptr};
}

// False: there are too many to be answered at once.
base::Result<bool> Walk::collect(const Node& from, const Path& path, std::vector<LeafAt>& leaves) {
  for (int i = 0; i < kFanout; ++i) {
    if (!from.has(i)) continue;
    const Child& child = from.children[static_cast<std::size_t>(i)];
    if (child.leaf) {
      leaves.push_back({base::sha256(child.leaf->key), *child.leaf});
    } else {
      TRY(const Node* const below, node(child.at, path.child(i)));
      TRY(const bool fits, collect(*below, path.child(i), leaves));
      if (!fits) return false;
    }
    if (leaves.size() > kSubtreeLeavesMax) return false;
  }
  return true;
}

base::Result<TransferLeaf> Walk::whole(const Leaf& leaf) {
  TRY(Row row, read_row(storage_, leaf.key, leaf.modified));
  return TransferLeaf{leaf.key, leaf.created, leaf.modified, leaf.lease, std::move(row.value)};
}

// `bounded`: NothingThere when it is too large to be sent at once.
base::Result<Item> Walk::subtree(const std::vector<LeafAt>& leaves, const TransferItem& asked,
                                 bool bounded) {
  TransferLeaves answer;
  std::size_t bytes = 0;
  const auto asker_has = [&](const Leaf& leaf) {
    if (asked.leaf && std::ranges::equal(*asked.leaf, std::span(leaf.hash).first(8))) return true;
    for (std::size_t i = 0; leaves.size() == 1 && i < kFanout; ++i) {
      if ((asked.leaves >> i & 1) != 0 && asked.hints[i] == hint_of(leaf.hash)) return true;
    }
    return false;
  };
  for (const LeafAt& each : leaves) {
    if (asker_has(each.leaf)) {
      answer.leaves.emplace_back(SameAsYours());
      continue;
    }
    TRY(auto leaf, whole(each.leaf));
    bytes += leaf.key.size() + leaf.value.size() + 33;
    if (bounded && bytes > kSubtreeBytesMax) return NothingThere();
    answer.leaves.emplace_back(std::move(leaf));
  }
  bytes_ += bytes;
  return answer;
}

base::Result<Item> Walk::one_node(const Node& from, const TransferItem& asked) {
  TransferNode answer{.present = from.present};
  for (int i = 0; i < kFanout; ++i) {
    if (!from.has(i)) continue;
    const auto index = static_cast<std::size_t>(i);
    const Child& child = from.children[index];
    const bool known = (asked.known >> i & 1) != 0;
    if (known && asked.hints[index] == hint_of(child.hash)) {
      answer.children.emplace_back(SameAsYours());
      continue;
    }
    // Where the asker has a node, a leaf may be all that is left of it, and known.
    const bool asker_looks = known && (asked.leaves >> i & 1) == 0;
    if (child.leaf && !asker_looks && bytes_ < kAnswerBytesMax) {
      TRY(auto leaf, whole(*child.leaf));
      if (leaf.value.size() <= kInlineLeafBytesMax) {
        bytes_ += leaf.key.size() + leaf.value.size() + 32;
        answer.children.emplace_back(std::move(leaf));
        continue;
      }
    }
    bytes_ += child.hash.size();
    answer.children.emplace_back(child.hash);
  }
  return answer;
}

base::Result<Item> Walk::answer(const TransferItem& asked) {
  bytes_ += 8;
  TRY(const Place place, find(asked.path));
  std::vector<LeafAt> leaves;
  if (place.leaf) {
    leaves.push_back({base::sha256(place.leaf->key), *place.leaf});
    return subtree(leaves, asked, false);
  }
  if (!place.node) return NothingThere();
  if (asked.known == 0) {
    TRY(const bool fits, collect(*place.node, asked.path, leaves));
    if (fits) {
      TRY(auto all, subtree(leaves, asked, true));
      if (!std::holds_alternative<NothingThere>(all)) return all;
    }
  }
  return one_node(*place.node, asked);
}

}  // namespace

base::Result<TransferAnswer> answer_transfer(const View& view, const TransferRequest& request) {
  TransferAnswer answer;
  const auto kept = std::ranges::find(view.checkpoints(), request.checkpoint, &Checkpoint::slot);
  if (kept == view.checkpoints().end()) {
    answer.kept = false;
    return answer;
  }
  Walk walk(view.reader(), kept->tree);
  for (const TransferItem& item : request.items) {
    if (walk.bytes() >= kAnswerBytesMax) break;
    TRY(answer.items.emplace_back(), walk.answer(item));
  }
  return answer;
}

}  // namespace hypermesh::state
