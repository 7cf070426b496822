#pragma once

// What the cluster's DNS server knows, as one immutable value that is replaced when something
// changes.

#include <base/error.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "dns/message.hpp"

namespace nexus::dns {

struct ServicePortName {
  std::string name;      ///< "http"; empty: no SRV record by name.
  std::string protocol;  ///< "tcp", "udp", "sctp"
  std::uint16_t port = 0;
};
/// A ready endpoint of a service.
struct EndpointName {
  std::string hostname;                ///< Usually the pod's name.
  std::vector<std::string> addresses;  ///< Of either family.
  std::vector<ServicePortName> ports;
};
struct ServiceName {
  std::string name_space, name;
  std::vector<std::string> cluster_addresses;  ///< Empty: headless; the endpoints answer.
  std::vector<ServicePortName> ports;
  std::vector<EndpointName> endpoints;
  std::string external_name;  ///< An alias of a name elsewhere; empty: none.
};

struct ZoneInput {
  std::string zone = "mesh";
  std::string server = "ns.mesh";  ///< Name of this server, for SOA and NS.
  std::vector<std::string> server_addresses;
  std::uint32_t serial = 1;
  std::uint32_t ttl_seconds = 5;
  /// Reverse zones this server answers for, such as "8.b.d.0.1.0.0.2.ip6.arpa".
  std::vector<std::string> reverse_zones;
  std::vector<ServiceName> services;
};

/// Name of the reverse zone of a prefix: "fd5e:1:2::/48", "10.42.0.0/16". The length is a multiple
/// of 4 (IPv6) or 8 (IPv4). Errors: InvalidArgument.
base::Result<std::string> reverse_zone(std::string_view prefix);

/// All records of one type at one name.
struct RecordSet {
  Type type;
  std::uint32_t ttl_seconds = 0;
  std::vector<std::string> data;  ///< Wire form, names uncompressed.
  std::vector<std::string>
      targets;  ///< Names (wire) whose addresses belong into the additional section.
};

class Zone {
 public:
  /// Names that cannot be built (a label over 63 bytes, say) are left out and counted in
  /// `skipped()`.
  static std::shared_ptr<const Zone> build(const ZoneInput& input);

  /// Null: the name does not exist. An empty vector: it exists, without records (RFC 8020).
  const std::vector<RecordSet>* find(std::string_view key) const;
  /// The apex that `key` belongs to; null when it is not ours.
  const std::string* apex_of(std::string_view key) const;
  const RecordSet& soa(std::string_view apex) const;
  std::size_t skipped() const { return skipped_; }
  std::vector<std::pair<std::string, std::vector<RecordSet>>> sorted() const;

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };
  friend class ZoneBuilder;
  std::unordered_map<std::string, std::vector<RecordSet>, Hash, std::equal_to<>> names_;
  std::vector<std::string> apexes_;
  std::size_t skipped_ = 0;
};

}  // namespace nexus::dns
