#pragma once

// Which service address leads to which pods, as the keeper is told: a value with one canonical
// form, one encoding, and checks that make it safe to turn into rules as root.

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "datapath/addressing.hpp"

namespace hypermesh::datapath {

inline constexpr std::size_t kServicePortsMax = 20'000;
inline constexpr std::size_t kBackendsPerPortMax = 1'000;
inline constexpr std::size_t kServiceNameMax =
    330;  ///< "namespace/name:port", a DNS label each, and room.
inline constexpr std::uint32_t kAffinitySecondsMax = 86'400;
/// The range that Kubernetes gives to node ports; below it are the node's own.
inline constexpr std::uint16_t kNodePortMin = 30'000, kNodePortMax = 32'767;

/// Numbers of the protocols in IP headers.
enum class IpProtocol : std::uint8_t { Tcp = 6, Udp = 17, Sctp = 132 };
std::string_view to_string(IpProtocol protocol);

struct Endpoint {
  IpAddress address;
  std::uint16_t port = 0;
  auto operator<=>(const Endpoint&) const = default;
};

struct ServiceEntry {
  IpProtocol protocol = IpProtocol::Tcp;
  Endpoint at;                         ///< Where clients connect to.
  std::string name;                    ///< For people who read the rules.
  std::uint16_t node_port = 0;         ///< 0: none.
  std::uint32_t affinity_seconds = 0;  ///< 0: none.
  std::vector<Endpoint> backends;      ///< Of the family of `at`. Empty: connections are refused.
  auto operator<=>(const ServiceEntry&) const = default;
};

/// Entries ordered by protocol and address, each once; backends ordered, each once.
class ServiceTable {
 public:
  ServiceTable() = default;
  /// Errors: InvalidArgument (names the service and what is wrong with it).
  static base::Result<ServiceTable> make(std::vector<ServiceEntry> entries);
  const std::vector<ServiceEntry>& entries() const { return entries_; }
  bool operator==(const ServiceTable&) const = default;

 private:
  std::vector<ServiceEntry> entries_;
};

/// Services of this cluster only: a table could otherwise take any address over.
/// Errors: InvalidArgument (an address outside the cluster's range of services).
base::Result<> check_services_of(const ServiceTable& table, const ClusterPrefixes& cluster);

/// The table as it travels to the keeper. Version 1, integers big endian:
///   u8 1, u32 entries, and for each entry, in the table's order:
///   u8 protocol (of the IP header), u8 family (4 or 6), address (4 or 16 bytes), u16 port, u16
///   node port, u32 affinity in seconds, u32 length and bytes of the name, u32 backends, and for
///   each an address and a u16 port.
base::Bytes encode(const ServiceTable& table);
/// Errors: DataLoss, InvalidArgument (as ServiceTable::make), Unsupported (version).
base::Result<ServiceTable> decode_service_table(base::BytesView bytes);

}  // namespace hypermesh::datapath
