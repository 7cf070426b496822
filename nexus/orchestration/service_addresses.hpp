#pragma once

// Gives services their addresses: cluster addresses of both families and node ports.

#include <map>
#include <nexus/address_allocator.hpp>
#include <set>

#include "objects/object.hpp"

namespace nexus::orchestration {

inline constexpr std::uint16_t kNodePortMin = 30000, kNodePortMax = 32767;

/// What is in use, and by whom. Every service is told by `observe` before the first `assign`, and
/// again whenever it changes; then two services never share an address.
class ServiceAddresses {
 public:
  /// `allocator` is borrowed.
  explicit ServiceAddresses(AddressAllocator& allocator) : allocator_(allocator) {}

  /// Fills in what `service` needs and does not name: clusterIP, clusterIPs, ipFamilies,
  /// ipFamilyPolicy, nodePort. Values of `previous`, the stored object or null, are kept. The
  /// service holds them from now on, for the write that follows: call `settle` when that has ended,
  /// also when there is none because this failed. Errors: InvalidArgument (an address outside the
  /// range, a port that is taken), ResourceExhausted.
  base::Result<> assign(Json& service, const Json* previous);
  /// One `assign` to the service "namespace/name" is over. `stored` is the service as it is now,
  /// null when there is none: with the last write under way, what it does not name is free.
  void settle(const ObjectRef& ref, const Json* stored);
  /// As above, but the write goes on unseen: `observe` tells what comes of it.
  void lose_sight(const ObjectRef& ref);
  /// Whether `assign` would change it.
  static bool is_complete(const Json& service);

  /// A service as stored.
  void observe(const Json& service);
  /// It is gone; its addresses are free.
  void forget(const Json& service);

 private:
  struct Held {
    std::set<std::string> addresses;
    std::set<std::uint16_t> ports;
  };
  struct Taken {
    std::string owner;
    AddressAllocator::Pair pair;
  };
  base::Result<> assign_addresses(Json& service, const std::string& owner);
  base::Result<> assign_ports(Json& service, const std::string& owner);
  base::Result<> take(const std::string& address, const std::string& owner);
  void hold(const AddressAllocator::Pair& pair, const std::string& owner);
  bool port_taken(std::uint16_t port, const std::string& owner) const;
  void release(const std::string& owner, const Held& keep);

  AddressAllocator& allocator_;
  std::map<std::string, Held> held_;    // by "namespace/name"
  std::map<std::string, Taken> taken_;  // by address
  std::map<std::uint16_t, std::string> port_owner_;
  std::map<std::string, std::size_t> writes_;  // under way, by owner; nothing of theirs is freed
};

}  // namespace nexus::orchestration
