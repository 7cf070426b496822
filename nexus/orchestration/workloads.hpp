#pragma once

// Deployments, replica sets and jobs as planners read them.

#include "manifest/int_or_string.hpp"
#include "orchestration/metadata.hpp"

namespace nexus::orchestration {

inline constexpr std::string_view kTemplateHashLabel = "pod-template-hash";
inline constexpr std::string_view kRevisionAnnotation = "deployment.kubernetes.io/revision";
inline constexpr std::string_view kRevisionHistoryAnnotation =
    "deployment.kubernetes.io/revision-history";
inline constexpr std::string_view kDesiredReplicasAnnotation =
    "deployment.kubernetes.io/desired-replicas";
inline constexpr std::string_view kMaxReplicasAnnotation = "deployment.kubernetes.io/max-replicas";
/// On a ReplicaSet: time at which a rollout to it was complete. A failed rollout goes back to the
/// highest revision that has it.
inline constexpr std::string_view kCompletedAnnotation = "hypermesh.io/completed";
/// On a ReplicaSet: why the rollout to it was rolled back.
inline constexpr std::string_view kRolledBackAnnotation = "hypermesh.io/rolled-back";
/// On a Deployment: "false" keeps a failed rollout as it is.
inline constexpr std::string_view kAutomaticRollbackAnnotation = "hypermesh.io/automatic-rollback";
/// On a Deployment: who wrote the template last; copied to its ReplicaSet.
inline constexpr std::string_view kChangedByAnnotation = "hypermesh.io/changed-by";
/// On a ReplicaSet: resourceVersion of the Deployment that it was made from; finds the audit
/// record.
inline constexpr std::string_view kFromRevisionAnnotation = "hypermesh.io/from-resource-version";

struct Deployment {
  ObjectPtr object;
  Metadata meta;
  std::int32_t replicas = 1;
  manifest::LabelSelector selector;
  bool paused = false;
  bool recreate = false;
  manifest::IntOrString max_surge{std::string("25%")}, max_unavailable{std::string("25%")};
  std::int64_t min_ready_seconds = 0;
  std::int64_t progress_deadline_seconds = 600;
  std::int32_t history_limit = 10;

  const Json& pod_template() const;
  /// In pods. At most one of both is 0.
  std::int32_t surge() const;
  std::int32_t unavailable() const;
};
base::Result<Deployment> read_deployment(ObjectPtr object);

struct ReplicaSet {
  ObjectPtr object;
  Metadata meta;
  std::int32_t replicas = 1;
  manifest::LabelSelector selector;
  std::int64_t min_ready_seconds = 0;

  const Json& pod_template() const;
  /// 0 when it has none.
  std::int64_t revision() const;
};
base::Result<ReplicaSet> read_replica_set(ObjectPtr object);

struct Job {
  ObjectPtr object;
  Metadata meta;
  std::optional<std::int32_t> completions;  ///< Empty: one success ends it (work queue).
  std::int32_t parallelism = 1;
  std::int32_t backoff_limit = 6;
  std::optional<std::int64_t> active_deadline_seconds;
  std::optional<std::int64_t> ttl_seconds;
  bool suspend = false;
  bool restart_on_failure = false;  ///< restartPolicy OnFailure

  const Json& pod_template() const;
};
base::Result<Job> read_job(ObjectPtr object);

/// `pod_template` without the label that tells revisions apart.
Json without_hash(Json pod_template);
/// The label's value: equal templates have equal ones. `collisions` makes another one when the name
/// that it would give is taken by something else.
std::string template_hash(const Json& pod_template, std::int32_t collisions);

}  // namespace nexus::orchestration
