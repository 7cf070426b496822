#pragma once

#include <base/error.hpp>
#include <string>

namespace nexus {

/// Cluster addresses of services. Calls do not block: what is in use is remembered in memory and
/// told anew by `reserve` after a start.
///
/// Implementations: HyperMesh's address plan; SequentialAddresses (nexusd alone, tests).
class AddressAllocator {
 public:
  struct Pair {
    std::string v6, v4;  ///< Either may be empty: the cluster has no addresses of that family.
    bool operator==(const Pair&) const = default;
  };
  virtual ~AddressAllocator() = default;
  /// Errors: ResourceExhausted.
  virtual base::Result<Pair> allocate() = 0;
  /// Takes the pair that `address` belongs to. Errors: InvalidArgument (outside the range),
  /// AlreadyExists.
  virtual base::Result<Pair> reserve(const std::string& address) = 0;
  /// Nothing happens when it is not in use.
  virtual void release(const std::string& address) = 0;
};

}  // namespace nexus
