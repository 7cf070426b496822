#pragma once

// The pods of this node: one lifecycle each, its effects carried out, its status written.
//
// Nothing here waits for the store before a container starts: which node a pod runs on and what it
// does are written afterwards. A crash in between is harmless, for the driver knows what runs.

#include <base/async/task_scope.hpp>
#include <deque>
#include <memory>
#include <set>
#include <unordered_map>

#include "orchestration/network_publisher.hpp"
#include "orchestration/pod_calls.hpp"

namespace nexus::orchestration {

/// Pods that have finished and whose logs, volumes and addresses are still there. A node has a few
/// hundred addresses; of more pods than this the oldest keep their status only.
inline constexpr std::size_t kFinishedKeptMax = 64;

class NodePods {
 public:
  /// `view`, `node` and `publisher` are borrowed.
  NodePods(const base::Executor& executor, const OrchestratorNeeds& needs, const ObjectView& view,
           const OrchestratorNode& node, NetworkPublisher& publisher);
  ~NodePods();

  /// Takes over what the driver has: pods of this node go on where they are, those whose object is
  /// gone are removed. Errors: of the driver (nothing was begun: call again).
  base::Task<base::Result<>> start();
  bool started() const { return started_; }

  /// The object of a pod that runs here, or shall: bound to this node, or placed on it and not
  /// written yet. Before `start` has resumed nothing happens: it reads the objects itself.
  void desired(const ObjectPtr& object);
  /// The pod's object is gone. `last`: as it was.
  void gone(const ObjectPtr& last);
  /// A ConfigMap or Secret was made, changed or removed.
  void config_changed(const ObjectRef& ref);

  /// Null when it is not one of ours.
  const PodLifecycle* find(const std::string& uid) const;
  /// Await before destruction.
  base::Task<> stop();

 private:
  struct Worker;
  using Existing = std::unordered_map<std::string, PodStatus>;

  void step(Worker& worker, PodEvent event);
  void perform(Worker& worker, PodEffect effect);
  void deliver(const std::string& uid, PodEvent event);
  void run(Worker& worker, base::Task<PodEvent> call);
  base::Task<> run_call(std::string uid, base::Task<PodEvent> call);
  base::Task<> run_limits(std::string uid, pod_effect::SetLimits effect);

  void on_driver_event(const DriverEvent& event);
  base::Task<base::Result<Existing>> list();
  std::vector<std::string> uids() const;
  base::Task<> resynchronise();
  void remove_strays(const Existing& left);
  base::Task<> remove_stray(std::string uid);
  void keep_finished(Worker& worker);
  base::Task<> discard(std::string uid);

  void schedule_status(Worker& worker);
  void write_now(Worker& worker);
  base::Task<> write_status(std::string uid);
  void let_go(Worker& worker);
  base::Task<> delete_object(std::string uid);
  base::Task<> delete_unreadable(ObjectRef ref, std::string uid);
  void note_files(Worker& worker);
  void refresh_files(Worker& worker);
  base::Task<> update_files(std::string uid);
  void tell(const Pod& pod, const pod_effect::Tell& effect);
  void drop_if_gone(const std::string& uid);

  OrchestratorNeeds needs_;
  const ObjectView& view_;
  const OrchestratorNode& node_;
  NetworkPublisher& publisher_;
  PodCalls calls_;
  Actor actor_;
  std::unordered_map<std::string, std::unique_ptr<Worker>> workers_;  // by uid
  std::deque<std::string> kept_;  // finished pods that the driver has, by uid; oldest first
  Existing existing_;             // of the driver, not taken over yet
  std::uint64_t changes_ = 0;     // of what the driver has, as far as we know
  bool started_ = false;
  bool stopped_ = false;
  base::Histogram& start_seconds_;
  base::Counter& restarts_;
  base::TaskScope scope_;
};

}  // namespace nexus::orchestration
