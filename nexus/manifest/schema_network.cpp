#include "manifest/schema_types.hpp"

namespace nexus::manifest {

namespace {

constexpr std::string_view kNoBalancer = "there is no load balancer; use type NodePort";
constexpr Field kServicePortFields[] = {
    text("name", "Name; needed when there are several ports.").form(Format::DnsLabel),
    text("protocol", "Transport.").one_of(kProtocols).or_else(R"("TCP")"),
    int32("port", "Port of the Service.").required().between(1, 65535),
    int_or_string("targetPort", "Port of the pods, by number or name; `port` when not given."),
    int32("nodePort", "Port of the node, with type NodePort; chosen when not given or 0.")
        .between(1, 65535),
    text("appProtocol", "Protocol inside.")
        .form(Format::LabelKey)
        .no_effect("connections are carried as they are"),
};
constinit const ObjectType kServicePort{"io.k8s.api.core.v1.ServicePort", "A port of a Service.",
                                        kServicePortFields};
constexpr Field kClientIpFields[] = {
    int32("timeoutSeconds", "A client keeps its pod for this long.")
        .between(1, 86400)
        .or_else("10800")};
constinit const ObjectType kClientIp{"io.k8s.api.core.v1.ClientIPConfig",
                                     "Affinity by client address.", kClientIpFields};
constexpr Field kAffinityConfigFields[] = {
    object("clientIP", kClientIp, "With sessionAffinity ClientIP.")};
constinit const ObjectType kAffinityConfig{"io.k8s.api.core.v1.SessionAffinityConfig",
                                           "How affinity works.", kAffinityConfigFields};

constexpr std::string_view kServiceTypes[] = {"ClusterIP", "NodePort", "ExternalName"};
constexpr std::string_view kBalancerType[] = {"LoadBalancer"};
constexpr std::string_view kAffinities[] = {"None", "ClientIP"};
constexpr std::string_view kTrafficPolicies[] = {"Cluster", "Local"};
constexpr std::string_view kFamilyPolicies[] = {"SingleStack", "PreferDualStack",
                                                "RequireDualStack"};
constexpr std::string_view kFamilies[] = {"IPv6", "IPv4"};

constexpr Field kServiceSpecFields[] = {
    map("selector", Type::String, "Labels of the pods that answer.")
        .keys(Format::LabelKey)
        .form(Format::LabelValue),
    list("ports", kServicePort, "Ports of the Service.")
        .merged_by("port")
        .distinct("port", "protocol"),
    text("type", "ClusterIP: inside; NodePort: also on the node; ExternalName: another name.")
        .one_of(kServiceTypes)
        .but_not(kBalancerType, kNoBalancer)
        .or_else(R"("ClusterIP")"),
    text("clusterIP",
         "Address; chosen when not given. None: no address, DNS answers with the pods."),
    list("clusterIPs", Type::String, "Addresses, one of each family."),
    text("externalName", "Name that DNS answers with, with type ExternalName.")
        .form(Format::DnsSubdomain),
    text("sessionAffinity", "ClientIP: a client keeps its pod.")
        .one_of(kAffinities)
        .or_else(R"("None")"),
    object("sessionAffinityConfig", kAffinityConfig, "How affinity works."),
    flag("publishNotReadyAddresses", "DNS answers with pods that are not ready too."),
    list("ipFamilies", Type::String, "Families of the addresses.").one_of(kFamilies),
    text("ipFamilyPolicy", "How many families.").one_of(kFamilyPolicies),
    text("internalTrafficPolicy", "Local: only pods of the client's node.")
        .one_of(kTrafficPolicies)
        .no_effect("there is one node", R"("Cluster")"),
    text("externalTrafficPolicy", "Local: only pods of the node that is asked.")
        .one_of(kTrafficPolicies)
        .no_effect("there is one node", R"("Cluster")"),
    text("trafficDistribution", "Which pods are preferred.").no_effect("there is one node"),
    list("externalIPs", Type::String, "Further addresses.").refused("use type NodePort", "[]"),
    text("loadBalancerIP", "Address of a load balancer.").refused(kNoBalancer),
    list("loadBalancerSourceRanges", Type::String, "Who may use a load balancer.")
        .refused(kNoBalancer, "[]"),
    text("loadBalancerClass", "Which load balancer.").refused(kNoBalancer),
    flag("allocateLoadBalancerNodePorts", "Ports of the node for a load balancer.")
        .refused(kNoBalancer),
    int32("healthCheckNodePort", "Port that a load balancer asks.").refused(kNoBalancer, "0"),
};
constinit const ObjectType kServiceSpec{"io.k8s.api.core.v1.ServiceSpec", "What a Service offers.",
                                        kServiceSpecFields};
constexpr Field kServiceStatusFields[] = {
    any("loadBalancer", "Addresses of a load balancer."),
    list("conditions", kCondition, "What is so or not.").keyed("type"),
};
constinit const ObjectType kServiceStatus{"io.k8s.api.core.v1.ServiceStatus", "How a Service is.",
                                          kServiceStatusFields};
constexpr Field kServiceFields[] = {
    api_version_field(),
    kind_field(),
    metadata_field(),
    object("spec", kServiceSpec, "What it offers.").required(),
    object("status", kServiceStatus, "How it is; set by the server.").server(),
};

// --- Endpoints, EndpointSlice: made by the server, read only ---

constexpr Field kEndpointPortFields[] = {
    text("name", "Name of the Service's port."),
    int32("port", "Port of the pods."),
    text("protocol", "Transport.").one_of(kProtocols),
    text("appProtocol", "Protocol inside."),
};
constinit const ObjectType kEndpointPort{"io.k8s.api.core.v1.EndpointPort", "A port of pods.",
                                         kEndpointPortFields};
constexpr Field kEndpointAddressFields[] = {
    text("ip", "Address of the pod."),
    text("hostname", "Name of the pod's host."),
    text("nodeName", "Node of the pod."),
    object("targetRef", kObjectReference, "The pod."),
};
constinit const ObjectType kEndpointAddress{"io.k8s.api.core.v1.EndpointAddress", "A pod.",
                                            kEndpointAddressFields};
constexpr Field kSubsetFields[] = {
    list("addresses", kEndpointAddress, "Pods that are ready."),
    list("notReadyAddresses", kEndpointAddress, "Pods that are not."),
    list("ports", kEndpointPort, "Their ports."),
};
constinit const ObjectType kSubset{"io.k8s.api.core.v1.EndpointSubset", "Pods with the same ports.",
                                   kSubsetFields};
constexpr Field kEndpointsFields[] = {
    api_version_field(), kind_field(), metadata_field(),
    list("subsets", kSubset, "Pods that answer for the Service of the same name.")};

constexpr Field kEndpointConditionsFields[] = {
    flag("ready", "Traffic goes to it."),
    flag("serving", "It could answer."),
    flag("terminating", "It is ending."),
};
constinit const ObjectType kEndpointConditions{"io.k8s.api.discovery.v1.EndpointConditions",
                                               "How an endpoint is.", kEndpointConditionsFields};
constexpr Field kEndpointFields[] = {
    list("addresses", Type::String, "Addresses of the pod."),
    object("conditions", kEndpointConditions, "How it is."),
    text("hostname", "Name of the pod's host."),
    text("nodeName", "Node of the pod."),
    text("zone", "Zone of the node."),
    any("hints", "Which zones should use it."),
    any("deprecatedTopology", "Not used any more."),
    object("targetRef", kObjectReference, "The pod."),
};
constinit const ObjectType kEndpoint{"io.k8s.api.discovery.v1.Endpoint", "A pod.", kEndpointFields};
constexpr Field kEndpointSliceFields[] = {
    api_version_field(),
    kind_field(),
    metadata_field(),
    text("addressType", "IPv6 or IPv4."),
    list("endpoints", kEndpoint, "Pods."),
    list("ports", kEndpointPort, "Their ports."),
};

}  // namespace

constinit const ObjectType kService{
    "io.k8s.api.core.v1.Service", "A name and an address in front of the ready ones of some pods.",
    kServiceFields};
constinit const ObjectType kEndpoints{"io.k8s.api.core.v1.Endpoints",
                                      "The pods behind a Service; read only.", kEndpointsFields};
constinit const ObjectType kEndpointSlice{"io.k8s.api.discovery.v1.EndpointSlice",
                                          "Pods behind a Service, of one family; read only.",
                                          kEndpointSliceFields};

}  // namespace nexus::manifest
