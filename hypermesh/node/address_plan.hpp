#pragma once

#include <nexus/address_allocator.hpp>

#include "datapath/addressing.hpp"

namespace hypermesh {

/// Service addresses of the cluster's plan, as Nexus asks for them.
class AddressPlan final : public nexus::AddressAllocator {
 public:
  explicit AddressPlan(const datapath::ClusterPrefixes& cluster) : allocator_(cluster) {}
  base::Result<Pair> allocate() override;
  base::Result<Pair> reserve(const std::string& address) override;
  void release(const std::string& address) override;

 private:
  datapath::ServiceAddressAllocator allocator_;
};

}  // namespace hypermesh
