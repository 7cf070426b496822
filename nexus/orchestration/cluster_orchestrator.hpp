#pragma once

#include <nexus/orchestrator.hpp>

#include "orchestration/controllers.hpp"
#include "orchestration/operations.hpp"
#include "orchestration/owned_alarms.hpp"
#include "orchestration/pod_binder.hpp"
#include "orchestration/store_view.hpp"

namespace nexus::orchestration {

/// Orchestration on the cluster's objects: follows them, and has planners, placement, the pods of
/// this node and its network do what follows from each change.
///
/// Everything it knows is in the objects and in the driver. It may be destroyed at any moment (a
/// crash) and made again: it goes on where things are.
class ClusterOrchestrator final : public Orchestrator {
 public:
  ClusterOrchestrator(const base::Executor& executor, OrchestratorNeeds needs,
                      OrchestratorNode node);
  ~ClusterOrchestrator() override;

  /// Makes the namespace "default" and the Node object when there are none, takes over what the
  /// driver runs and begins to work. When the driver does not answer, pods of this node are taken
  /// over as soon as it does; all else works before. Errors: of the object store.
  base::Task<base::Result<>> start();
  /// Ends the work; pods keep running. Await before destruction.
  base::Task<> stop();

  /// The driver has answered and its pods are ours.
  bool ready() const { return pods_.started(); }
  /// Addresses for a service before it is stored: the `allot` of the API server.
  ServiceAddresses& service_addresses() { return services_; }
  /// A write of a service that addresses were assigned to has ended, or was given up.
  void settle_addresses(const ObjectRef& ref, bool ended);
  /// Pods of a namespace that have not finished, with what is true of them now, for Endpoints
  /// objects.
  std::vector<EndpointPod> endpoint_pods(const std::string& name_space) const;
  /// Objects of kind Endpoints and EndpointSlice, computed: of one namespace, or of all.
  std::vector<Json> endpoints(const std::optional<std::string>& name_space) const;
  std::vector<Json> endpoint_slices(const std::optional<std::string>& name_space) const;

  base::Task<base::Result<>> deploy(std::string user, std::string manifest) override;
  base::Task<base::Result<>> scale(std::string user, WorkloadId id, std::int32_t replicas) override;
  base::Task<base::Result<>> update_image(std::string user, WorkloadId id, std::string container,
                                          std::string image) override;
  base::Task<base::Result<>> rollback(std::string user, WorkloadId id,
                                      std::int64_t revision) override;
  base::Task<base::Result<>> remove(std::string user, WorkloadId id) override;
  base::Task<base::Result<WorkloadState>> state(WorkloadId id) override;

 private:
  base::Task<base::Result<>> make_basics();
  base::Task<> follow(Revision after);
  base::Task<> take_over();
  void on_event(const ObjectEvent& event);
  void on_changed(const ObjectPtr& object);
  void on_gone(const ObjectPtr& last);
  /// Something that is no pod was made, changed or removed.
  void tell_users_of(const ObjectRef& ref);
  void resynchronise();
  NodeDescription description() const;
  Actor actor_of(std::string user) const;
  base::Result<ObjectPtr> find(const WorkloadId& id) const;
  base::Task<base::Result<>> replace(std::string user, Json object);
  base::Task<base::Result<>> store(std::string user, ObjectRef ref, Json object);

  OwnedAlarms alarms_;
  OrchestratorNeeds needs_;
  OrchestratorNode node_;
  StoreView view_;
  ServiceAddresses services_;
  Controllers controllers_;
  NetworkPublisher publisher_;
  NodePods pods_;
  PodBinder binder_;
  std::map<ObjectRef, ObjectPtr> known_pods_;  // to notice removals that a broken watch hides
  base::TaskScope scope_;
};

}  // namespace nexus::orchestration
