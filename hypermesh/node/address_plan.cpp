#include "node/address_plan.hpp"

#include <nexus/placement.hpp>

namespace hypermesh {

// What the configuration of Nexus allows, the plan has addresses for.
static_assert(nexus::kNodePodsMax == datapath::kPodIndexMax);

namespace {

nexus::AddressAllocator::Pair text(const datapath::ServiceAddresses& addresses) {
  return {addresses.v6.to_string(), addresses.v4.to_string()};
}

}  // namespace

base::Result<nexus::AddressAllocator::Pair> AddressPlan::allocate() {
  TRY(const auto addresses, allocator_.allocate());
  return text(addresses);
}

base::Result<nexus::AddressAllocator::Pair> AddressPlan::reserve(const std::string& address) {
  TRY(const auto parsed, datapath::IpAddress::parse(address));
  TRY(const auto addresses, allocator_.reserve(parsed));
  return text(addresses);
}

void AddressPlan::release(const std::string& address) {
  if (const auto parsed = datapath::IpAddress::parse(address)) allocator_.release(*parsed);
}

}  // namespace hypermesh
