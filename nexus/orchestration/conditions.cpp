#include "orchestration/conditions.hpp"

#include <algorithm>

#include "orchestration/json_read.hpp"

namespace nexus::orchestration {

void set_condition(Json& conditions, const Condition& condition, base::WallTime now,
                   bool with_update_time, bool touch) {
  if (!conditions.is_array()) conditions = Json::array();
  const auto found = std::ranges::find_if(
      conditions, [&](const Json& each) { return text(each, "type") == condition.type; });
  const std::string stamp = base::to_rfc3339(now);
  Json next{{"type", condition.type}, {"status", condition.status}, {"lastTransitionTime", stamp}};
  if (!condition.reason.empty()) next["reason"] = condition.reason;
  if (!condition.message.empty()) next["message"] = condition.message;
  if (with_update_time) next["lastUpdateTime"] = stamp;
  if (found == conditions.end()) {
    conditions.push_back(std::move(next));
    return;
  }
  if (text(*found, "status") == condition.status) {
    next["lastTransitionTime"] = at(*found, "lastTransitionTime");
    const bool same =
        text(*found, "reason") == condition.reason && text(*found, "message") == condition.message;
    if (with_update_time && same && !touch) next["lastUpdateTime"] = at(*found, "lastUpdateTime");
  }
  *found = std::move(next);
}

}  // namespace nexus::orchestration
