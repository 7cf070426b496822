#pragma once

// `hm why`: the most asked question, answered from objects and events. Pure.

#include <base/time.hpp>
#include <optional>
#include <string>
#include <vector>

#include "orchestration/event_log.hpp"
#include "orchestration/object_view.hpp"

namespace nexus::orchestration {

struct WhyAnswer {
  std::string object;   ///< "pod/web-1"
  std::string state;    ///< As in `hm ps`; for a workload one word: "Complete", "Progressing".
  std::string summary;  ///< The answer, one sentence.
  std::vector<std::string> reasons;  ///< What is behind it, most important first.
  std::vector<std::string> hints;    ///< Commands to try.
  std::optional<base::WallTime> since;
};

struct WhyInput {
  const ObjectView* view = nullptr;
  const EventLog* events = nullptr;
  base::WallTime now{};
  /// Last line of the output of the container that crashed, when somebody has read it. Asked for by
  /// `crashed_container`.
  std::string last_line;
};

/// Why the object is as it is: a Pod, Deployment, ReplicaSet, Job, Service or Namespace.
/// Errors: NotFound, Unsupported (a kind that has no state).
base::Result<WhyAnswer> why(const ObjectRef& ref, const WhyInput& input);

/// The pod and container whose previous output explains a crash of `ref`; empty when nothing
/// crashed.
struct CrashedContainer {
  std::string pod, pod_uid, container;
  bool previous = false;  ///< A newer attempt runs already.
};
std::optional<CrashedContainer> crashed_container(const ObjectRef& ref, const ObjectView& view);

/// {object,state,summary,reasons,hints,since}
Json to_json(const WhyAnswer& answer);

}  // namespace nexus::orchestration
