#pragma once

#include <base/async/task.hpp>
#include <nexus/service_types.hpp>
#include <vector>

namespace nexus {

/// Carries traffic for service addresses to ready pods.
///
/// Implementations: HyperMesh's datapath; NullServiceNetwork (nexusd alone: DNS answers with the
/// pods).
class ServiceNetwork {
 public:
  virtual ~ServiceNetwork() = default;
  /// Makes `ports` the whole table, in one step: no connection sees a half of it. Resumes when the
  /// kernel uses it, so a pod may be stopped once a table without it is in.
  virtual base::Task<base::Result<>> apply(std::vector<ServicePort> ports) = 0;
};

}  // namespace nexus
