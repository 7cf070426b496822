#include "dns/zone.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "dns/name.hpp"

namespace nexus::dns {
namespace {

constexpr std::uint32_t kRefreshSeconds = 7200, kRetrySeconds = 1800, kExpireSeconds = 86400;

// Wire form and type of an address; empty when it is none.
std::pair<Type, std::string> address_data(const std::string& address) {
  std::string bytes(16, '\0');
  if (inet_pton(AF_INET6, address.c_str(), bytes.data()) == 1) return {Type::Aaaa, bytes};
  if (inet_pton(AF_INET, address.c_str(), bytes.data()) == 1) return {Type::A, bytes.substr(0, 4)};
  return {Type::Any, {}};
}

std::string u16(std::uint16_t value) {
  return {static_cast<char>(value >> 8), static_cast<char>(value)};
}
std::string u32(std::uint32_t value) {
  return u16(static_cast<std::uint16_t>(value >> 16)) + u16(static_cast<std::uint16_t>(value));
}

std::string text_data(std::initializer_list<std::string> strings) {
  std::string data;
  for (const std::string& text : strings) {
    const std::string part = text.substr(0, 255);
    data += static_cast<char>(part.size());
    data += part;
  }
  return data;
}

}  // namespace

base::Result<std::string> reverse_zone(std::string_view prefix) {
  const std::size_t slash = prefix.find('/');
  unsigned bits = 0;
  const auto bad = [&] {
    return base::fail(
        base::Errc::InvalidArgument,
        fmt::format(
            "\"{}\" is not a prefix of whole digits, such as \"fd00:1:2::/48\" or \"10.42.0.0/16\"",
            prefix.substr(0, 80)));
  };
  if (slash == prefix.npos) return bad();
  const char* end = prefix.data() + prefix.size();
  if (const auto [rest, error] = std::from_chars(prefix.data() + slash + 1, end, bits);
      error != std::errc() || rest != end)
    return bad();
  TRY(const std::string full, reverse_name(prefix.substr(0, slash)));
  const bool six = full.ends_with("ip6.arpa");
  const unsigned step = six ? 4 : 8, total = six ? 32 : 4;
  if (bits % step != 0 || bits / step > total) return bad();
  std::string_view rest = full;
  for (unsigned i = bits / step; i < total; ++i) rest.remove_prefix(rest.find('.') + 1);
  return std::string(rest);
}

class ZoneBuilder {
 public:
  explicit ZoneBuilder(const ZoneInput& input) : input_(input), zone_(std::make_shared<Zone>()) {}

  std::shared_ptr<const Zone> build() {
    apex(input_.zone);
    for (const std::string& reverse : input_.reverse_zones) apex(reverse);
    for (const std::string& address : input_.server_addresses) {
      add_address(input_.server, address);
      add_reverse(address, input_.server);
    }
    add("dns-version." + input_.zone, Type::Txt, text_data({"1.1.0"}));
    for (const ServiceName& service : input_.services) add_service(service);
    return zone_;
  }

 private:
  void apex(const std::string& name) {
    const auto wire = to_wire(name);
    const auto server = to_wire(input_.server), mailbox = to_wire("hostmaster." + input_.zone);
    if (!wire || !server || !mailbox) {
      ++zone_->skipped_;
      return;
    }
    zone_->apexes_.push_back(lower_case(*wire));
    // The last number is the time that "does not exist" may be kept (RFC 2308 section 4).
    add(name, Type::Soa,
        *server + *mailbox + u32(input_.serial) + u32(kRefreshSeconds) + u32(kRetrySeconds) +
            u32(kExpireSeconds) + u32(input_.ttl_seconds));
    add(name, Type::Ns, *server, *server);
  }

  void add_service(const ServiceName& service) {
    const std::string name = fmt::format("{}.{}.{}", service.name, service.name_space, input_.zone);
    if (!service.external_name.empty()) {
      if (const auto target = to_wire(service.external_name)) add(name, Type::Cname, *target);
      return;
    }
    const bool headless = service.cluster_addresses.empty();
    for (const std::string& address : service.cluster_addresses) {
      add_address(name, address);
      add_reverse(address, name);
    }
    if (!headless) {
      for (const ServicePortName& port : service.ports) add_srv(name, port, port.port, name);
    }
    for (const EndpointName& endpoint : service.endpoints) {
      const std::string host = endpoint.hostname + "." + name;
      for (const std::string& address : endpoint.addresses) {
        if (headless) add_address(name, address);
        add_address(host, address);
        add_reverse(address, host);
      }
      if (headless) {
        for (const ServicePortName& port : endpoint.ports) add_srv(name, port, port.port, host);
      }
    }
    add(name, Type::Txt,
        text_data({"service=" + service.name, "namespace=" + service.name_space,
                   fmt::format("ready={}", service.endpoints.size())}));
  }

  void add_srv(const std::string& service, const ServicePortName& port, std::uint16_t number,
               const std::string& target) {
    if (port.name.empty()) return;
    if (const auto wire = to_wire(target)) {
      add(fmt::format("_{}._{}.{}", port.name, port.protocol, service), Type::Srv,
          u16(0) + u16(10) + u16(number) + *wire, lower_case(*wire));
    }
  }

  void add_address(const std::string& name, const std::string& address) {
    const auto [type, data] = address_data(address);
    if (!data.empty()) add(name, type, data);
  }

  void add_reverse(const std::string& address, const std::string& name) {
    const auto reverse = reverse_name(address);
    const auto target = to_wire(name);
    if (!reverse || !target) return;
    const auto wire = to_wire(*reverse);
    if (wire && zone_->apex_of(*wire)) add(*reverse, Type::Ptr, *target);
  }

  void add(const std::string& name, Type type, std::string data, std::string target = {}) {
    const auto wire = to_wire(name);
    if (!wire) {
      ++zone_->skipped_;
      return;
    }
    const std::string key = lower_case(*wire);
    auto& sets = zone_->names_[key];
    auto set = std::ranges::find(sets, type, &RecordSet::type);
    if (set == sets.end()) {
      sets.push_back({type, input_.ttl_seconds, {}, {}});
      set = std::prev(sets.end());
    }
    if (std::ranges::find(set->data, data) != set->data.end()) return;
    set->data.push_back(std::move(data));
    if (!target.empty()) set->targets.push_back(std::move(target));
    // Names between this one and the apex exist, though they hold nothing.
    const std::string* apex = zone_->apex_of(key);
    for (std::string_view above = parent(key); apex && above.size() > apex->size();
         above = parent(above)) {
      zone_->names_.try_emplace(std::string(above));
    }
  }

  const ZoneInput& input_;
  std::shared_ptr<Zone> zone_;
};

std::shared_ptr<const Zone> Zone::build(const ZoneInput& input) {
  return ZoneBuilder(input).build();
}

const std::vector<RecordSet>* Zone::find(std::string_view key) const {
  const auto found = names_.find(key);
  return found == names_.end() ? nullptr : &found->second;
}

const std::string* Zone::apex_of(std::string_view key) const {
  for (const std::string& apex : apexes_) {
    if (is_within(key, apex)) return &apex;
  }
  return nullptr;
}

const RecordSet& Zone::soa(std::string_view apex) const {
  const auto* sets = find(apex);
  BASE_ASSERT(sets != nullptr && !sets->empty() && sets->front().type == Type::Soa,
              "every apex has its SOA first");
  return sets->front();
}

std::vector<std::pair<std::string, std::vector<RecordSet>>> Zone::sorted() const {
  std::vector<std::pair<std::string, std::vector<RecordSet>>> all;
  for (const auto& [key, sets] : names_) {
    if (!sets.empty()) all.emplace_back(to_text(key), sets);
  }
  std::ranges::sort(all, {}, [](const auto& entry) { return entry.first; });
  return all;
}

}  // namespace nexus::dns
