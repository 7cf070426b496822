// dns lookup, records, zones, stats: what the node's name server answers.
#include <fmt/format.h>

#include <algorithm>
#include <base/config/units.hpp>
#include <base/random.hpp>
#include <dns/message.hpp>
#include <dns/name.hpp>

#include "commands/all.hpp"
#include "commands/objects.hpp"
#include "output/units.hpp"
#include "session/net.hpp"

namespace cli {
namespace {

using namespace std::chrono_literals;
using base::Errc;
using base::Result;
using nexus::dns::Rcode;
using nexus::dns::Response;
using nexus::dns::Type;

constexpr std::uint16_t number_of(Type type) {
  return static_cast<std::uint16_t>(type);
}

class Resolver {
 public:
  Resolver(std::string node, base::config::Endpoint server)
      : node_(std::move(node)), server_(std::move(server)) {}

  Result<Response> ask(const std::string& name, std::uint16_t type) {
    TRY(const std::string wire, nexus::dns::to_wire(name));
    base::SystemRng rng;
    const auto id = static_cast<std::uint16_t>(rng.below(65536));
    const base::Bytes question = nexus::dns::build_query(id, wire, type);
    const auto start = std::chrono::steady_clock::now();
    TRY(base::Bytes bytes, ask_udp(server_.address, server_.port, question, 3s));
    TRY(Response response, nexus::dns::parse_response(bytes));
    if (response.truncated) {
      TRY(bytes, ask_dns_tcp(server_.address, server_.port, question, 3s));
      TRY(response, nexus::dns::parse_response(bytes));
    }
    took_ = std::chrono::steady_clock::now() - start;
    return response;
  }
  base::Duration took() const { return took_; }
  const std::string& node() const { return node_; }

 private:
  std::string node_;
  base::config::Endpoint server_;
  base::Duration took_{};
};

Result<Resolver> connect(Session& session) {
  TRY(Api * api, session.api());
  TRY(const Json node, api->get(own_path({"node"})));
  if (text_at(node, {"dns"}).empty())
    return base::fail(Errc::Unavailable, fmt::format("the name server of {} is not switched on",
                                                     text_at(node, {"name"})));
  TRY(auto endpoint, base::config::parse_endpoint(text_at(node, {"dns"})));
  return Resolver(text_at(node, {"name"}), std::move(endpoint));
}

std::string rcode_text(Rcode code) {
  switch (code) {
    case Rcode::NoError:
      return "NOERROR";
    case Rcode::FormErr:
      return "FORMERR";
    case Rcode::ServFail:
      return "SERVFAIL";
    case Rcode::NxDomain:
      return "NXDOMAIN";
    case Rcode::NotImp:
      return "NOTIMP";
    case Rcode::Refused:
      return "REFUSED";
    case Rcode::BadVers:
      return "BADVERS";
  }
  return "?";
}

Json record_json(const nexus::dns::ResourceRecord& record) {
  return {{"name", nexus::dns::to_text(record.name)},
          {"ttl", record.ttl_seconds},
          {"type", nexus::dns::type_name(record.type)},
          {"data", record.data}};
}

Table records_table(const Json::array_t& items) {
  Table table({"NAME", "TTL", "TYPE", "VALUE"});
  for (const Json& item : items)
    table.row({text_at(item, {"name"}), text_at(item, {"ttl"}), text_at(item, {"type"}),
               text_at(item, {"data"})});
  return table;
}

// The names to try, as a pod of the namespace would: ndots 2, search NS.mesh and mesh.
std::vector<std::string> candidates(const std::string& name, const std::string& name_space) {
  if (name.ends_with('.')) return {name};
  const auto dots = std::ranges::count(name, '.');
  std::vector<std::string> searched = {fmt::format("{}.{}.mesh.", name, name_space),
                                       name + ".mesh."};
  if (dots >= 2) {
    searched.insert(searched.begin(), name + ".");
  } else {
    searched.push_back(name + ".");
  }
  return searched;
}

Result<int> run_lookup(Session& session, const Arguments& arguments) {
  TRY(Resolver resolver, connect(session));
  TRY(const std::string name_space, session.name_space());
  std::string name = arguments.word(0);
  std::vector<std::uint16_t> types;
  if (arguments.has("type")) {
    TRY(const std::uint16_t type, nexus::dns::parse_type(arguments.text("type")));
    types.push_back(type);
  } else if (const auto reverse = nexus::dns::reverse_name(name)) {
    name = *reverse + ".";
    types = {number_of(Type::Ptr)};
  } else {
    types = {number_of(Type::Aaaa), number_of(Type::A)};
  }
  Json::array_t items;
  Rcode code = Rcode::NxDomain;
  bool missing = false;  // a zone of the node says that there is no such name
  std::string asked = name;
  for (const std::string& candidate : candidates(name, name_space)) {
    bool exists = false;
    for (const std::uint16_t type : types) {
      TRY(const Response response, resolver.ask(candidate, type));
      code = response.rcode;
      asked = candidate;
      if (response.rcode == Rcode::NoError) exists = true;
      if (response.rcode == Rcode::NxDomain) missing = true;
      for (const auto& record : response.answers) items.push_back(record_json(record));
    }
    if (exists) {
      code = Rcode::NoError;
      break;
    }
  }
  // The name as it stands is none of the node's own: it refuses that, if nobody is to be asked.
  if (code == Rcode::Refused && missing) code = Rcode::NxDomain;
  if (code == Rcode::NxDomain) {
    return std::unexpected(base::with_hint(
        base::make_error(Errc::NotFound,
                         fmt::format("no name \"{}\" (also not as {})", arguments.word(0),
                                     fmt::join(candidates(name, name_space), ", "))),
        "hm dns records"));
  }
  if (code != Rcode::NoError)
    return base::fail(Errc::Unavailable, fmt::format("{} answers {} for {}", resolver.node(),
                                                     rcode_text(code), asked));
  Document document;
  document.value = list_json("RecordList", items);
  document.value["answeredBy"] = resolver.node();
  document.value["rcode"] = rcode_text(code);
  for (const Json& item : items) document.names.push_back(text_at(item, {"data"}));
  document.table = [items](bool) { return records_table(items); };
  document.when_empty = fmt::format("{} exists and has no records of that type", asked);
  const double millis = std::chrono::duration<double, std::milli>(resolver.took()).count();
  document.after = fmt::format("answered by {} in {:.1f} ms\n", resolver.node(), millis);
  return session.show(document);
}

Result<int> run_records(Session& session, const Arguments& arguments) {
  TRY(Resolver resolver, connect(session));
  TRY(Api * api, session.api());
  std::string name_space;
  if (!arguments.has("all-namespaces")) {
    TRY(name_space, session.name_space());
  }
  TRY(const auto services, list_all(*api, kind_named("Service"), name_space));
  Json::array_t items;
  for (const Json& service : services) {
    const std::string name = fmt::format("{}.{}.mesh.", text_at(service, {"metadata", "name"}),
                                         text_at(service, {"metadata", "namespace"}));
    std::vector<std::pair<std::string, Type>> questions = {{name, Type::Aaaa}, {name, Type::A}};
    for (const Json& port : list_at(service, {"spec", "ports"})) {
      std::string protocol = text_at(port, {"protocol"});
      std::ranges::transform(protocol, protocol.begin(),
                             [](unsigned char c) { return std::tolower(c); });
      const std::string port_name = text_at(port, {"name"});
      if (!port_name.empty())
        questions.emplace_back(fmt::format("_{}._{}.{}", port_name, protocol, name), Type::Srv);
    }
    for (const auto& [question, type] : questions) {
      TRY(const Response response, resolver.ask(question, number_of(type)));
      for (const auto& record : response.answers) items.push_back(record_json(record));
    }
  }
  Document document;
  document.value = list_json("RecordList", items);
  for (const Json& item : items) document.names.push_back(text_at(item, {"name"}));
  document.table = [items](bool) { return records_table(items); };
  document.when_empty = "no services, so no records";
  return session.show(document);
}

Result<int> run_zones(Session& session, const Arguments&) {
  TRY(Resolver resolver, connect(session));
  TRY(Api * api, session.api());
  TRY(const Json node, api->get(own_path({"node"})));
  // The zone of names, and those in which the node's own addresses are looked up backwards.
  std::vector<std::string> names = {"mesh."};
  for (const Json& address : list_at(node, {"addresses"})) {
    if (!address.is_string()) continue;
    const auto reverse = nexus::dns::reverse_name(address.get<std::string>());
    if (reverse) names.push_back(*reverse + ".");
  }
  Json::array_t items;
  for (const std::string& name : names) {
    TRY(const Response response, resolver.ask(name, number_of(Type::Soa)));
    // A name inside of a zone is answered with the zone's SOA in the authority section.
    for (const auto* section : {&response.answers, &response.authority}) {
      for (const auto& record : *section) {
        if (record.type != number_of(Type::Soa)) continue;
        const std::string zone = nexus::dns::to_text(record.name);
        const bool known = std::ranges::any_of(
            items, [&](const Json& item) { return text_at(item, {"zone"}) == zone; });
        if (!known)
          items.push_back({{"zone", zone}, {"soa", record.data}, {"ttl", record.ttl_seconds}});
      }
    }
  }
  Document document;
  document.value = list_json("ZoneList", items);
  for (const Json& item : items) document.names.push_back(text_at(item, {"zone"}));
  document.table = [items](bool) {
    Table table({"ZONE", "TTL", "SOA"});
    for (const Json& item : items)
      table.row({text_at(item, {"zone"}), text_at(item, {"ttl"}), text_at(item, {"soa"})});
    return table;
  };
  document.when_empty = "the node answers for no zone";
  return session.show(document);
}

Result<int> run_stats(Session& session, const Arguments&) {
  TRY(Api * api, session.api());
  TRY(const Json page, api->get("/metrics"));
  Json::array_t items;
  const std::string text = page.is_string() ? page.get<std::string>() : "";
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    constexpr std::string_view kPrefix = "nexus_dns_";
    const std::size_t value = line.rfind(' ');
    if (!line.starts_with(kPrefix) || value == std::string_view::npos ||
        line.find("_bucket") != std::string_view::npos)
      continue;
    items.push_back({{"name", line.substr(kPrefix.size(), value - kPrefix.size())},
                     {"value", line.substr(value + 1)}});
  }
  Document document;
  document.value = list_json("DnsStatistics", items);
  for (const Json& item : items) document.names.push_back(text_at(item, {"name"}));
  document.table = [items](bool) {
    Table table({"WHAT", "VALUE"});
    for (const Json& item : items) table.row({text_at(item, {"name"}), text_at(item, {"value"})});
    return table;
  };
  document.when_empty = "no measurements yet";
  return session.show(document);
}

constexpr Argument kLookupArguments[] = {{"NAME|ADDRESS"}};
constexpr Flag kLookupFlags[] = {
    {"type", 't', "TYPE", "AAAA, A, SRV, PTR, TXT, ...; default: AAAA and A"}};
constexpr Flag kRecordsFlags[] = {{"all-namespaces", 'A', "", "services of all namespaces"}};
constexpr Example kLookupExamples[] = {
    {"hm dns lookup web.default.mesh", ""},
    {"hm dns lookup -t SRV _http._tcp.web", "a short name, as in a pod"}};
constexpr Example kRecordsExamples[] = {{"hm dns records", ""}};
constexpr Example kZonesExamples[] = {{"hm dns zones", ""}};
constexpr Example kStatsExamples[] = {{"hm dns stats", ""}};

}  // namespace

constinit const Command kDnsLookup = {
    .path = "dns lookup",
    .summary = "what a name means to a pod",
    .description =
        "Asks the node's own name server, with the search list of a pod of the namespace.",
    .arguments = kLookupArguments,
    .flags = kLookupFlags,
    .examples = kLookupExamples,
    .run = run_lookup};
constinit const Command kDnsRecords = {
    .path = "dns records",
    .summary = "the names of all services, as they are answered now",
    .description = "",
    .flags = kRecordsFlags,
    .examples = kRecordsExamples,
    .run = run_records};
constinit const Command kDnsZones = {.path = "dns zones",
                                     .summary = "the zones that the node answers for",
                                     .description = "",
                                     .examples = kZonesExamples,
                                     .run = run_zones};
constinit const Command kDnsStats = {.path = "dns stats",
                                     .summary = "questions, answers and times of the name server",
                                     .description = "",
                                     .examples = kStatsExamples,
                                     .run = run_stats};

}  // namespace cli
