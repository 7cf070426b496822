#include "orchestration/endpoints.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "manifest/formats.hpp"
#include "orchestration/json_read.hpp"

namespace nexus::orchestration {

namespace {

std::string lower(std::string_view word) {
  std::string out(word);
  for (char& c : out) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return out;
}

bool matches(const Service& service, const EndpointPod& each) {
  const Pod& pod = *each.pod;
  return pod.meta.name_space == service.meta.name_space && !pod.meta.deletion &&
         !each.addresses.empty() && service.selector.matches(pod.meta.labels);
}

Json target_ref(const Pod& pod) {
  return {{"kind", "Pod"},
          {"name", pod.meta.name},
          {"namespace", pod.meta.name_space},
          {"uid", pod.meta.uid}};
}

Json meta_of(const Service& service, std::string name) {
  return {{"name", std::move(name)},
          {"namespace", service.meta.name_space},
          {"uid", service.meta.uid},
          {"creationTimestamp", base::to_rfc3339(service.meta.created)},
          {"labels", {{"kubernetes.io/service-name", service.meta.name}}}};
}

Json port_object(const ServicePortSpec& port, std::uint16_t number) {
  Json json{{"port", number}, {"protocol", std::string(to_text(port.protocol))}};
  if (!port.name.empty()) json["name"] = port.name;
  return json;
}

}  // namespace

std::vector<const EndpointPod*> endpoints_of(const Service& service,
                                             const std::vector<EndpointPod>& pods) {
  std::vector<const EndpointPod*> out;
  for (const EndpointPod& each : pods) {
    if (matches(service, each) && (each.ready || service.publish_not_ready)) out.push_back(&each);
  }
  std::ranges::sort(out, {}, [](const EndpointPod* each) { return each->pod->meta.name; });
  return out;
}

std::optional<std::uint16_t> target_port(const ServicePortSpec& port, const Pod& pod) {
  if (port.target.is_number()) return static_cast<std::uint16_t>(port.target.number());
  for (const Container& container : pod.containers) {
    for (const ContainerPort& each : container.ports) {
      if (each.name == port.target.text() && each.protocol == port.protocol) return each.port;
    }
  }
  return std::nullopt;
}

std::vector<ServicePort> network_ports(const Service& service,
                                       const std::vector<const EndpointPod*>& endpoints) {
  std::vector<ServicePort> out;
  if (service.headless || service.type == Service::Type::ExternalName) return out;
  for (const ServicePortSpec& port : service.ports) {
    for (const std::string& address : service.addresses) {
      const bool v6 = manifest::is_ipv6(address);
      ServicePort entry{
          .service = fmt::format("{}/{}:{}", service.meta.name_space, service.meta.name,
                                 port.name.empty() ? std::to_string(port.port) : port.name),
          .protocol = port.protocol,
          .address = address,
          .port = port.port,
          .node_port = port.node_port,
          .backends = {},
          .affinity_seconds = service.affinity_seconds};
      for (const EndpointPod* each : endpoints) {
        const auto target = target_port(port, *each->pod);
        if (!target) continue;
        for (const std::string& backend : each->addresses) {
          if (manifest::is_ipv6(backend) == v6) entry.backends.push_back({backend, *target});
        }
      }
      out.push_back(std::move(entry));
    }
  }
  return out;
}

std::vector<ServicePort> host_ports(const EndpointPod& pod,
                                    const std::vector<std::string>& node_addresses) {
  std::vector<ServicePort> out;
  if (pod.pod->meta.deletion || pod.pod->host_network) return out;
  for (const Container& container : pod.pod->containers) {
    for (const ContainerPort& port : container.ports) {
      if (port.host_port == 0) continue;
      for (const std::string& address : node_addresses) {
        ServicePort entry{.service = fmt::format("{}/{}:{}", pod.pod->meta.name_space,
                                                 pod.pod->meta.name, port.host_port),
                          .protocol = port.protocol,
                          .address = address,
                          .port = port.host_port,
                          .node_port = 0,
                          .backends = {},
                          .affinity_seconds = 0};
        for (const std::string& backend : pod.addresses) {
          if (manifest::is_ipv6(backend) == manifest::is_ipv6(address)) {
            entry.backends.push_back({backend, port.port});
          }
        }
        if (!entry.backends.empty()) out.push_back(std::move(entry));
      }
    }
  }
  return out;
}

dns::ServiceName dns_name(const Service& service,
                          const std::vector<const EndpointPod*>& endpoints) {
  dns::ServiceName out;
  out.name_space = service.meta.name_space;
  out.name = service.meta.name;
  if (service.type == Service::Type::ExternalName) {
    out.external_name = service.external_name;
    return out;
  }
  out.cluster_addresses = service.addresses;
  for (const ServicePortSpec& port : service.ports) {
    out.ports.push_back({port.name, lower(to_text(port.protocol)), port.port});
  }
  for (const EndpointPod* each : endpoints) {
    dns::EndpointName endpoint;
    const Json& spec = each->pod->spec();
    const bool named =
        text(spec, "subdomain") == service.meta.name && !text(spec, "hostname").empty();
    endpoint.hostname = named ? text(spec, "hostname") : each->pod->meta.name;
    endpoint.addresses = each->addresses;
    for (const ServicePortSpec& port : service.ports) {
      if (const auto number = target_port(port, *each->pod)) {
        endpoint.ports.push_back({port.name, lower(to_text(port.protocol)), *number});
      }
    }
    out.endpoints.push_back(std::move(endpoint));
  }
  return out;
}

Json endpoints_object(const Service& service, const std::vector<EndpointPod>& pods) {
  Json object{{"apiVersion", "v1"},
              {"kind", "Endpoints"},
              {"metadata", meta_of(service, service.meta.name)}};
  Json ready = Json::array(), not_ready = Json::array(), ports = Json::array();
  const Pod* sample = nullptr;
  for (const EndpointPod& each : pods) {
    if (!matches(service, each)) continue;
    sample = each.pod.get();
    Json address{{"ip", each.addresses.front()}, {"targetRef", target_ref(*each.pod)}};
    if (!each.pod->node.empty()) address["nodeName"] = each.pod->node;
    (each.ready || service.publish_not_ready ? ready : not_ready).push_back(std::move(address));
  }
  if (sample == nullptr) return object;
  for (const ServicePortSpec& port : service.ports) {
    if (const auto number = target_port(port, *sample)) ports.push_back(port_object(port, *number));
  }
  Json subset{{"ports", std::move(ports)}};
  if (!ready.empty()) subset["addresses"] = std::move(ready);
  if (!not_ready.empty()) subset["notReadyAddresses"] = std::move(not_ready);
  object["subsets"] = Json::array({std::move(subset)});
  return object;
}

std::vector<Json> endpoint_slices(const Service& service, const std::vector<EndpointPod>& pods) {
  std::vector<Json> out;
  for (const bool v6 : {true, false}) {
    Json endpoints = Json::array(), ports = Json::array();
    const Pod* sample = nullptr;
    for (const EndpointPod& each : pods) {
      if (!matches(service, each)) continue;
      std::vector<std::string> addresses;
      std::ranges::copy_if(
          each.addresses, std::back_inserter(addresses),
          [&](const std::string& address) { return manifest::is_ipv6(address) == v6; });
      if (addresses.empty()) continue;
      sample = each.pod.get();
      const bool ready = each.ready || service.publish_not_ready;
      endpoints.push_back(
          {{"addresses", addresses},
           {"conditions", {{"ready", ready}, {"serving", each.ready}, {"terminating", false}}},
           {"targetRef", target_ref(*each.pod)},
           {"nodeName", each.pod->node}});
    }
    if (sample == nullptr) continue;
    for (const ServicePortSpec& port : service.ports) {
      if (const auto number = target_port(port, *sample))
        ports.push_back(port_object(port, *number));
    }
    out.push_back({{"apiVersion", "discovery.k8s.io/v1"},
                   {"kind", "EndpointSlice"},
                   {"metadata", meta_of(service, fmt::format("{}-{}", service.meta.name,
                                                             v6 ? "ipv6" : "ipv4"))},
                   {"addressType", v6 ? "IPv6" : "IPv4"},
                   {"endpoints", std::move(endpoints)},
                   {"ports", std::move(ports)}});
  }
  return out;
}

}  // namespace nexus::orchestration
