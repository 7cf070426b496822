#include "place.hpp"

#include <algorithm>
#include <base/config/units.hpp>

namespace apps {

namespace {

bool is_any(const std::string& address) {
  return address == "::" || address == "0.0.0.0";
}

std::vector<std::string> find_addresses(const base::config::Effective& config) {
  std::vector<std::string> addresses;
  for (const char* key : {"nexus.api.listen", "nexus.dns.listen"}) {
    const std::string address = config.endpoint(key).address;
    if (!is_any(address) && std::ranges::find(addresses, address) == addresses.end())
      addresses.push_back(address);
  }
  if (addresses.empty()) return {"::1", "127.0.0.1"};
  std::ranges::stable_partition(addresses,
                                [](const std::string& address) { return address.contains(':'); });
  return addresses;
}

}  // namespace

Place find_place(const base::config::Effective& config, const std::string& host_name) {
  const std::filesystem::path data = config.text("stoq.data_directory");
  Place place;
  place.name = config.text("hypermesh.node.id");
  if (place.name.empty()) place.name = host_name;
  place.addresses = find_addresses(config);
  place.identity = data / "identity.key";
  place.state = data / "nexus";
  place.run = place.state / "run";
  return place;
}

}  // namespace apps
