#include "state/transfer_edits.hpp"

#include <algorithm>

namespace hypermesh::state {
namespace {

class Script {
 public:
  explicit Script(bool replace) : replace_(replace) {}

  void keep(std::size_t count) {
    if (count == 0) return;
    end_gap();
    if (!steps_.empty() && steps_.back().kind == EditStep::Kind::Keep) {
      steps_.back().count += static_cast<std::uint32_t>(count);
    } else {
      add(EditStep::Kind::Keep, count);
    }
  }
  void drop() { ++dropped_; }
  void insert() { ++inserted_; }
  std::vector<EditStep> take() && {
    end_gap();
    return std::move(steps_);
  }

 private:
  void add(EditStep::Kind kind, std::size_t count) {
    if (count > 0) steps_.push_back({kind, static_cast<std::uint32_t>(count)});
  }
  void end_gap() {
    if (replace_ && dropped_ == inserted_) {
      add(EditStep::Kind::Replace, dropped_);
    } else {
      add(EditStep::Kind::Drop, dropped_);
      add(EditStep::Kind::Insert, inserted_);
    }
    dropped_ = inserted_ = 0;
  }

  std::vector<EditStep> steps_;
  std::size_t dropped_ = 0, inserted_ = 0;
  bool replace_;
};

}  // namespace

std::vector<EditStep> align(std::span<const HashHint> from, std::span<const HashHint> to,
                            bool replace) {
  Script script(replace);
  std::size_t front = 0;
  const std::size_t shorter = std::min(from.size(), to.size());
  while (front < shorter && from[front] == to[front]) ++front;
  script.keep(front);
  from = from.subspan(front);
  to = to.subspan(front);
  std::size_t back = 0;
  while (back < std::min(from.size(), to.size()) &&
         from[from.size() - 1 - back] == to[to.size() - 1 - back])
    ++back;
  from = from.first(from.size() - back);
  to = to.first(to.size() - back);
  // Longest common subsequence of what is left, by how much of it lies behind each pair of places.
  const std::size_t width = to.size() + 1;
  std::vector<std::uint16_t> common((from.size() + 1) * width);
  for (std::size_t i = from.size(); i-- > 0;) {
    for (std::size_t k = to.size(); k-- > 0;) {
      common[i * width + k] =
          from[i] == to[k] ? static_cast<std::uint16_t>(common[(i + 1) * width + k + 1] + 1)
                           : std::max(common[(i + 1) * width + k], common[i * width + k + 1]);
    }
  }
  std::size_t i = 0, k = 0;
  while (i < from.size() && k < to.size()) {
    if (from[i] == to[k]) {
      script.keep(1);
      ++i;
      ++k;
    } else if (common[(i + 1) * width + k] >= common[i * width + k + 1]) {
      script.drop();
      ++i;
    } else {
      script.insert();
      ++k;
    }
  }
  for (; i < from.size(); ++i) script.drop();
  for (; k < to.size(); ++k) script.insert();
  script.keep(back);
  return std::move(script).take();
}

std::optional<std::vector<MergedLeaf>> merge(const Path& path, std::span<const Leaf> listed,
                                             const LeafEdits& subtree) {
  std::vector<MergedLeaf> leaves;
  const auto keep = [&](std::size_t count) {
    for (const Leaf& leaf : listed.first(count))
      leaves.push_back({base::sha256(leaf.key), leaf.hash, &leaf});
    listed = listed.subspan(count);
  };
  const auto add = [&](TransferLeaf leaf) {
    MergedLeaf merged{base::sha256(leaf.key), leaf.leaf().hash, {}};
    merged.leaf = std::move(leaf);
    leaves.push_back(std::move(merged));
  };
  for (const auto& edit : subtree.edits) {
    if (const auto* kept = std::get_if<KeepYours>(&edit)) {
      if (kept->count > listed.size()) return std::nullopt;
      keep(kept->count);
    } else if (const auto* dropped = std::get_if<DropYours>(&edit)) {
      if (dropped->count > listed.size()) return std::nullopt;
      listed = listed.subspan(dropped->count);
    } else if (const auto* replaced = std::get_if<ReplaceYours>(&edit)) {
      if (listed.empty()) return std::nullopt;
      const Leaf& before = listed.front();
      add({before.key, replaced->created.value_or(before.created), replaced->modified,
           replaced->lease, replaced->value});
      listed = listed.subspan(1);
    } else {
      add(std::get<TransferLeaf>(edit));
    }
  }
  keep(listed.size());
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    if (!path.covers(leaves[i].key_hash) || (i > 0 && leaves[i - 1].key_hash >= leaves[i].key_hash))
      return std::nullopt;
  }
  if (leaves.empty() && path.depth > 0) return std::nullopt;
  return leaves;
}

std::size_t first_group(std::span<const MergedLeaf> leaves, std::size_t depth) {
  const int index = nibble(leaves.front().key_hash, depth);
  std::size_t count = 1;
  while (count < leaves.size() && nibble(leaves[count].key_hash, depth) == index) ++count;
  return count;
}

base::Digest subtree_hash(std::span<const MergedLeaf> leaves, std::size_t depth) {
  if (leaves.size() == 1 && depth > 0) return leaves.front().hash;
  std::array<base::Digest, kFanout> hashes;
  std::size_t children = 0;
  std::uint16_t present = 0;
  while (!leaves.empty()) {
    const std::size_t count = first_group(leaves, depth);
    present = static_cast<std::uint16_t>(present | 1u << nibble(leaves.front().key_hash, depth));
    hashes[children++] = subtree_hash(leaves.first(count), depth + 1);
    leaves = leaves.subspan(count);
  }
  return inner_hash(present, std::span(hashes).first(children));
}

}  // namespace hypermesh::state
