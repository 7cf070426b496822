#pragma once

#include <atomic>
#include <base/async/task.hpp>
#include <base/log.hpp>
#include <base/metrics.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dns/zone.hpp"

namespace nexus::dns {

struct DnsServerOptions {
  /// Addresses to listen on, UDP and TCP. Each named, never a wildcard: answers leave from where
  /// they were asked.
  std::vector<std::string> addresses;
  std::uint16_t port = 53;
  /// Servers for names outside our zones, tried in order: "[fd00::53]:53". Empty: such names are
  /// refused.
  std::vector<std::string> forward;
  std::size_t tcp_connections_max = 200;
  std::size_t tcp_connections_per_client_max = 50;  ///< Of one address.
  base::Duration tcp_idle_max = std::chrono::seconds(10);
  std::size_t forwards_max = 512;        ///< Questions under way to other servers.
  std::size_t cache_entries_max = 4096;  ///< Of other servers' answers.
};

/// Serves the cluster's zone over UDP and TCP, and forwards other names where told to.
///
/// UDP has a thread for each address, blocked in the kernel while nobody asks; everything else runs
/// on `executor`. The zone is replaced as a whole: no question sees half of a change.
class DnsServer {
 public:
  /// Binds all sockets. Errors: InvalidArgument (an address or a forward), FailedPrecondition (in
  /// use), Forbidden (port).
  static base::Result<std::unique_ptr<DnsServer>> open(base::Executor executor,
                                                       DnsServerOptions options, base::Log log,
                                                       base::Metrics& metrics);
  virtual ~DnsServer() = default;

  virtual void set_zone(std::shared_ptr<const Zone> zone) = 0;
  virtual std::shared_ptr<const Zone> zone() const = 0;
  /// The port that was bound (for port 0).
  virtual std::uint16_t port() const = 0;
  /// Ends all tasks and threads. Await it before destruction.
  virtual base::Task<> stop() = 0;
};

}  // namespace nexus::dns
