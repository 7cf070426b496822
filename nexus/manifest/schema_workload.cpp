#include "manifest/schema_types.hpp"

namespace nexus::manifest {

namespace {

constexpr Field spec_field(const ObjectType& type) {
  return object("spec", type, "What is wanted.").required();
}
constexpr Field status_field(const ObjectType& type) {
  return object("status", type, "How it is; set by the server.").server();
}
constexpr Field replicas_field() {
  return int32("replicas", "How many pods.").at_least(0).or_else("1");
}
constexpr Field selector_field() {
  return object("selector", kLabelSelectorType,
                "Which pods are its own; must fit the template's labels.")
      .required()
      .immutable();
}
constexpr Field template_field() {
  return object("template", kPodTemplateSpec, "Pods to be made.").required();
}
constexpr Field min_ready_field() {
  return int32("minReadySeconds", "A pod counts as available after it was ready this long.")
      .at_least(0);
}

// --- Deployment ---

constexpr Field kRollingUpdateFields[] = {
    int_or_string("maxSurge", "Pods above `replicas` in an update; a percentage is rounded up.")
        .or_else(R"("25%")"),
    int_or_string("maxUnavailable",
                  "Pods below `replicas` in an update; a percentage is rounded down.")
        .or_else(R"("25%")"),
};
constinit const ObjectType kRollingUpdate{"io.k8s.api.apps.v1.RollingUpdateDeployment",
                                          "Bounds of a rolling update.", kRollingUpdateFields};
constexpr std::string_view kStrategies[] = {"RollingUpdate", "Recreate"};
constexpr Field kStrategyFields[] = {
    text("type", "RollingUpdate replaces pods little by little, Recreate all at once.")
        .one_of(kStrategies)
        .or_else(R"("RollingUpdate")"),
    object("rollingUpdate", kRollingUpdate, "Only with type RollingUpdate."),
};
constinit const ObjectType kStrategy{"io.k8s.api.apps.v1.DeploymentStrategy",
                                     "How pods are replaced.", kStrategyFields,
                                     /*retain_keys=*/true};
constexpr Field kDeploymentSpecFields[] = {
    replicas_field(),
    selector_field(),
    template_field(),
    object("strategy", kStrategy, "How pods are replaced when the template changes.").or_else("{}"),
    min_ready_field(),
    int32("revisionHistoryLimit", "Old ReplicaSets kept for going back.").at_least(0).or_else("10"),
    flag("paused", "Changes of the template are not rolled out."),
    int32("progressDeadlineSeconds",
          "An update without progress for this long has failed and is rolled back.")
        .at_least(1)
        .or_else("600"),
};
constinit const ObjectType kDeploymentSpec{"io.k8s.api.apps.v1.DeploymentSpec",
                                           "What a Deployment wants.", kDeploymentSpecFields};
constexpr Field kDeploymentStatusFields[] = {
    int64("observedGeneration", "metadata.generation that this is about."),
    int32("replicas", "Pods that exist."),
    int32("updatedReplicas", "Pods of the present template."),
    int32("readyReplicas", "Pods that are ready."),
    int32("availableReplicas", "Pods that have been ready for minReadySeconds."),
    int32("unavailableReplicas", "Pods that are missing for `replicas`."),
    int32("terminatingReplicas", "Pods that are ending."),
    list("conditions", kCondition, "Available, Progressing, ReplicaFailure.").keyed("type"),
    int32("collisionCount", "Names of ReplicaSets that were taken."),
};
constinit const ObjectType kDeploymentStatus{"io.k8s.api.apps.v1.DeploymentStatus",
                                             "How a Deployment is.", kDeploymentStatusFields};
constexpr Field kDeploymentFields[] = {api_version_field(), kind_field(), metadata_field(),
                                       spec_field(kDeploymentSpec),
                                       status_field(kDeploymentStatus)};

// --- ReplicaSet ---

constexpr Field kReplicaSetSpecFields[] = {replicas_field(), selector_field(), template_field(),
                                           min_ready_field()};
constinit const ObjectType kReplicaSetSpec{"io.k8s.api.apps.v1.ReplicaSetSpec",
                                           "What a ReplicaSet wants.", kReplicaSetSpecFields};
constexpr Field kReplicaSetStatusFields[] = {
    int64("observedGeneration", "metadata.generation that this is about."),
    int32("replicas", "Pods that exist."),
    int32("fullyLabeledReplicas", "Pods with all labels of the template."),
    int32("readyReplicas", "Pods that are ready."),
    int32("availableReplicas", "Pods that have been ready for minReadySeconds."),
    int32("terminatingReplicas", "Pods that are ending."),
    list("conditions", kCondition, "ReplicaFailure.").keyed("type"),
};
constinit const ObjectType kReplicaSetStatus{"io.k8s.api.apps.v1.ReplicaSetStatus",
                                             "How a ReplicaSet is.", kReplicaSetStatusFields};
constexpr Field kReplicaSetFields[] = {api_version_field(), kind_field(), metadata_field(),
                                       spec_field(kReplicaSetSpec),
                                       status_field(kReplicaSetStatus)};

// --- Job ---

constexpr std::string_view kCompletionModes[] = {"NonIndexed"};
constexpr std::string_view kUnservedModes[] = {"Indexed"};
constexpr std::string_view kReplacement[] = {"TerminatingOrFailed", "Failed"};
constexpr Field kJobSpecFields[] = {
    int32("completions", "Pods that must succeed; one for all when only parallelism is given.")
        .at_least(0)
        .immutable(),
    int32("parallelism", "Pods that run at once.").at_least(0).or_else("1"),
    int32("backoffLimit", "Failed pods before the Job has failed.").at_least(0).or_else("6"),
    int64("activeDeadlineSeconds", "The Job has failed after this time.").between(1, 2147483647),
    int32("ttlSecondsAfterFinished", "It is deleted this long after its end.").at_least(0),
    flag("suspend", "No pods run.").or_else("false"),
    object("template", kPodTemplateSpec, "Pods to be made.").required().immutable(),
    text("completionMode", "NonIndexed: all pods are the same.")
        .one_of(kCompletionModes)
        .but_not(kUnservedModes, "make one Job for each index")
        .or_else(R"("NonIndexed")")
        .immutable(),
    text("podReplacementPolicy", "Whether an ending pod is replaced before it has ended.")
        .one_of(kReplacement)
        .no_effect("a pod is replaced once it has ended"),
    object("selector", kLabelSelectorType, "Which pods are its own.")
        .refused("remove it: the Job knows its pods"),
    flag("manualSelector", "Whether selector is given.")
        .refused("remove it: the Job knows its pods", "false"),
    int32("backoffLimitPerIndex", "Failed pods of one index.").refused("set backoffLimit"),
    int32("maxFailedIndexes", "Indexes that may fail.").refused("set backoffLimit"),
    any("podFailurePolicy", "What a failure means.").refused("set backoffLimit"),
    any("successPolicy", "When it has succeeded.").refused("set completions"),
    text("managedBy", "Which controller runs it.")
        .refused("remove it", R"("kubernetes.io/job-controller")"),
};
constinit const ObjectType kJobSpec{"io.k8s.api.batch.v1.JobSpec", "What a Job wants.",
                                    kJobSpecFields};
constexpr Field kJobStatusFields[] = {
    time("startTime", "When it began."),
    time("completionTime", "When it succeeded."),
    int32("active", "Pods that run."),
    int32("ready", "Pods that are ready."),
    int32("succeeded", "Pods that ended with 0."),
    int32("failed", "Pods that failed."),
    int32("terminating", "Pods that are ending."),
    list("conditions", kCondition, "Complete, Failed, Suspended.").keyed("type"),
    any("uncountedTerminatedPods", "Pods that are not counted yet."),
};
constinit const ObjectType kJobStatus{"io.k8s.api.batch.v1.JobStatus", "How a Job is.",
                                      kJobStatusFields};
constexpr Field kJobFields[] = {api_version_field(), kind_field(), metadata_field(),
                                spec_field(kJobSpec), status_field(kJobStatus)};

}  // namespace

constinit const ObjectType kDeployment{
    "io.k8s.api.apps.v1.Deployment",
    "Keeps a number of equal pods running and replaces them when they change.", kDeploymentFields};
constinit const ObjectType kReplicaSet{
    "io.k8s.api.apps.v1.ReplicaSet",
    "Keeps a number of equal pods running; usually made by a Deployment.", kReplicaSetFields};
constinit const ObjectType kJob{"io.k8s.api.batch.v1.Job",
                                "Runs pods until enough of them have succeeded.", kJobFields};

}  // namespace nexus::manifest
