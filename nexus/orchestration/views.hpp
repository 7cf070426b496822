#pragma once

// What people see of workloads, computed from objects: rows of `hm ps`, history and progress of
// rollouts. Pure, for the API server and the CLI alike.

#include <base/time.hpp>
#include <optional>
#include <string>
#include <vector>

#include "objects/object.hpp"
#include "orchestration/object_view.hpp"

namespace nexus::orchestration {

struct WorkloadName {
  std::string kind, name;  ///< "Deployment", "web"; both empty for a pod that nobody manages.
  bool operator==(const WorkloadName&) const = default;
};
/// What made the pod, as its author named it: the Deployment above its ReplicaSet, the Job.
WorkloadName workload_of(const Json& pod);

struct PodRow {
  std::string name, name_space;
  bool ready = false;  ///< Condition Ready, and not being deleted.
  std::int64_t ready_containers = 0, containers = 0;
  std::string state;    ///< As kubectl shows it: "Running", "CrashLoopBackOff", "Init:0/2".
  std::string message;  ///< Why, when the state is no good one; may be empty.
  std::int64_t restarts = 0;
  std::optional<base::WallTime> last_restart;
  std::string node, ip;
  std::vector<std::string> ips;
  WorkloadName workload;
  std::int32_t pid = 0;  ///< Of the first process of the first container, 0 when none runs.
  std::string image;     ///< Of the first container.
  base::WallTime created{};
};
/// `pid` is not in the object: who runs the pod knows it.
PodRow pod_row(const Json& pod, std::int32_t pid);
/// {name,namespace,ready,readyContainers,containers,state,message,restarts,lastRestart,node,ip,ips,
/// workload,workloadKind,pid,image,created}
Json to_json(const PodRow& row);

struct RevisionRow {
  std::int64_t revision = 0;
  std::vector<std::string> images;
  std::string who;                  ///< Who wrote the template; may be empty.
  base::WallTime when{};            ///< When it first was the Deployment's.
  std::uint64_t from_revision = 0;  ///< resourceVersion of that write; 0: not known.
  std::string state;                ///< "current", "superseded", "rolled back"
  std::string detail;               ///< Why it was rolled back.
  std::string replica_set;
};
/// Revisions of a Deployment, newest first.
std::vector<RevisionRow> history(const Json& deployment, const ObjectView& view);

/// How far the rollout of a Deployment is, from its spec and status.
struct Rollout {
  std::int64_t desired = 0, updated = 0, total = 0, ready = 0, available = 0;
  bool observed =
      false;  ///< The controller has seen the latest spec; else all counts are of an older one.
  bool complete = false;
  bool failed = false;       ///< The progress deadline passed, or it was rolled back.
  bool rolled_back = false;  ///< The template is the one before again.
  std::string message;       ///< A sentence about where it stands.
};
Rollout rollout(const Json& deployment);

/// How far a Job is.
struct JobProgress {
  std::int64_t wanted = 0, succeeded = 0, failed = 0, active = 0;
  bool complete = false, gave_up = false;
  std::string message;
};
JobProgress job_progress(const Json& job);

}  // namespace nexus::orchestration
