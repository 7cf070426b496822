#pragma once

#include <nexus/service_types.hpp>

#include "manifest/int_or_string.hpp"
#include "orchestration/metadata.hpp"

namespace nexus::orchestration {

struct ServicePortSpec {
  std::string name;  ///< May be empty when there is one port only.
  Protocol protocol = Protocol::Tcp;
  std::uint16_t port = 0;
  manifest::IntOrString target;  ///< Number, or the name of a container's port.
  std::uint16_t node_port = 0;
};

struct Service {
  enum class Type : std::uint8_t { ClusterIp, NodePort, LoadBalancer, ExternalName };
  Metadata meta;
  Type type = Type::ClusterIp;
  bool headless = false;  ///< clusterIP: None
  std::vector<std::string>
      addresses;  ///< clusterIPs, IPv6 first; empty: headless or not given yet.
  manifest::LabelSelector selector = manifest::LabelSelector::nothing();
  std::vector<ServicePortSpec> ports;
  bool publish_not_ready = false;
  std::uint32_t affinity_seconds = 0;  ///< 0: none
  std::string external_name;
};

Service read_service(const Json& object);

}  // namespace nexus::orchestration
