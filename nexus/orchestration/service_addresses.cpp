#include "orchestration/service_addresses.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "manifest/formats.hpp"
#include "orchestration/json_read.hpp"
#include "orchestration/service.hpp"

namespace nexus::orchestration {

namespace {

std::string owner_name(const Json& service) {
  const Json& meta = at(service, "metadata");
  return fmt::format("{}/{}", text(meta, "namespace"), text(meta, "name"));
}

std::string owner_name(const ObjectRef& ref) {
  return fmt::format("{}/{}", ref.name_space, ref.name);
}

bool needs_ports(const Service& service) {
  return service.type == Service::Type::NodePort || service.type == Service::Type::LoadBalancer;
}

/// For a cluster that has no addresses for services: names lead to the pods themselves.
base::Result<> make_headless(Json& spec, const Service& service) {
  if (needs_ports(service)) {
    return std::unexpected(base::with_hint(
        base::make_error(base::Errc::Unsupported,
                         fmt::format("spec.type {} needs addresses of services, and this cluster "
                                     "has none",
                                     text(spec, "type"))),
        "use type ClusterIP: the service's name leads to its pods"));
  }
  spec["clusterIP"] = "None";
  spec["clusterIPs"] = Json::array({"None"});
  if (find(spec, "ipFamilies") == nullptr) spec["ipFamilies"] = Json::array({"IPv6", "IPv4"});
  if (find(spec, "ipFamilyPolicy") == nullptr) spec["ipFamilyPolicy"] = "PreferDualStack";
  return {};
}

/// What the author leaves out stays as it was.
void keep(Json& spec, const Json& previous) {
  if (find(spec, "clusterIP") == nullptr && find(spec, "clusterIPs") == nullptr) {
    for (const char* key : {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"}) {
      if (const Json* value = find(previous, key); value != nullptr && find(spec, key) == nullptr)
        spec[key] = *value;
    }
  }
  if (!spec.contains("ports") || !spec["ports"].is_array()) return;
  for (Json& port : spec["ports"]) {
    if (number_or(port, "nodePort", 0) != 0) continue;
    for (const Json& before : items(previous, "ports")) {
      const bool same = number_or(before, "port", 0) == number_or(port, "port", -1) &&
                        text(before, "protocol", "TCP") == text(port, "protocol", "TCP");
      if (same && number_or(before, "nodePort", 0) != 0) port["nodePort"] = before["nodePort"];
    }
  }
}

}  // namespace

bool ServiceAddresses::is_complete(const Json& json) {
  const Service service = read_service(json);
  if (service.type == Service::Type::ExternalName) return true;
  if (!service.headless && service.addresses.empty()) return false;
  return !needs_ports(service) ||
         std::ranges::all_of(service.ports,
                             [](const ServicePortSpec& port) { return port.node_port != 0; });
}

base::Result<> ServiceAddresses::assign(Json& service, const Json* previous) {
  const std::string owner = owner_name(service);
  ++writes_[owner];
  Json& spec = service["spec"];
  const Service::Type type = read_service(service).type;
  if (type == Service::Type::ExternalName) {
    for (const char* key : {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"})
      spec.erase(key);
    return {};
  }
  if (previous != nullptr) keep(spec, at(*previous, "spec"));
  if (type == Service::Type::ClusterIp && spec.contains("ports") && spec["ports"].is_array()) {
    for (Json& port : spec["ports"]) port.erase("nodePort");
  }
  TRY_DO(assign_addresses(service, owner));
  return assign_ports(service, owner);
}

base::Result<> ServiceAddresses::assign_addresses(Json& service, const std::string& owner) {
  Json& spec = service["spec"];
  const Service read = read_service(service);
  if (read.headless) {
    spec["clusterIPs"] = Json::array({"None"});
  } else if (read.addresses.empty()) {
    const auto held = held_.find(owner);
    if (held == held_.end() || held->second.addresses.empty()) {
      TRY(const AddressAllocator::Pair pair, allocator_.allocate());
      if (pair == AddressAllocator::Pair{}) return make_headless(spec, read);
      hold(pair, owner);
    }
    std::vector<std::string> addresses(held_[owner].addresses.begin(),
                                       held_[owner].addresses.end());
    std::ranges::sort(addresses, std::greater(), manifest::is_ipv6);
    const auto families = texts(spec, "ipFamilies");
    const bool single = text(spec, "ipFamilyPolicy") == "SingleStack" || families.size() == 1;
    if (single) {
      const bool v6 = families.empty() || families.front() == "IPv6";
      std::erase_if(addresses,
                    [&](const std::string& address) { return manifest::is_ipv6(address) != v6; });
    } else if (families.size() == 2 && families.front() == "IPv4") {
      std::ranges::reverse(addresses);
    }
    if (addresses.empty()) {
      return base::fail(base::Errc::InvalidArgument,
                        "spec.ipFamilies names a family that the cluster has no addresses of");
    }
    spec["clusterIP"] = addresses.front();
    spec["clusterIPs"] = addresses;
  } else {
    for (const std::string& address : read.addresses) TRY_DO(take(address, owner));
    spec["clusterIP"] = read.addresses.front();
    spec["clusterIPs"] = read.addresses;
  }
  Json families = Json::array();
  for (const std::string& address : read_service(service).addresses) {
    families.push_back(manifest::is_ipv6(address) ? "IPv6" : "IPv4");
  }
  if (families.empty()) families = Json::array({"IPv6", "IPv4"});
  if (find(spec, "ipFamilyPolicy") == nullptr) {
    spec["ipFamilyPolicy"] = families.size() > 1 ? "PreferDualStack" : "SingleStack";
  }
  spec["ipFamilies"] = std::move(families);
  return {};
}

/// Both addresses of the pair are the owner's, whether it names them or not.
void ServiceAddresses::hold(const AddressAllocator::Pair& pair, const std::string& owner) {
  for (const std::string& address : {pair.v6, pair.v4}) {
    if (address.empty()) continue;
    held_[owner].addresses.insert(address);
    taken_[address] = {owner, pair};
  }
}

base::Result<> ServiceAddresses::take(const std::string& address, const std::string& owner) {
  const auto taken = taken_.find(address);
  if (taken != taken_.end()) {
    if (taken->second.owner == owner) return {};
    return base::fail(
        base::Errc::InvalidArgument,
        fmt::format("spec.clusterIP {} belongs to service {}", address, taken->second.owner));
  }
  auto pair = allocator_.reserve(address);
  if (!pair) {
    base::Error error = std::move(pair).error();
    if (error.code == base::Errc::AlreadyExists) error.code = base::Errc::InvalidArgument;
    return std::unexpected(base::wrap(std::move(error), "spec.clusterIP " + address));
  }
  hold(*pair, owner);
  return {};
}

bool ServiceAddresses::port_taken(std::uint16_t port, const std::string& owner) const {
  const auto found = port_owner_.find(port);
  return found != port_owner_.end() && found->second != owner;
}

base::Result<> ServiceAddresses::assign_ports(Json& service, const std::string& owner) {
  const Service read = read_service(service);
  if (!needs_ports(read)) return {};
  std::set<std::uint16_t> mine;
  for (const ServicePortSpec& port : read.ports) {
    if (port.node_port == 0) continue;
    if (port_taken(port.node_port, owner)) {
      return base::fail(base::Errc::InvalidArgument,
                        fmt::format("nodePort {} belongs to service {}", port.node_port,
                                    port_owner_.at(port.node_port)));
    }
    mine.insert(port.node_port);
  }
  std::uint16_t next = kNodePortMin;
  for (Json& port : service["spec"]["ports"]) {
    if (number_or(port, "nodePort", 0) != 0) continue;
    while (next <= kNodePortMax && (port_owner_.contains(next) || mine.contains(next))) ++next;
    if (next > kNodePortMax) {
      return base::fail(
          base::Errc::ResourceExhausted,
          fmt::format("all node ports from {} to {} are taken", kNodePortMin, kNodePortMax));
    }
    port["nodePort"] = next;
    mine.insert(next);
  }
  for (const std::uint16_t port : mine) {
    port_owner_[port] = owner;
    held_[owner].ports.insert(port);
  }
  return {};
}

void ServiceAddresses::observe(const Json& service) {
  const std::string owner = owner_name(service);
  const Service read = read_service(service);
  Held keep;
  for (const std::string& address : read.addresses) {
    // An address outside the range is the author's own business: it is served, and never handed
    // out.
    (void)take(address, owner);
    const auto taken = taken_.find(address);
    if (taken == taken_.end() || taken->second.owner != owner) continue;
    for (const std::string& each : {taken->second.pair.v6, taken->second.pair.v4}) {
      if (!each.empty()) keep.addresses.insert(each);
    }
  }
  for (const ServicePortSpec& port : read.ports) {
    if (port.node_port == 0 || port_taken(port.node_port, owner)) continue;
    port_owner_[port.node_port] = owner;
    keep.ports.insert(port.node_port);
    held_[owner].ports.insert(port.node_port);
  }
  // A service without an address yet keeps what was drawn for it.
  if (!is_complete(service)) return;
  release(owner, keep);
}

void ServiceAddresses::forget(const Json& service) {
  release(owner_name(service), {});
}

void ServiceAddresses::settle(const ObjectRef& ref, const Json* stored) {
  lose_sight(ref);
  if (stored != nullptr) return observe(*stored);
  release(owner_name(ref), {});
}

void ServiceAddresses::lose_sight(const ObjectRef& ref) {
  const auto writes = writes_.find(owner_name(ref));
  if (writes != writes_.end() && --writes->second == 0) writes_.erase(writes);
}

void ServiceAddresses::release(const std::string& owner, const Held& keep) {
  const auto held = held_.find(owner);
  if (held == held_.end() || writes_.contains(owner)) return;
  for (const std::string& address : held->second.addresses) {
    if (keep.addresses.contains(address)) continue;
    taken_.erase(address);
    allocator_.release(address);
  }
  for (const std::uint16_t port : held->second.ports) {
    if (!keep.ports.contains(port)) port_owner_.erase(port);
  }
  if (keep.addresses.empty() && keep.ports.empty()) {
    held_.erase(held);
  } else {
    held->second = keep;
  }
}

}  // namespace nexus::orchestration
