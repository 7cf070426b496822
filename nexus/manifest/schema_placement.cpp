// What spreads and attracts pods over nodes. Checked in full, so that a manifest that is accepted
// here is right everywhere.
#include "manifest/schema_types.hpp"

namespace nexus::manifest {

namespace {

constexpr std::string_view kNodeOperators[] = {"In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"};
constexpr Field kNodeRequirementFields[] = {
    text("key", "Name of the label or field.").required().form(Format::LabelKey),
    text("operator", "How its value relates to `values`.").required().one_of(kNodeOperators),
    list("values", Type::String, "Values to compare with."),
};
constinit const ObjectType kNodeRequirement{"io.k8s.api.core.v1.NodeSelectorRequirement",
                                            "One condition on a node.", kNodeRequirementFields};
constexpr Field kNodeTermFields[] = {
    list("matchExpressions", kNodeRequirement, "Conditions on labels; all must hold."),
    list("matchFields", kNodeRequirement, "Conditions on fields; all must hold."),
};
constinit const ObjectType kNodeTerm{"io.k8s.api.core.v1.NodeSelectorTerm",
                                     "Nodes of one description.", kNodeTermFields};
constexpr Field kNodeSelectorFields[] = {
    list("nodeSelectorTerms", kNodeTerm, "Descriptions; one must fit.").required().at_least(1)};
constinit const ObjectType kNodeSelector{"io.k8s.api.core.v1.NodeSelector",
                                         "Nodes that may be used.", kNodeSelectorFields};
constexpr Field kPreferredNodeFields[] = {
    int32("weight", "How much it counts.").required().between(1, 100),
    object("preference", kNodeTerm, "Which nodes.").required(),
};
constinit const ObjectType kPreferredNode{"io.k8s.api.core.v1.PreferredSchedulingTerm",
                                          "Nodes that are liked.", kPreferredNodeFields};
constexpr Field kNodeAffinityFields[] = {
    object("requiredDuringSchedulingIgnoredDuringExecution", kNodeSelector,
           "Nodes that may be used."),
    list("preferredDuringSchedulingIgnoredDuringExecution", kPreferredNode,
         "Nodes that are liked."),
};
constinit const ObjectType kNodeAffinity{"io.k8s.api.core.v1.NodeAffinity", "Which nodes.",
                                         kNodeAffinityFields};

constexpr Field kPodTermFields[] = {
    object("labelSelector", kLabelSelectorType, "Which pods."),
    text("topologyKey", "Label of nodes that says what counts as one place.")
        .required()
        .form(Format::LabelKey),
    list("namespaces", Type::String, "Namespaces of those pods.").form(Format::DnsLabel),
    object("namespaceSelector", kLabelSelectorType, "Namespaces of those pods, by label."),
    list("matchLabelKeys", Type::String, "Labels whose values are taken from the new pod."),
    list("mismatchLabelKeys", Type::String, "Labels whose values must differ from the new pod's."),
};
constinit const ObjectType kPodTerm{"io.k8s.api.core.v1.PodAffinityTerm",
                                    "Pods, and what counts as near.", kPodTermFields};
constexpr Field kWeightedPodTermFields[] = {
    int32("weight", "How much it counts.").required().between(1, 100),
    object("podAffinityTerm", kPodTerm, "Which pods.").required(),
};
constinit const ObjectType kWeightedPodTerm{"io.k8s.api.core.v1.WeightedPodAffinityTerm", "A wish.",
                                            kWeightedPodTermFields};
constexpr Field kPodAffinityFields[] = {
    list("requiredDuringSchedulingIgnoredDuringExecution", kPodTerm, "Must hold."),
    list("preferredDuringSchedulingIgnoredDuringExecution", kWeightedPodTerm, "Should hold."),
};
constinit const ObjectType kPodAffinity{"io.k8s.api.core.v1.PodAffinity", "Pods to be near to.",
                                        kPodAffinityFields};
constinit const ObjectType kPodAntiAffinity{"io.k8s.api.core.v1.PodAntiAffinity",
                                            "Pods to be far from.", kPodAffinityFields};

constexpr Field kAffinityFields[] = {
    object("nodeAffinity", kNodeAffinity, "Which nodes."),
    object("podAffinity", kPodAffinity, "Pods to be near to."),
    object("podAntiAffinity", kPodAntiAffinity, "Pods to be far from."),
};

constexpr std::string_view kTolerationOperators[] = {"Exists", "Equal", "Lt", "Gt"};
constexpr std::string_view kEffects[] = {"", "NoSchedule", "PreferNoSchedule", "NoExecute"};
constexpr Field kTolerationFields[] = {
    text("key", "Key of the taint; all when empty."),
    text("operator", "Equal when not given.").one_of(kTolerationOperators),
    text("value", "Value of the taint."),
    text("effect", "Effect of the taint; all when empty.").one_of(kEffects),
    int64("tolerationSeconds", "How long a NoExecute taint is borne."),
};

constexpr std::string_view kWhenUnsatisfiable[] = {"DoNotSchedule", "ScheduleAnyway"};
constexpr std::string_view kHonorIgnore[] = {"Honor", "Ignore"};
constexpr Field kSpreadFields[] = {
    int32("maxSkew", "Largest difference of pods between places.").required().at_least(1),
    text("topologyKey", "Label of nodes that says what counts as one place.")
        .required()
        .form(Format::LabelKey),
    text("whenUnsatisfiable", "What to do when it cannot hold.")
        .required()
        .one_of(kWhenUnsatisfiable),
    object("labelSelector", kLabelSelectorType, "Which pods are counted."),
    int32("minDomains", "Smallest number of places.").at_least(1),
    list("matchLabelKeys", Type::String, "Labels whose values are taken from the new pod."),
    text("nodeAffinityPolicy", "Whether nodeAffinity counts.").one_of(kHonorIgnore),
    text("nodeTaintsPolicy", "Whether taints count.").one_of(kHonorIgnore),
};

}  // namespace

constinit const ObjectType kAffinity{"io.k8s.api.core.v1.Affinity",
                                     "What attracts and repels pods.", kAffinityFields};
constinit const ObjectType kToleration{"io.k8s.api.core.v1.Toleration",
                                       "A taint of nodes that the pod bears.", kTolerationFields};
constinit const ObjectType kTopologySpreadConstraint{"io.k8s.api.core.v1.TopologySpreadConstraint",
                                                     "How pods are spread over places.",
                                                     kSpreadFields};

}  // namespace nexus::manifest
