// node ls, node describe.
#include <fmt/format.h>

#include <manifest/quantity.hpp>

#include "commands/all.hpp"
#include "commands/objects.hpp"
#include "output/units.hpp"

namespace cli {
namespace {

using base::Result;

bool is_ready(const Json& node) {
  for (const Json& condition : list_at(node, {"status", "conditions"})) {
    if (text_at(condition, {"type"}) == "Ready") return text_at(condition, {"status"}) == "True";
  }
  return false;
}

std::string address_of(const Json& node) {
  for (const Json& address : list_at(node, {"status", "addresses"})) {
    if (text_at(address, {"type"}) == "InternalIP") return text_at(address, {"address"});
  }
  return {};
}

std::string amount(const Json& node, const char* resource) {
  const std::string text = text_at(node, {"status", "capacity", resource});
  const auto quantity = nexus::manifest::Quantity::parse(text);
  if (!quantity) return text;
  return std::string_view(resource) == "memory"
             ? show_bytes(static_cast<std::uint64_t>(quantity->value()))
             : quantity->text();
}

Result<int> run_ls(Session& session, const Arguments&) {
  TRY(Api * api, session.api());
  TRY(const Json::array_t nodes, list_all(*api, kind_named("Node"), ""));
  TRY(const Json ps, api->get(own_path({"ps"})));
  std::map<std::string, int> pods;
  for (const Json& pod : list_at(ps, {"items"})) ++pods[text_at(pod, {"node"})];
  Document document;
  document.value = list_json("NodeList", nodes);
  for (const Json& node : nodes) document.names.push_back(object_text(node));
  document.table = [nodes, pods, &clock = session.clock()](bool wide) {
    std::vector<std::string> heads = {"NAME", "STATE", "CPU", "MEMORY", "PODS", "AGE", "VERSION"};
    if (wide) heads.insert(heads.end(), {"ADDRESS", "KERNEL", "OS"});
    Table table(heads);
    for (const Json& node : nodes) {
      const std::string name = text_at(node, {"metadata", "name"});
      const bool ready = is_ready(node);
      const auto count = pods.find(name);
      std::vector<Cell> row = {
          name,
          {ready ? "Ready" : "NotReady", ready ? Tone::Good : Tone::Bad},
          amount(node, "cpu"),
          amount(node, "memory"),
          fmt::format("{}/{}", count == pods.end() ? 0 : count->second, amount(node, "pods")),
          age_of(clock, text_at(node, {"metadata", "creationTimestamp"})),
          text_at(node, {"status", "nodeInfo", "kubeletVersion"})};
      if (wide) {
        row.emplace_back(address_of(node));
        row.emplace_back(text_at(node, {"status", "nodeInfo", "kernelVersion"}));
        row.emplace_back(text_at(node, {"status", "nodeInfo", "osImage"}));
      }
      table.row(std::move(row));
    }
    return table;
  };
  return session.show(document);
}

Result<int> run_describe(Session& session, const Arguments&) {
  TRY(Api * api, session.api());
  TRY(const Json node, api->get(own_path({"node"})));
  Document document;
  document.value = node;
  document.value.emplace("apiVersion", kApiVersion);
  document.value.emplace("kind", "NodeStatus");
  document.names = {"node/" + text_at(node, {"name"})};
  if (session.format().for_programs()) return session.show(document);
  const Look& look = session.console().out_look();
  std::string out;
  const auto line = [&](std::string_view name, const std::string& value) {
    out += fmt::format("{:<12} {}\n", std::string(name) + ":", printable(value));
  };
  line("Name", text_at(node, {"name"}));
  line("State", text_at(node, {"state"}));
  line("Version", text_at(node, {"version"}));
  line("API", text_at(node, {"api"}));
  line("STOQ", text_at(node, {"stoq"}));
  line("DNS", text_at(node, {"dns"}));
  line("Process", text_at(node, {"pid"}));
  std::string addresses;
  for (const Json& address : list_at(node, {"addresses"}))
    addresses +=
        (addresses.empty() ? "" : " ") + (address.is_string() ? address.get<std::string>() : "");
  line("Addresses", addresses);
  line("Started", text_at(node, {"started"}));
  for (const Json& problem : list_at(node, {"problems"})) {
    out += outcome_line(look, Outcome::Note, text_at(problem, {"message"})) + "\n";
    if (const std::string hint = text_at(problem, {"hint"}); !hint.empty())
      out += "  " + fit(look, printable(hint)) + "\n";
  }
  session.console().out(out);
  return 0;
}

constexpr Example kLsExamples[] = {{"hm node ls", ""}};
constexpr Example kDescribeExamples[] = {
    {"hm node describe", "addresses, version, and what the node cannot do"}};

}  // namespace

constinit const Command kNodeLs = {.path = "node ls",
                                   .summary = "the nodes: state, size, pods, version",
                                   .description = "",
                                   .examples = kLsExamples,
                                   .run = run_ls};
constinit const Command kNodeDescribe = {
    .path = "node describe",
    .summary = "the node that answers: addresses, version, limits",
    .description = "",
    .examples = kDescribeExamples,
    .run = run_describe};

}  // namespace cli
