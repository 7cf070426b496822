#pragma once

// What the acting parts of orchestration are given. Everything is borrowed and outlives them.

#include <base/log.hpp>
#include <base/metrics.hpp>
#include <base/random.hpp>
#include <base/time.hpp>
#include <functional>
#include <map>
#include <nexus/address_allocator.hpp>
#include <nexus/health.hpp>
#include <nexus/placement.hpp>
#include <nexus/service_network.hpp>
#include <nexus/workload_driver.hpp>

#include "dns/zone.hpp"
#include "objects/object_store.hpp"
#include "orchestration/alarms.hpp"
#include "orchestration/event_log.hpp"
#include "orchestration/metadata.hpp"

namespace nexus::orchestration {

struct OrchestratorNeeds {
  ObjectStore& objects;
  WorkloadDriver& driver;
  ServiceNetwork& network;
  Placement& placement;
  Prober& prober;
  AddressAllocator& addresses;  ///< Of services.
  EventLog& events;
  const base::Clock& clock;
  Alarms& alarms;
  base::Rng& rng;
  base::Metrics& metrics;
  base::Log log;
  /// Gets all names of services whenever one changes, endpoints included. May be empty.
  std::function<void(std::vector<dns::ServiceName>)> names{};
};

/// The node that this process runs pods on.
struct OrchestratorNode {
  std::string name;
  std::vector<std::string> addresses;  ///< IPv6 first.
  std::map<std::string, std::string> labels;
  std::uint64_t cpu_millis = 0, memory_bytes = 0;  ///< For pods; placement does not exceed them.
  std::uint64_t pods_max = 110;
  std::string zone = "mesh";  ///< Domain of services.
  std::string version;        ///< Shown in the Node object.
  std::string kernel, architecture = "amd64";
};

inline Now now_of(const base::Clock& clock) {
  return {clock.now(), clock.wall()};
}

}  // namespace nexus::orchestration
