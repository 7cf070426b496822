#pragma once

#include <base/async/task_scope.hpp>
#include <set>

#include "orchestration/node_pods.hpp"

namespace nexus::orchestration {

/// Gives pods a node. A pod that is placed on this node starts at once; its place is written with
/// its status. A pod that fits nowhere waits for a change of what there is, not for time to pass.
class PodBinder {
 public:
  PodBinder(const base::Executor& executor, const OrchestratorNeeds& needs, const ObjectView& view,
            const OrchestratorNode& node, NodePods& pods);

  /// Counts what is placed already. Before it nothing is placed.
  void open();
  /// A pod was made or changed.
  void changed(const ObjectPtr& pod);
  void gone(const ObjectPtr& last);
  /// A node was made, changed or removed.
  void nodes_changed();

  /// Await before destruction.
  base::Task<> stop();

 private:
  struct Placed {
    std::string node;
    Requests requests;
  };
  bool exists(const std::string& node) const;
  void account(const Pod& pod, const std::string& node);
  void place(const std::shared_ptr<const Pod>& pod);
  void no_longer_waits(const std::string& uid);
  void count_waiting();
  void retry_waiting();
  std::vector<NodeCapacity> capacities() const;
  void report(const Pod& pod, const base::Error& error);
  base::Task<> write(ObjectWrite write);
  base::Task<> drop(ObjectPtr pod);

  OrchestratorNeeds needs_;
  const ObjectView& view_;
  const OrchestratorNode& node_;
  NodePods& pods_;
  Actor actor_;
  bool open_ = false;
  std::map<std::string, Placed> placed_;      // by uid: counts against its node
  std::map<std::string, ObjectRef> waiting_;  // by uid: fits nowhere
  bool retrying_ = false;
  base::Gauge& waiting_pods_;
  base::TaskScope scope_;
};

}  // namespace nexus::orchestration
