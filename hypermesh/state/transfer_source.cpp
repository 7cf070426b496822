#include "state/transfer_source.hpp"

#include <algorithm>
#include <map>

#include "state/transfer_edits.hpp"

namespace hypermesh::state {
namespace {

using Item = std::variant<NothingThere, TransferNode, LeafEdits>;

class Walk {
 public:
  Walk(const Reader& storage, const TreeRef& tree, Revision asker)
      : storage_(storage), reader_(storage), tree_(tree), asker_(asker) {}

  base::Result<Item> answer(const TransferItem& asked);
  std::size_t bytes() const { return bytes_; }

 private:
  struct Place {
    const Node* node = nullptr;  // an inner node at the path
    const Leaf* leaf = nullptr;  // or a leaf
  };
  base::Result<const Node*> node(const NodeRef& at, const Path& path);
  base::Result<Place> find(const Path& path);
  base::Result<bool> collect(const Node& from, const Path& path, std::vector<Leaf>& leaves);
  base::Result<TransferLeaf> whole(const Leaf& leaf);
  base::Result<std::optional<LeafEdits>> edits(const std::vector<Leaf>& leaves,
                                               const LeavesQuestion& asked, bool exact,
                                               bool bounded);
  base::Result<Item> one_node(const Node& from, const NodeQuestion& asked, bool exact);

  const Reader& storage_;
  NodeReader reader_;
  TreeRef tree_;
  Revision asker_;
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
base::Result<bool> Walk::collect(const Node& from, const Path& path, std::vector<Leaf>& leaves) {
  std::uint64_t count = 0;
  for (const Child& child : from.children) count += child.leaves;
  if (count > kSubtreeLeavesMax) return false;
  for (int i = 0; i < kFanout; ++i) {
    if (!from.has(i)) continue;
    const Child& child = from.children[static_cast<std::size_t>(i)];
    if (child.leaf) {
      leaves.push_back(*child.leaf);
      continue;
    }
    TRY(const Node* const below, node(child.at, path.child(i)));
    TRY_DO(collect(*below, path.child(i), leaves));
  }
  return true;
}

base::Result<TransferLeaf> Walk::whole(const Leaf& leaf) {
  TRY(Row row, read_row(storage_, leaf.key, leaf.modified));
  return TransferLeaf{leaf.key, leaf.created, leaf.modified, leaf.lease, std::move(row.value)};
}

// `bounded`: empty when it is too large to be sent at once.
base::Result<std::optional<LeafEdits>> Walk::edits(const std::vector<Leaf>& leaves,
                                                   const LeavesQuestion& asked, bool exact,
                                                   bool bounded) {
  const std::size_t hint_bytes =
      exact ? LeavesQuestion::kExactHintBytes : LeavesQuestion::kHintBytes;
  std::vector<HashHint> ours;
  for (const Leaf& leaf : leaves) ours.push_back(hint_of(leaf.hash, hint_bytes));
  auto steps = align(asked.hints, ours, !exact);
  if (!steps.empty() && steps.back().kind == EditStep::Kind::Keep) steps.pop_back();
  LeafEdits answer;
  std::size_t bytes = 0, next = 0;
  for (const auto& [kind, count] : steps) {
    if (kind == EditStep::Kind::Keep) {
      answer.edits.emplace_back(KeepYours{count});
      next += count;
      continue;
    }
    if (kind == EditStep::Kind::Drop) {
      answer.edits.emplace_back(DropYours{count});
      continue;
    }
    for (std::uint32_t i = 0; i < count; ++i, ++next) {
      TRY(auto leaf, whole(leaves[next]));
      bytes += leaf.key.size() + leaf.value.size() + 16;
      if (bounded && bytes > kSubtreeBytesMax) return std::optional<LeafEdits>();
      if (kind == EditStep::Kind::Insert) {
        answer.edits.emplace_back(std::move(leaf));
        continue;
      }
      // A key that the asker's revision had already was created for the asker when it was for us.
      ReplaceYours replace{leaf.created, leaf.modified, leaf.lease, std::move(leaf.value)};
      if (space_of(leaf.key) == Space::User && leaf.created <= asker_) replace.created.reset();
      answer.edits.emplace_back(std::move(replace));
    }
  }
  bytes_ += bytes;
  return answer;
}

base::Result<Item> Walk::one_node(const Node& from, const NodeQuestion& asked, bool exact) {
  const std::size_t hint_bytes = exact ? NodeQuestion::kExactHintBytes : NodeQuestion::kHintBytes;
  TransferNode answer{.present = from.present};
  for (int i = 0; i < kFanout; ++i) {
    if (!from.has(i)) continue;
    const auto index = static_cast<std::size_t>(i);
    const Child& child = from.children[index];
    const bool known = (asked.known >> i & 1) != 0;
    if (known && asked.hints[index] == hint_of(child.hash, hint_bytes)) {
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
  if (!place.leaf && !place.node) return NothingThere();
  const auto* node_asked = std::get_if<NodeQuestion>(&asked.asked);
  if (node_asked && place.node) return one_node(*place.node, *node_asked, asked.exact);
  std::vector<Leaf> leaves;
  bool fits = true;
  if (place.leaf) {
    leaves.push_back(*place.leaf);
  } else {
    TRY(fits, collect(*place.node, asked.path, leaves));
  }
  if (fits) {
    const auto& listed = node_asked ? LeavesQuestion() : std::get<LeavesQuestion>(asked.asked);
    TRY(auto all, edits(leaves, listed, asked.exact, place.leaf == nullptr));
    if (all) return *std::move(all);
  }
  return one_node(*place.node, {}, asked.exact);
}

}  // namespace

base::Result<TransferAnswer> answer_transfer(const View& view, const TransferRequest& request) {
  TransferAnswer answer;
  const auto kept = std::ranges::find(view.checkpoints(), request.checkpoint, &Checkpoint::slot);
  if (kept == view.checkpoints().end()) {
    answer.kept = false;
    return answer;
  }
  Walk walk(view.reader(), kept->tree, request.revision);
  for (const TransferItem& item : request.items) {
    if (walk.bytes() >= kAnswerBytesMax) break;
    TRY(answer.items.emplace_back(), walk.answer(item));
  }
  return answer;
}

}  // namespace hypermesh::state
