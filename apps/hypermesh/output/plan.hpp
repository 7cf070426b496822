#pragma once

// What a command is about to do, shown before it is done.

#include <string>
#include <vector>

#include "output/json_access.hpp"
#include "output/look.hpp"

namespace cli {

struct PlanLine {
  enum class Mark { Add, Change, Replace, Remove, Keep };
  Mark mark = Mark::Keep;
  std::string object;  ///< "deployment/web"
  std::string detail;  ///< "3 × nginx:1.27   100m/64Mi each"
};

struct Plan {
  std::string headline;  ///< "namespace default"
  std::string note;      ///< "from app.yaml: Kubernetes, 3 objects"
  std::vector<PlanLine> lines;

  /// Something is replaced or removed: a person is asked first.
  bool destructive() const;
  /// Nothing but Keep.
  bool changes_nothing() const;
};

/// PLAN  HEADLINE   (NOTE)
///   + OBJECT   DETAIL
/// Marks: + made, ~ changed or replaced (the detail says so), - removed. Objects that stay
/// as they are, are counted and not listed.
std::string render_plan(const Plan& plan, const Look& look);
/// {"apiVersion","kind":"Plan","items":[{"action","object","detail"}]}
Json plan_json(const Plan& plan);

}  // namespace cli
