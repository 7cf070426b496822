#pragma once

#include <nexus/address_allocator.hpp>

namespace apps {

/// Nothing carries traffic of services here, so there are no addresses for them: their names lead
/// to the pods.
class NoServiceAddresses final : public nexus::AddressAllocator {
 public:
  base::Result<Pair> allocate() override { return Pair{}; }
  base::Result<Pair> reserve(const std::string& address) override {
    return std::unexpected(base::with_hint(
        base::make_error(base::Errc::InvalidArgument,
                         address + " cannot be a service's: this node has no service network"),
        "leave clusterIP out: the service's name leads to its pods"));
  }
  void release(const std::string&) override {}
};

}  // namespace apps
