#pragma once

// What differs between two states of an object, field by field: for `hm diff` and for plans.

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "manifest/kinds.hpp"

namespace nexus::manifest {

using Json = nlohmann::json;

struct FieldChange {
  enum class Kind : std::uint8_t { Added, Removed, Changed } kind = Kind::Changed;
  std::string path;  ///< "spec.template.spec.containers[web].image"; elements by their key where
                     ///< they have one.
  Json before, after;
  bool secret = false;  ///< A value that must not be shown.

  /// "~ spec.replicas: 3 -> 5", "+ spec.paused: true"; secrets as "(secret)"; long values cut.
  std::string text() const;
};

/// Changes from `before` to `after` (null: there is no object) in order of paths, without what
/// servers set: status, uid, revisions, times, and annotations of tools that remember what was
/// applied.
std::vector<FieldChange> diff_objects(const KindInfo& kind, const Json& before, const Json& after);

/// The object without what servers set; the form that diffs compare.
Json without_server_fields(const KindInfo& kind, Json object);

}  // namespace nexus::manifest
