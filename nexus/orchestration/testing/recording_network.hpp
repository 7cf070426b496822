#pragma once

#include <nexus/service_network.hpp>

#include "orchestration/testing/crash_gate.hpp"

namespace nexus::orchestration {

/// Remembers the table that is in use, as the kernel does.
class RecordingNetwork final : public ServiceNetwork {
 public:
  explicit RecordingNetwork(CrashGate& gate) : gate_(gate) {}
  base::Task<base::Result<>> apply(std::vector<ServicePort> ports) override {
    co_await gate_.pass();
    if (fails) co_return base::fail(base::Errc::Unavailable, "no keeper");
    table = std::move(ports);
    ++applied;
    co_await gate_.pass();
    co_return base::Result<>();
  }
  bool leads_to(const std::string& address) const {
    for (const ServicePort& port : table) {
      for (const ServicePort::Backend& backend : port.backends) {
        if (backend.address == address) return true;
      }
    }
    return false;
  }
  std::vector<ServicePort> table;
  std::size_t applied = 0;
  bool fails = false;

 private:
  CrashGate& gate_;
};

}  // namespace nexus::orchestration
