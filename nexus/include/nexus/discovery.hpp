#pragma once

#include <base/async/task.hpp>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace nexus {

/// Where an instance of a service answers.
struct ServiceInstance {
  std::string service;   ///< "name.namespace"
  std::string instance;  ///< Unique within the service, e.g. the pod's name.
  std::string address;   ///< IPv6 first.
  std::map<std::string, std::uint16_t> ports;
  std::map<std::string, std::string> labels;
  bool healthy = true;
  auto operator<=>(const ServiceInstance&) const = default;
};

struct DiscoveryQuery {
  std::string service;
  std::map<std::string, std::string> labels;  ///< All must match.
  bool healthy_only = true;
};

/// Which instances of which services exist.
///
/// Calls are made on one executor and do not block it. Implementations: ClusterDiscovery (from the
/// cluster's objects), MemoryDiscovery (tests).
class Discovery {
 public:
  virtual ~Discovery() = default;
  /// Kept until it is deregistered or `time_to_live` passes without another call. Errors:
  /// InvalidArgument.
  virtual base::Task<base::Result<>> register_instance(ServiceInstance instance,
                                                       base::Duration time_to_live) = 0;
  /// Errors: NotFound.
  virtual base::Task<base::Result<>> deregister(std::string service, std::string instance) = 0;
  /// Empty when nothing matches: that is an answer, not an error.
  virtual base::Task<base::Result<std::vector<ServiceInstance>>> discover(DiscoveryQuery query) = 0;
  /// `changed` gets a service's name whenever its instances changed. One watcher at a time.
  virtual void watch(std::function<void(const std::string& service)> changed) = 0;
};

}  // namespace nexus
