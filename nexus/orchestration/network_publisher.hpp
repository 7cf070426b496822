#pragma once

#include <base/async/task_scope.hpp>
#include <set>

#include "orchestration/endpoints.hpp"
#include "orchestration/needs.hpp"
#include "orchestration/object_view.hpp"

namespace nexus::orchestration {

/// Keeps the service network and DNS at what services and pods are now.
///
/// Changes of one turn of the event loop become one table; one table is applied at a time. A pod
/// that is to be stopped waits in `withdraw` until a table without it is in use.
class NetworkPublisher {
 public:
  /// The pods of a namespace as they are now, on this node and elsewhere.
  using PodSource = std::function<std::vector<EndpointPod>(const std::string& name_space)>;

  NetworkPublisher(const base::Executor& executor, const OrchestratorNeeds& needs,
                   const ObjectView& view, std::vector<std::string> node_addresses);

  /// Publishes everything, and from now on every change. Before it nothing is known of pods that
  /// run already, and nothing must be taken from the network.
  void open(PodSource pods);
  /// A service, or a pod's readiness, address or labels in this namespace changed.
  void changed(const std::string& name_space);
  /// `pod_uid` in `name_space` is not ready any more: calls back when the network does not lead to
  /// it. `was_endpoint`: it did until now.
  void withdraw(const std::string& name_space, const std::string& pod_uid,
                std::function<void(bool was_endpoint)> done);
  /// The network may have forgotten the table.
  void apply_again();

  /// Await before destruction.
  base::Task<> stop();

 private:
  struct Part {
    std::vector<ServicePort> ports;
    std::vector<dns::ServiceName> names;
    std::set<std::string> endpoint_uids;
  };
  struct Withdrawal {
    std::uint64_t table = 0;  ///< May be stopped when this one is in use; 0: not computed yet.
    bool was_endpoint = false;
    std::function<void(bool)> done;
  };

  void schedule();
  base::Task<> publish();
  Part compute(const std::string& name_space) const;
  base::Task<> apply();
  void settle();

  OrchestratorNeeds needs_;
  const ObjectView& view_;
  std::vector<std::string> node_addresses_;
  PodSource pods_;
  std::map<std::string, Part> parts_;  // by namespace
  std::set<std::string> dirty_;
  std::vector<Withdrawal> withdrawals_;
  bool scheduled_ = false;
  bool applying_ = false;
  std::uint64_t table_ = 0;    // number of the latest table
  std::uint64_t applied_ = 0;  // number of the one in use
  std::optional<Alarms::Id> retry_;
  base::Counter& tables_;
  base::Counter& failures_;
  base::TaskScope scope_;
};

}  // namespace nexus::orchestration
