#pragma once

#include <nexus/discovery.hpp>

namespace nexus {

/// Instances in memory. Time to live is counted by the clock handed in.
class MemoryDiscovery final : public Discovery {
 public:
  /// `clock` is borrowed.
  explicit MemoryDiscovery(const base::Clock& clock) : clock_(clock) {}

  base::Task<base::Result<>> register_instance(ServiceInstance instance,
                                               base::Duration time_to_live) override {
    if (instance.service.empty() || instance.instance.empty()) {
      co_return base::fail(base::Errc::InvalidArgument, "an instance needs a service and a name");
    }
    const std::string service = instance.service;
    std::pair key(service, instance.instance);
    entries_.insert_or_assign(std::move(key),
                              Entry{std::move(instance), clock_.now() + time_to_live});
    if (changed_) changed_(service);
    co_return base::Result<>();
  }
  base::Task<base::Result<>> deregister(std::string service, std::string instance) override {
    if (entries_.erase({service, instance}) == 0) {
      co_return base::fail(base::Errc::NotFound, service + " has no instance " + instance);
    }
    if (changed_) changed_(service);
    co_return base::Result<>();
  }
  base::Task<base::Result<std::vector<ServiceInstance>>> discover(DiscoveryQuery query) override {
    std::vector<ServiceInstance> found;
    for (const auto& [key, entry] : entries_) {
      const ServiceInstance& instance = entry.instance;
      if (instance.service != query.service || entry.until <= clock_.now()) continue;
      if (query.healthy_only && !instance.healthy) continue;
      bool matches = true;
      for (const auto& [label, value] : query.labels) {
        const auto it = instance.labels.find(label);
        matches = matches && it != instance.labels.end() && it->second == value;
      }
      if (matches) found.push_back(instance);
    }
    co_return found;
  }
  void watch(std::function<void(const std::string&)> changed) override {
    changed_ = std::move(changed);
  }

 private:
  struct Entry {
    ServiceInstance instance;
    base::MonotonicTime until;
  };
  const base::Clock& clock_;
  std::map<std::pair<std::string, std::string>, Entry> entries_;
  std::function<void(const std::string&)> changed_;
};

}  // namespace nexus
