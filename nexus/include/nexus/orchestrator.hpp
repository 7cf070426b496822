#pragma once

#include <base/async/task.hpp>
#include <nexus/workload_state.hpp>
#include <string>

namespace nexus {

/// Keeps workloads as their manifests say, whatever fails: creates, scales, updates in steps that
/// keep a service answering, goes back when an update fails, and removes.
///
/// A call changes what is wanted and returns when that is on disk; the work follows and survives a
/// crash at any step. `user` is who asked, for the audit log. Calls are made on one executor and do
/// not block it. Implementations: ClusterOrchestrator; MemoryOrchestrator (tests).
class Orchestrator {
 public:
  virtual ~Orchestrator() = default;

  /// Makes or replaces the object of `manifest`: one object as JSON in Kubernetes' shape, validated
  /// and with its defaults. Errors: InvalidArgument, Conflict (it names an older resourceVersion),
  /// ResourceExhausted.
  virtual base::Task<base::Result<>> deploy(std::string user, std::string manifest) = 0;
  /// Errors: NotFound, InvalidArgument (below 0), Unsupported (a kind without replicas).
  virtual base::Task<base::Result<>> scale(std::string user, WorkloadId id,
                                           std::int32_t replicas) = 0;
  /// Gives every container of a Deployment's template that has the name `container` (all, when
  /// empty) another image. Errors: NotFound, Unsupported.
  virtual base::Task<base::Result<>> update_image(std::string user, WorkloadId id,
                                                  std::string container, std::string image) = 0;
  /// Puts the template of an earlier revision back; 0: the one before the current.
  /// Errors: NotFound (no such workload or revision), FailedPrecondition (it has that template).
  virtual base::Task<base::Result<>> rollback(std::string user, WorkloadId id,
                                              std::int64_t revision) = 0;
  /// What it owns goes after it. Errors: NotFound.
  virtual base::Task<base::Result<>> remove(std::string user, WorkloadId id) = 0;
  /// Errors: NotFound, Unsupported.
  virtual base::Task<base::Result<WorkloadState>> state(WorkloadId id) = 0;
};

}  // namespace nexus
