#include "manifest/position_tree.hpp"

#include <algorithm>

namespace nexus::manifest {

namespace {

const PositionTree* step_down(const PositionTree& tree, const FieldPath::Step& step) {
  return step.is_index ? tree.item(step.index) : tree.member(step.key);
}

}  // namespace

const PositionTree* PositionTree::member(std::string_view name) const {
  const auto found = std::ranges::find(members, name, &PositionTree::name);
  return found == members.end() ? nullptr : &*found;
}

const PositionTree* PositionTree::item(std::size_t index) const {
  return index < items.size() ? &items[index] : nullptr;
}

const PositionTree& PositionTree::nearest(const FieldPath& path) const {
  const PositionTree* at = this;
  for (const FieldPath::Step& step : path.steps()) {
    const PositionTree* next = step_down(*at, step);
    if (!next) break;
    at = next;
  }
  return *at;
}

const PositionTree* PositionTree::find(const FieldPath& path) const {
  const PositionTree* at = this;
  for (const FieldPath::Step& step : path.steps()) {
    at = step_down(*at, step);
    if (!at) return nullptr;
  }
  return at;
}

}  // namespace nexus::manifest
