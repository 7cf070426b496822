#include "manifest/schema_types.hpp"

namespace nexus::manifest {

namespace {

constexpr Field kConfigMapFields[] = {
    api_version_field(),
    kind_field(),
    metadata_field(),
    map("data", Type::String, "Text by key; with binaryData at most 1 MiB.")
        .keys(Format::ConfigKey),
    map("binaryData", Type::Bytes, "Bytes by key, in base64; no key of data.")
        .keys(Format::ConfigKey),
    flag("immutable", "The data cannot be changed any more."),
};

constexpr Field kSecretFields[] = {
    api_version_field(),
    kind_field(),
    metadata_field(),
    map("data", Type::Bytes, "Bytes by key, in base64; at most 1 MiB.").keys(Format::ConfigKey),
    map("stringData", Type::String, "Text by key; stored in data, over what is there.")
        .keys(Format::ConfigKey),
    text("type", "What it is for, such as Opaque or kubernetes.io/dockerconfigjson.")
        .or_else(R"("Opaque")")
        .immutable(),
    flag("immutable", "The data cannot be changed any more."),
};

constexpr Field kNamespaceSpecFields[] = {
    list("finalizers", Type::String, "Each must be removed before it goes.").merged()};
constinit const ObjectType kNamespaceSpec{"io.k8s.api.core.v1.NamespaceSpec", "How it ends.",
                                          kNamespaceSpecFields};
constexpr Field kNamespaceStatusFields[] = {
    text("phase", "Active or Terminating."),
    list("conditions", kCondition, "What hinders its end.").keyed("type"),
};
constinit const ObjectType kNamespaceStatus{"io.k8s.api.core.v1.NamespaceStatus", "How it is.",
                                            kNamespaceStatusFields};
constexpr Field kNamespaceFields[] = {
    api_version_field(),
    kind_field(),
    metadata_field(),
    object("spec", kNamespaceSpec, "How it ends."),
    object("status", kNamespaceStatus, "How it is; set by the server.").server(),
};

constexpr Field kTaintFields[] = {
    text("key", "Key.").required(),
    text("value", "Value."),
    text("effect", "Effect.").required(),
    time("timeAdded", "When it was added."),
};
constinit const ObjectType kTaint{"io.k8s.api.core.v1.Taint", "What keeps pods away.",
                                  kTaintFields};
constexpr Field kNodeSpecFields[] = {
    flag("unschedulable", "Cordoned: no new pods."),
    text("podCIDR", "First range of its pods' addresses."),
    list("podCIDRs", Type::String, "Ranges of its pods' addresses.").merged(),
    text("providerID", "Name at a cloud provider."),
    list("taints", kTaint, "What keeps pods away.").refused("set spec.unschedulable", "[]"),
    any("configSource", "Not used any more.").refused("remove it"),
    text("externalID", "Not used any more.").refused("remove it"),
};
constinit const ObjectType kNodeSpec{"io.k8s.api.core.v1.NodeSpec", "What a node takes.",
                                     kNodeSpecFields};
constexpr Field kNodeAddressFields[] = {
    text("type", "InternalIP or Hostname.").required(),
    text("address", "Address.").required(),
};
constinit const ObjectType kNodeAddress{"io.k8s.api.core.v1.NodeAddress", "An address.",
                                        kNodeAddressFields};
constexpr Field kNodeInfoFields[] = {
    text("architecture", "Processor."),
    text("bootID", "Which boot."),
    text("containerRuntimeVersion", "Runtime and version."),
    text("kernelVersion", "Version of the kernel."),
    text("kubeProxyVersion", "Version of the datapath."),
    text("kubeletVersion", "Version of this program."),
    text("machineID", "Which machine."),
    text("operatingSystem", "linux."),
    text("osImage", "Distribution."),
    text("systemUUID", "Which hardware."),
    any("swap", "Swap space."),
};
constinit const ObjectType kNodeInfo{"io.k8s.api.core.v1.NodeSystemInfo", "What a node is.",
                                     kNodeInfoFields};
constexpr Field kNodeStatusFields[] = {
    list("addresses", kNodeAddress, "Addresses.").keyed("type"),
    map("allocatable", Type::Quantity, "What pods may use."),
    map("capacity", Type::Quantity, "What there is."),
    list("conditions", kCondition, "Ready and what may be wrong.").keyed("type"),
    object("nodeInfo", kNodeInfo, "What it is."),
    text("phase", "Not used any more."),
    list("images", Type::Any, "Images on it."),
    any("daemonEndpoints", "Ports of its daemons."),
    any("config", "Not used any more."),
    any("features", "What its runtime can do."),
    list("runtimeHandlers", Type::Any, "Ways to run pods."),
    list("volumesAttached", Type::Any, "Volumes on it."),
    list("volumesInUse", Type::Any, "Volumes on it."),
};
constinit const ObjectType kNodeStatus{"io.k8s.api.core.v1.NodeStatus", "How a node is.",
                                       kNodeStatusFields};
constexpr Field kNodeFields[] = {
    api_version_field(),
    kind_field(),
    metadata_field(),
    object("spec", kNodeSpec, "What it takes."),
    object("status", kNodeStatus, "How it is; set by the server.").server(),
};

constexpr Field kEventSourceFields[] = {
    text("component", "Part of the platform."),
    text("host", "Node."),
};
constinit const ObjectType kEventSource{"io.k8s.api.core.v1.EventSource", "Who says so.",
                                        kEventSourceFields};
constexpr Field kEventFields[] = {
    api_version_field(),
    kind_field(),
    metadata_field(),
    object("involvedObject", kObjectReference, "What it is about.").required(),
    text("reason", "What happened, in one word."),
    text("message", "What happened, for people."),
    text("type", "Normal or Warning."),
    int32("count", "How often."),
    time("firstTimestamp", "When first."),
    time("lastTimestamp", "When last."),
    time("eventTime", "When."),
    object("source", kEventSource, "Who says so."),
    text("action", "What was done."),
    object("related", kObjectReference, "What else has to do with it."),
    text("reportingComponent", "Who says so."),
    text("reportingInstance", "Who says so, exactly."),
    any("series", "How it repeats."),
};

}  // namespace

constinit const ObjectType kConfigMap{"io.k8s.api.core.v1.ConfigMap",
                                      "Configuration for pods: text by key.", kConfigMapFields};
constinit const ObjectType kSecret{"io.k8s.api.core.v1.Secret",
                                   "Secrets for pods: bytes by key, encrypted at rest.",
                                   kSecretFields};
constinit const ObjectType kNamespace{"io.k8s.api.core.v1.Namespace", "A room for names.",
                                      kNamespaceFields};
constinit const ObjectType kNode{"io.k8s.api.core.v1.Node", "A machine that runs pods.",
                                 kNodeFields};
constinit const ObjectType kEvent{"io.k8s.api.core.v1.Event",
                                  "Something that happened to an object; read only.", kEventFields};

}  // namespace nexus::manifest
