#include "manifest/schema_types.hpp"

namespace nexus::manifest {

namespace {

constexpr Field kHostAliasFields[] = {
    text("ip", "Address.").required().form(Format::Ip),
    list("hostnames", Type::String, "Names for it.").form(Format::DnsSubdomain),
};
constinit const ObjectType kHostAlias{"io.k8s.api.core.v1.HostAlias", "A line of /etc/hosts.",
                                      kHostAliasFields};

constexpr Field kDnsOptionFields[] = {
    text("name", "Name of the option, such as ndots.").required().form(Format::NotEmpty),
    text("value", "Value of the option."),
};
constinit const ObjectType kDnsOption{"io.k8s.api.core.v1.PodDNSConfigOption",
                                      "An option of the resolver.", kDnsOptionFields};
constexpr Field kDnsConfigFields[] = {
    list("nameservers", Type::String, "Name servers, after those of dnsPolicy.")
        .form(Format::Ip)
        .merged(),
    list("searches", Type::String, "Domains to search, after those of dnsPolicy.").merged(),
    list("options", kDnsOption, "Options; they replace those of dnsPolicy by name.")
        .merged_by("name"),
};
constinit const ObjectType kDnsConfig{"io.k8s.api.core.v1.PodDNSConfig",
                                      "What is added to resolv.conf.", kDnsConfigFields};

constexpr Field kReadinessGateFields[] = {
    text("conditionType", "Condition in the pod's status that must be True.")
        .required()
        .form(Format::LabelKey)};
constinit const ObjectType kReadinessGate{"io.k8s.api.core.v1.PodReadinessGate",
                                          "A further condition of readiness.",
                                          kReadinessGateFields};

constexpr std::string_view kRestartPolicies[] = {"Always", "OnFailure", "Never"};
constexpr std::string_view kDnsPolicies[] = {"ClusterFirst", "ClusterFirstWithHostNet", "Default",
                                             "None"};
constexpr std::string_view kNoAccount = "pods get no credentials of their own";
constexpr std::string_view kNoPriority = "pods have no priorities";
constexpr std::string_view kShareless = "remove it: each container sees its own processes only";

constexpr Field kPodSpecFields[] = {
    list("containers", kContainer, "What runs.").required().at_least(1).keyed("name"),
    list("initContainers", kContainer,
         "What runs before, one after the other; each must end with 0.")
        .keyed("name"),
    list("ephemeralContainers", Type::Any, "Containers for looking inside.").refused("use hm exec"),
    list("volumes", kVolume, "Storage that containers mount.").keyed("name"),
    text("restartPolicy", "When containers are started again.")
        .one_of(kRestartPolicies)
        .or_else(R"("Always")"),
    int64("terminationGracePeriodSeconds", "Time between the stop signal and the end.")
        .between(0, 2147483647)
        .or_else("30"),
    int64("activeDeadlineSeconds", "The pod is ended and has failed after this time.")
        .between(1, 2147483647),
    text("dnsPolicy", "Whose name servers: those of the mesh, those of the node, or none.")
        .one_of(kDnsPolicies)
        .or_else(R"("ClusterFirst")"),
    object("dnsConfig", kDnsConfig, "What is added to resolv.conf."),
    map("nodeSelector", Type::String, "Labels that the node must have.")
        .keys(Format::LabelKey)
        .form(Format::LabelValue),
    text("nodeName", "Node that it runs on; set when it is placed.").form(Format::DnsSubdomain),
    text("serviceAccountName", "Identity of the pod.").no_effect(kNoAccount, R"("default")"),
    text("serviceAccount", "Older name of serviceAccountName.")
        .no_effect(kNoAccount, R"("default")"),
    flag("automountServiceAccountToken", "Whether a token is put into containers.")
        .no_effect(kNoAccount, "false"),
    flag("hostNetwork", "Use the node's network; needs permission."),
    flag("hostPID", "See the node's processes.").refused(kShareless, "false"),
    flag("hostIPC", "Share the node's memory segments.")
        .refused("remove it: a pod has its own", "false"),
    flag("shareProcessNamespace", "Containers see each other's processes.")
        .refused(kShareless, "false"),
    flag("hostUsers",
         "Without a user namespace of its own; needs permission. Root in the pod is root on the "
         "node."),
    object("securityContext", kPodSecurityContext, "User and rights of all containers.")
        .or_else("{}"),
    list("imagePullSecrets", kLocalObjectReference,
         "Secrets of type kubernetes.io/dockerconfigjson for registries.")
        .merged_by("name"),
    text("hostname", "Name of the pod's host; the pod's name when not given.")
        .form(Format::DnsLabel),
    text("subdomain", "Name of a headless Service in whose zone the pod's hostname is a name.")
        .form(Format::DnsLabel),
    flag("setHostnameAsFQDN", "The host's name is the full one.").refused("set hostname", "false"),
    text("hostnameOverride", "Name of the pod's host, without checks.").refused("set hostname"),
    list("hostAliases", kHostAlias, "Lines of /etc/hosts.").merged_by("ip"),
    list("readinessGates", kReadinessGate, "Conditions that must be True beside the probes."),
    flag("enableServiceLinks", "Put the addresses of Services into the environment.")
        .no_effect("use names: SERVICE or SERVICE.NAMESPACE", "false"),
    object("affinity", kAffinity, "What attracts and repels the pod.").no_effect(kOneNode),
    list("tolerations", kToleration, "Taints of nodes that it bears.")
        .no_effect("nodes have no taints"),
    list("topologySpreadConstraints", kTopologySpreadConstraint, "How pods are spread over places.")
        .no_effect(kOneNode)
        .merged_by("topologyKey"),
    text("schedulerName", "Who places it.")
        .or_else(R"("default-scheduler")")
        .no_effect("there is one scheduler", R"("default-scheduler")"),
    text("priorityClassName", "Class of priority.").no_effect(kNoPriority),
    int32("priority", "Priority.").no_effect(kNoPriority, "0"),
    text("preemptionPolicy", "Whether it may displace others.")
        .no_effect(kNoPriority, R"("PreemptLowerPriority")"),
    text("runtimeClassName", "How it is run.").refused("remove it: every pod runs as containers"),
    any("overhead", "What its runtime uses.").refused("remove it: every pod runs as containers"),
    any("os", "Operating system of the containers.")
        .refused("remove it: nodes run Linux", R"({"name":"linux"})"),
    list("schedulingGates", Type::Any, "What must happen before it is placed.")
        .refused("create the pod later", "[]"),
    list("resourceClaims", Type::Any, "Devices of dynamic resource allocation.")
        .refused("devices cannot be claimed"),
    any("resources", "CPU and memory of the pod as a whole.")
        .refused("set resources in each container"),
    any("workloadRef", "Group of pods it is placed with.").refused("create the pods one by one"),
};

constexpr Field kPodTemplateFields[] = {
    object("metadata", kObjectMeta, "Labels and annotations of the pods."),
    object("spec", kPodSpec, "What runs in them.").required(),
};

constexpr Field kPodIpFields[] = {text("ip", "Address.")};
constinit const ObjectType kPodIp{"io.k8s.api.core.v1.PodIP", "An address of a pod.", kPodIpFields};
constexpr Field kStateRunningFields[] = {time("startedAt", "When it started.")};
constinit const ObjectType kStateRunning{"io.k8s.api.core.v1.ContainerStateRunning", "It runs.",
                                         kStateRunningFields};
constexpr Field kStateWaitingFields[] = {text("reason", "Why, in one word."),
                                         text("message", "Why, for people.")};
constinit const ObjectType kStateWaiting{"io.k8s.api.core.v1.ContainerStateWaiting",
                                         "It does not run yet.", kStateWaitingFields};
constexpr Field kStateTerminatedFields[] = {
    int32("exitCode", "Exit code; 128 + signal when killed."),
    int32("signal", "Signal that ended it."),
    text("reason", "Completed, Error or OOMKilled."),
    text("message", "Its last words."),
    time("startedAt", "When it started."),
    time("finishedAt", "When it ended."),
    text("containerID", "Which container."),
};
constinit const ObjectType kStateTerminated{"io.k8s.api.core.v1.ContainerStateTerminated",
                                            "It has ended.", kStateTerminatedFields};
constexpr Field kContainerStateFields[] = {
    object("waiting", kStateWaiting, "It does not run yet."),
    object("running", kStateRunning, "It runs."),
    object("terminated", kStateTerminated, "It has ended."),
};
constinit const ObjectType kContainerState{"io.k8s.api.core.v1.ContainerState", "One of three.",
                                           kContainerStateFields};
constexpr Field kContainerStatusFields[] = {
    text("name", "Name of the container."),
    object("state", kContainerState, "What it does now."),
    object("lastState", kContainerState, "How its last attempt ended."),
    flag("ready", "Its readiness probe succeeds."),
    flag("started", "Its startup probe has succeeded."),
    int32("restartCount", "How often it was started again."),
    text("image", "Image it runs."),
    text("imageID", "Digest of that image."),
    text("containerID", "Which container."),
};
constinit const ObjectType kContainerStatus{"io.k8s.api.core.v1.ContainerStatus",
                                            "How a container is.", kContainerStatusFields};
constexpr Field kPodStatusFields[] = {
    text("phase", "Pending, Running, Succeeded or Failed."),
    list("conditions", kCondition, "PodScheduled, Initialized, ContainersReady, Ready.")
        .keyed("type"),
    text("reason", "Why it is so, in one word."),
    text("message", "Why it is so, for people."),
    text("podIP", "First address."),
    list("podIPs", kPodIp, "All addresses, IPv6 first.").keyed("ip"),
    text("hostIP", "Address of its node."),
    list("hostIPs", kPodIp, "Addresses of its node."),
    text("nominatedNodeName", "Node that is being made free for it."),
    text("qosClass", "Guaranteed, Burstable or BestEffort."),
    time("startTime", "When its node took it."),
    int64("observedGeneration", "metadata.generation that this is about."),
    list("initContainerStatuses", kContainerStatus, "How the init containers are."),
    list("containerStatuses", kContainerStatus, "How the containers are."),
};

constexpr Field kPodFields[] = {
    api_version_field(),
    kind_field(),
    metadata_field(),
    object("spec", kPodSpec, "What runs.").required(),
    object("status", kPodStatus, "How it is; set by the server.").server(),
};

}  // namespace

constinit const ObjectType kPodSpec{"io.k8s.api.core.v1.PodSpec", "Containers that run together.",
                                    kPodSpecFields};
constinit const ObjectType kPodTemplateSpec{"io.k8s.api.core.v1.PodTemplateSpec",
                                            "Pods to be made.", kPodTemplateFields};
constinit const ObjectType kPodStatus{"io.k8s.api.core.v1.PodStatus", "How a pod is.",
                                      kPodStatusFields};
constinit const ObjectType kPod{"io.k8s.api.core.v1.Pod",
                                "Containers that share addresses and volumes, on one node.",
                                kPodFields};

}  // namespace nexus::manifest
