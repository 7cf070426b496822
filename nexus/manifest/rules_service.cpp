#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "manifest/formats.hpp"
#include "manifest/rules.hpp"

namespace nexus::manifest {

namespace {

constexpr std::int64_t kNodePortMin = 30000, kNodePortMax = 32767;

void check_cluster_addresses(const View& spec, std::string_view type, Report& report) {
  const View address = spec["clusterIP"], addresses = spec["clusterIPs"];
  if (type == "ExternalName") {
    if (!address.text().empty())
      report.forbidden(address, "must be absent with type: ExternalName");
    if (addresses.size() > 0) report.forbidden(addresses, "must be absent with type: ExternalName");
    return;
  }
  const bool headless = address.text() == "None";
  if (headless && type == "NodePort")
    report.invalid(address, "must not be None with type: NodePort");
  if (!address.text().empty() && !headless) {
    if (const auto wrong = check_ip(address.text())) {
      report.invalid(address, fmt::format("is \"{}\"; {}, None or absent",
                                          address.text().substr(0, 80), *wrong));
    }
  }
  const auto list = addresses.items();
  if (list.empty()) return;
  if (list[0].text() != address.text()) {
    report.invalid(addresses, fmt::format("must begin with clusterIP ({})",
                                          address.text().empty() ? "absent" : address.text()));
  }
  if (list.size() > 2)
    report.error(addresses.path(), Reason::TooMany, "has one address of each family at most");
  for (const View& one : list) {
    if (one.text() == "None" && list.size() == 1) continue;
    if (const auto wrong = check_ip(one.text()); wrong && one.is_string()) {
      report.invalid(one, fmt::format("is \"{}\"; {}", one.text().substr(0, 80), *wrong));
    }
  }
  if (list.size() == 2 && is_ipv6(list[0].text()) == is_ipv6(list[1].text())) {
    report.invalid(addresses, "must be of different families");
  }
}

void check_service_ports(const View& spec, std::string_view type, Report& report) {
  const View list = spec["ports"];
  const auto ports = list.items();
  const bool headless = spec["clusterIP"].text() == "None";
  if (ports.empty() && !headless && type != "ExternalName") return report.required(list);
  std::set<std::string_view> names;
  std::set<std::pair<std::int64_t, std::string_view>> node_ports;
  for (const View& port : ports) {
    const View name = port["name"];
    if (name.text().empty() && ports.size() > 1)
      report.required(name, "is required when there are several ports");
    if (!name.text().empty() && !names.insert(name.text()).second) {
      report.error(name.path(), Reason::Duplicate, fmt::format("is used twice: {}", name.text()));
    }
    const View target = port["targetPort"];
    if (const auto number = target.integer(); number && (*number < 1 || *number > 65535)) {
      report.invalid(target, fmt::format("is {}; must be 1 to 65535", *number));
    }
    if (const auto wrong = check_port_name(target.text()); target.is_string() && wrong) {
      report.invalid(target, fmt::format("is \"{}\"; {}", target.text().substr(0, 80), *wrong));
    }
    const View node_port = port["nodePort"];
    const auto number = node_port.integer();
    if (!number) continue;
    if (type != "NodePort") {
      report.forbidden(node_port, fmt::format("must be absent with type: {}", type),
                       {"set type: NodePort"});
    } else if (*number < kNodePortMin || *number > kNodePortMax) {
      report.invalid(node_port,
                     fmt::format("is {}; must be {} to {}", *number, kNodePortMin, kNodePortMax));
    } else if (!node_ports.insert({*number, port["protocol"].text("TCP")}).second) {
      report.error(node_port.path(), Reason::Duplicate, fmt::format("is used twice: {}", *number));
    }
  }
}

}  // namespace

void check_service(const View& object, Report& report) {
  const View spec = object["spec"];
  if (!spec.is_object()) return;
  const std::string_view type = spec["type"].text("ClusterIP");
  check_cluster_addresses(spec, type, report);
  check_service_ports(spec, type, report);
  if (type == "ExternalName") {
    if (spec["externalName"].text().empty())
      report.required(spec["externalName"], "is required with type: ExternalName");
  } else if (spec["selector"].size() == 0) {
    report.note(spec.path(), "has no selector: nothing answers for this Service",
                {"set spec.selector to the labels of the pods"});
  }
  const View affinity = spec["sessionAffinityConfig"];
  if (affinity.present() && spec["sessionAffinity"].text() == "None") {
    report.forbidden(affinity, "must be absent with sessionAffinity: None");
  }
}

}  // namespace nexus::manifest
