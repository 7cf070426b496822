#pragma once

// The values of the ServiceNetwork port, without Asio, so that cores can use them.

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

namespace nexus {

enum class Protocol : std::uint8_t { Tcp, Udp, Sctp };

/// Where one port of a service leads. Addresses and backends are of one family per entry.
struct ServicePort {
  std::string service;  ///< "namespace/name:port", for names of rules and for people.
  Protocol protocol = Protocol::Tcp;
  std::string address;  ///< Cluster address, IPv6 or IPv4.
  std::uint16_t port = 0;
  std::uint16_t node_port = 0;  ///< Also answers on the node's own addresses; 0: it does not.
  struct Backend {
    std::string address;
    std::uint16_t port = 0;
    auto operator<=>(const Backend&) const = default;
  };
  std::vector<Backend> backends;  ///< Ready ones. Empty: connections are refused at once.
  std::uint32_t affinity_seconds =
      0;  ///< The same client keeps its backend this long; 0: no affinity.
  bool operator==(const ServicePort&) const = default;
};

}  // namespace nexus
