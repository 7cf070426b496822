#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "manifest/problem.hpp"

namespace nexus::manifest {

/// Where each part of a document stands in its text; shaped like the document.
class PositionTree {
 public:
  Position key;  ///< Of the key that names this value; of the value itself in lists and at the top.
  Position value;
  /// How a plain scalar that is not a string was written, such as "yes" or "1.10"; empty for all
  /// else.
  std::string plain;

  const PositionTree* member(std::string_view name) const;
  const PositionTree* item(std::size_t index) const;
  /// As deep as the text goes along `path`: a missing field is reported at what should contain it.
  const PositionTree& nearest(const FieldPath& path) const;
  /// Null unless the whole path is in the text.
  const PositionTree* find(const FieldPath& path) const;

  std::string name;                   ///< Of a member.
  std::vector<PositionTree> members;  ///< In the order of the text.
  std::vector<PositionTree> items;
};

}  // namespace nexus::manifest
