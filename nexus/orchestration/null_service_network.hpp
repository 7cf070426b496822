#pragma once

#include <nexus/service_network.hpp>

namespace nexus {

/// Carries nothing: nexusd alone, where DNS answers with the pods themselves.
class NullServiceNetwork final : public ServiceNetwork {
 public:
  base::Task<base::Result<>> apply(std::vector<ServicePort>) override {
    co_return base::Result<>();
  }
};

}  // namespace nexus
