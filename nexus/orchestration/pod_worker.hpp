#pragma once

#include "orchestration/node_pods.hpp"

namespace nexus::orchestration {

/// One pod of this node.
struct NodePods::Worker {
  Worker(std::string id, ObjectRef object, NodeFacts node)
      : uid(std::move(id)), ref(std::move(object)), life(std::move(node)) {}

  std::string uid;
  ObjectRef ref;
  PodLifecycle life;
  std::optional<Alarms::Id> alarm{};        ///< Of the lifecycle.
  std::optional<Alarms::Id> write_alarm{};  ///< The status is written then.
  bool writing = false;
  bool deleting = false;
  bool object_gone = false;
  bool was_running = false;
  bool kept = false;  ///< Counted among the finished pods that are kept.
  base::MonotonicTime since{};
  std::map<std::string, std::string> files;  ///< Digest of each volume's files as last applied.
  bool files_changed = false;                ///< They are to be looked at,
  bool files_busy = false;                   ///< by the task that does so now.
};

}  // namespace nexus::orchestration
