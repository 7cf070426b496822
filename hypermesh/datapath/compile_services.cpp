#include "datapath/compile_services.hpp"

#include <fmt/format.h>

namespace hypermesh::datapath {
namespace {

IpProtocol protocol_of(nexus::Protocol protocol) {
  switch (protocol) {
    case nexus::Protocol::Tcp:
      return IpProtocol::Tcp;
    case nexus::Protocol::Udp:
      return IpProtocol::Udp;
    case nexus::Protocol::Sctp:
      return IpProtocol::Sctp;
  }
  return IpProtocol::Tcp;
}

base::Result<IpAddress> address_of(const std::string& text, const std::string& service) {
  auto address = IpAddress::parse(text);
  if (address) return address;
  return std::unexpected(
      base::wrap(std::move(address).error(), fmt::format("service {}", service)));
}

}  // namespace

base::Result<ServiceTable> compile_services(const std::vector<nexus::ServicePort>& ports) {
  std::vector<ServiceEntry> entries;
  entries.reserve(ports.size());
  for (const nexus::ServicePort& port : ports) {
    ServiceEntry entry;
    entry.protocol = protocol_of(port.protocol);
    TRY(entry.at.address, address_of(port.address, port.service));
    entry.at.port = port.port;
    entry.name = port.service;
    entry.node_port = port.node_port;
    entry.affinity_seconds = port.affinity_seconds;
    entry.backends.reserve(port.backends.size());
    for (const auto& backend : port.backends) {
      TRY(const IpAddress address, address_of(backend.address, port.service));
      entry.backends.push_back({address, backend.port});
    }
    entries.push_back(std::move(entry));
  }
  return ServiceTable::make(std::move(entries));
}

}  // namespace hypermesh::datapath
