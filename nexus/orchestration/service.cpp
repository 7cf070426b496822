#include "orchestration/service.hpp"

#include "orchestration/json_read.hpp"
#include "orchestration/pod.hpp"

namespace nexus::orchestration {

namespace {

Service::Type read_type(const std::string& type) {
  if (type == "NodePort") return Service::Type::NodePort;
  if (type == "LoadBalancer") return Service::Type::LoadBalancer;
  if (type == "ExternalName") return Service::Type::ExternalName;
  return Service::Type::ClusterIp;
}

constexpr std::int64_t kAffinityDefaultSeconds = 10800;

}  // namespace

Service read_service(const Json& object) {
  Service out;
  out.meta = read_metadata(object);
  const Json& spec = at(object, "spec");
  out.type = read_type(text(spec, "type"));
  out.headless = text(spec, "clusterIP") == "None";
  if (!out.headless) {
    out.addresses = texts(spec, "clusterIPs");
    const std::string first = text(spec, "clusterIP");
    if (out.addresses.empty() && !first.empty()) out.addresses.push_back(first);
  }
  if (find(spec, "selector") != nullptr) {
    out.selector = manifest::LabelSelector::from_labels(text_map(spec, "selector"));
    if (out.selector.matches_everything()) out.selector = manifest::LabelSelector::nothing();
  }
  for (const Json& port : items(spec, "ports")) {
    ServicePortSpec read{.name = text(port, "name"),
                         .protocol = read_protocol(text(port, "protocol", "TCP")),
                         .port = static_cast<std::uint16_t>(number_or(port, "port", 0)),
                         .target = {},
                         .node_port = static_cast<std::uint16_t>(number_or(port, "nodePort", 0))};
    const Json* target = find(port, "targetPort");
    read.target = manifest::IntOrString(read.port);
    if (target != nullptr) {
      if (auto given = manifest::IntOrString::from_json(*target)) read.target = *given;
    }
    out.ports.push_back(std::move(read));
  }
  out.publish_not_ready = flag(spec, "publishNotReadyAddresses");
  if (text(spec, "sessionAffinity") == "ClientIP") {
    const Json& config = at(at(spec, "sessionAffinityConfig"), "clientIP");
    out.affinity_seconds =
        static_cast<std::uint32_t>(number_or(config, "timeoutSeconds", kAffinityDefaultSeconds));
  }
  out.external_name = text(spec, "externalName");
  return out;
}

}  // namespace nexus::orchestration
