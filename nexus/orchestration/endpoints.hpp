#pragma once

// Which pods a service leads to, for the service network, for DNS and for people.

#include <memory>

#include "dns/zone.hpp"
#include "orchestration/pod.hpp"
#include "orchestration/service.hpp"

namespace nexus::orchestration {

/// A pod with what is true of it now.
struct EndpointPod {
  std::shared_ptr<const Pod> pod;
  bool ready = false;
  std::vector<std::string> addresses;  ///< Empty: not yet.
};

/// Pods that `service` leads to, in the order of their names. Those that are not ready only when
/// the service asks for them; those that are being deleted never.
std::vector<const EndpointPod*> endpoints_of(const Service& service,
                                             const std::vector<EndpointPod>& pods);

/// Port that `port` of a service is on this pod; empty when the pod has no port of that name.
std::optional<std::uint16_t> target_port(const ServicePortSpec& port, const Pod& pod);

/// What the service network shall do for a service; nothing for a headless one.
std::vector<ServicePort> network_ports(const Service& service,
                                       const std::vector<const EndpointPod*>& endpoints);
/// hostPort of a pod's containers: the node's own addresses lead to the pod while it runs.
std::vector<ServicePort> host_ports(const EndpointPod& pod,
                                    const std::vector<std::string>& node_addresses);

dns::ServiceName dns_name(const Service& service, const std::vector<const EndpointPod*>& endpoints);

/// Objects of kind Endpoints and EndpointSlice (one for each family), as `kubectl get` shows them.
/// Computed when asked for, never stored.
Json endpoints_object(const Service& service, const std::vector<EndpointPod>& pods);
std::vector<Json> endpoint_slices(const Service& service, const std::vector<EndpointPod>& pods);

}  // namespace nexus::orchestration
