#pragma once

// Tells the service network and DNS which pods services lead to, whenever that changes.

#include <base/async/task_scope.hpp>
#include <base/log.hpp>
#include <base/metrics.hpp>
#include <functional>
#include <map>
#include <nexus/service_network.hpp>
#include <set>

#include "dns/zone.hpp"
#include "objects/object_store.hpp"
#include "orchestration/endpoints.hpp"
#include "orchestration/store_view.hpp"

namespace nexus::orchestration {

class ServicePublisher {
 public:
  /// Pause before a table that the network refused is tried again.
  static constexpr base::Duration kRetry = std::chrono::seconds(1);

  /// Borrowed; they outlive the publisher.
  struct Needs {
    ObjectStore& store;
    ServiceNetwork& network;
    base::Metrics& metrics;
    const base::Clock& clock;
    base::Log log;
    /// Gets the names of all services when one of them changed.
    std::function<void(std::vector<dns::ServiceName>)> set_names;
    std::vector<std::string> node_addresses;
    std::string node;
  };
  ServicePublisher(const base::Executor& executor, Needs needs);

  void start();
  /// Await before destruction.
  base::Task<> stop();

  /// Takes a pod out of every service until it is gone. Resumes once the network uses a table
  /// without it, or after `limit`. Whether connections may have reached it until now.
  base::Task<bool> withdraw(std::string pod_uid, base::Duration limit);
  /// After a network that forgot its table: tells it again.
  void publish_again();

 private:
  struct Known {
    Revision revision = 0;
    EndpointPod pod;
  };
  struct Table {
    std::vector<ServicePort> ports;
    std::vector<dns::ServiceName> names;
    std::set<std::string> endpoint_uids;
  };
  base::Task<> follow();
  base::Task<> publish();
  Table compute();
  const EndpointPod* endpoint_pod(const ObjectPtr& object);
  void mark();

  Needs needs_;
  StoreView view_;
  std::map<std::string, Known> pods_;  // by uid
  std::set<std::string> withdrawn_;    // uids
  std::set<std::string> in_use_;       // uids that the network's table leads to
  std::vector<ServicePort> applied_;
  std::vector<dns::ServiceName> published_;
  bool network_knows_ = false;
  std::uint64_t wanted_ = 0, done_ = 0;  // generations
  base::Event changed_, finished_;
  base::Histogram& discovery_latency_;
  base::TaskScope scope_;
};

}  // namespace nexus::orchestration
