#include "datapath/service_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>

namespace hypermesh::datapath {
namespace {

constexpr std::uint8_t kVersion = 1;

base::Error wrong(const ServiceEntry& entry, std::string_view what) {
  return base::make_error(
      base::Errc::InvalidArgument,
      fmt::format("service {} at {}:{}/{}: {}", entry.name.substr(0, 100),
                  entry.at.address.to_host(), entry.at.port, to_string(entry.protocol), what));
}

/// The name is printed into rules, between quotes.
bool printable(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == ':' || c == '/';
}

bool usable(const IpAddress& address) {
  const auto bytes = address.bytes();
  const bool unspecified = std::ranges::all_of(bytes, [](std::uint8_t b) { return b == 0; });
  const bool multicast = address.is_v6() ? bytes[0] == 0xff : bytes[0] >= 224;
  const bool loopback = address.is_v6() ? address == IpAddress().plus(1) : bytes[0] == 127;
  const bool link_local = address.is_v6() && bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80;
  return !unspecified && !multicast && !loopback && !link_local;
}

base::Result<> check(const ServiceEntry& entry) {
  if (entry.name.size() > kServiceNameMax || !std::ranges::all_of(entry.name, printable)) {
    return base::fail(
        base::Errc::InvalidArgument,
        fmt::format(
            "service at {}:{}: its name must have at most {} characters of a-z A-Z 0-9 -._:/",
            entry.at.address.to_host(), entry.at.port, kServiceNameMax));
  }
  if (!usable(entry.at.address)) return std::unexpected(wrong(entry, "no address for a service"));
  if (entry.at.port == 0) return std::unexpected(wrong(entry, "port 0"));
  if (entry.node_port != 0 && (entry.node_port < kNodePortMin || entry.node_port > kNodePortMax)) {
    return std::unexpected(
        wrong(entry, fmt::format("node port is {}; must be {} to {}, or 0 for none",
                                 entry.node_port, kNodePortMin, kNodePortMax)));
  }
  if (entry.affinity_seconds > kAffinitySecondsMax) {
    return std::unexpected(wrong(entry, fmt::format("affinity is {} s; must be at most {}",
                                                    entry.affinity_seconds, kAffinitySecondsMax)));
  }
  if (entry.backends.size() > kBackendsPerPortMax) {
    return std::unexpected(wrong(entry, fmt::format("{} backends; at most {} are carried",
                                                    entry.backends.size(), kBackendsPerPortMax)));
  }
  for (const Endpoint& backend : entry.backends) {
    if (backend.address.family() != entry.at.address.family() || !usable(backend.address) ||
        backend.port == 0) {
      return std::unexpected(wrong(entry, fmt::format("{}:{} cannot be a backend",
                                                      backend.address.to_host(), backend.port)));
    }
  }
  return {};
}

void write_endpoint(base::ByteWriter& writer, const Endpoint& endpoint) {
  writer.raw(endpoint.address.bytes());
  writer.u16(endpoint.port);
}

base::Result<Endpoint> read_endpoint(base::ByteReader& reader, bool v6) {
  TRY(const base::BytesView bytes, reader.raw(v6 ? 16 : 4));
  Endpoint endpoint;
  TRY(endpoint.address, IpAddress::from_bytes(bytes));
  TRY(endpoint.port, reader.u16());
  return endpoint;
}

base::Result<ServiceEntry> read_entry(base::ByteReader& reader) {
  ServiceEntry entry;
  TRY(const std::uint8_t protocol, reader.u8());
  entry.protocol = static_cast<IpProtocol>(protocol);
  if (to_string(entry.protocol).empty()) {
    return base::fail(base::Errc::DataLoss, fmt::format("service table: protocol {}", protocol));
  }
  TRY(const std::uint8_t family, reader.u8());
  if (family != 4 && family != 6) {
    return base::fail(base::Errc::DataLoss, fmt::format("service table: family {}", family));
  }
  TRY(entry.at, read_endpoint(reader, family == 6));
  TRY(entry.node_port, reader.u16());
  TRY(entry.affinity_seconds, reader.u32());
  TRY(const base::BytesView name, reader.sized(kServiceNameMax));
  entry.name = base::as_text(name);
  TRY(const std::uint32_t count, reader.u32());
  if (count > kBackendsPerPortMax) {
    return base::fail(base::Errc::DataLoss, fmt::format("service table: {} backends", count));
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    TRY(const Endpoint backend, read_endpoint(reader, family == 6));
    entry.backends.push_back(backend);
  }
  return entry;
}

}  // namespace

std::string_view to_string(IpProtocol protocol) {
  switch (protocol) {
    case IpProtocol::Tcp:
      return "tcp";
    case IpProtocol::Udp:
      return "udp";
    case IpProtocol::Sctp:
      return "sctp";
  }
  return {};
}

base::Result<ServiceTable> ServiceTable::make(std::vector<ServiceEntry> entries) {
  if (entries.size() > kServicePortsMax) {
    return base::fail(base::Errc::InvalidArgument,
                      fmt::format("{} ports of services; at most {} are carried", entries.size(),
                                  kServicePortsMax));
  }
  std::set<std::tuple<IpProtocol, Family, std::uint16_t>> node_ports;
  for (ServiceEntry& entry : entries) {
    TRY_DO(check(entry));
    if (entry.node_port != 0 &&
        !node_ports.emplace(entry.protocol, entry.at.address.family(), entry.node_port).second) {
      return std::unexpected(
          wrong(entry, fmt::format("node port {} is another service's", entry.node_port)));
    }
    std::ranges::sort(entry.backends);
    const auto twice = std::ranges::unique(entry.backends);
    entry.backends.erase(twice.begin(), twice.end());
  }
  std::ranges::sort(entries);
  const auto same = std::ranges::adjacent_find(entries, [](const auto& a, const auto& b) {
    return a.protocol == b.protocol && a.at == b.at;
  });
  if (same != entries.end()) {
    return std::unexpected(wrong(*same, fmt::format("also the address of {}", (same + 1)->name)));
  }
  ServiceTable table;
  table.entries_ = std::move(entries);
  return table;
}

base::Result<> check_services_of(const ServiceTable& table, const ClusterPrefixes& cluster) {
  for (const ServiceEntry& entry : table.entries()) {
    const IpPrefix range = entry.at.address.is_v6() ? cluster.services6() : cluster.services4();
    if (!range.contains(entry.at.address)) {
      return std::unexpected(
          wrong(entry, fmt::format("services of this cluster are in {}", range.to_string())));
    }
  }
  return {};
}

base::Bytes encode(const ServiceTable& table) {
  base::ByteWriter writer;
  writer.u8(kVersion);
  writer.u32(static_cast<std::uint32_t>(table.entries().size()));
  for (const ServiceEntry& entry : table.entries()) {
    writer.u8(static_cast<std::uint8_t>(entry.protocol));
    writer.u8(static_cast<std::uint8_t>(entry.at.address.family()));
    write_endpoint(writer, entry.at);
    writer.u16(entry.node_port);
    writer.u32(entry.affinity_seconds);
    writer.sized(entry.name);
    writer.u32(static_cast<std::uint32_t>(entry.backends.size()));
    for (const Endpoint& backend : entry.backends) write_endpoint(writer, backend);
  }
  return std::move(writer).take();
}

base::Result<ServiceTable> decode_service_table(base::BytesView bytes) {
  base::ByteReader reader(bytes);
  TRY(const std::uint8_t version, reader.u8());
  if (version != kVersion) {
    return base::fail(
        base::Errc::Unsupported,
        fmt::format("service table of version {}; this build reads {}", version, kVersion));
  }
  TRY(const std::uint32_t count, reader.u32());
  if (count > kServicePortsMax) {
    return base::fail(base::Errc::DataLoss, fmt::format("service table: {} ports", count));
  }
  std::vector<ServiceEntry> entries;
  for (std::uint32_t i = 0; i < count; ++i) {
    TRY(ServiceEntry entry, read_entry(reader));
    entries.push_back(std::move(entry));
  }
  TRY_DO(reader.end());
  return ServiceTable::make(std::move(entries));
}

}  // namespace hypermesh::datapath
