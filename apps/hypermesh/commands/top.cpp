#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <manifest/quantity.hpp>

#include "commands/all.hpp"
#include "commands/objects.hpp"
#include "output/units.hpp"
#include "session/loop.hpp"
#include "session/terminal.hpp"

namespace cli {
namespace {

using base::Result;

enum class SortBy { Cpu, Memory, Name };

struct Usage {
  std::string name_space, name;
  std::uint64_t cpu_millis = 0, memory_bytes = 0, processes = 0, read_bytes = 0, written_bytes = 0;
};

std::vector<Usage> usages_of(const Json& answer, const std::string& name, bool by_container) {
  std::vector<Usage> out;
  for (const Json& pod : list_at(answer, {"items"})) {
    if (!name.empty() && text_at(pod, {"name"}) != name) continue;
    Usage sum{text_at(pod, {"namespace"}), text_at(pod, {"name"})};
    for (const Json& container : list_at(pod, {"containers"})) {
      const auto number = [&](const char* key) {
        return static_cast<std::uint64_t>(std::max<std::int64_t>(0, number_at(container, {key})));
      };
      Usage one{sum.name_space,          sum.name + "/" + text_at(container, {"name"}),
                number("cpuMillis"),     number("memoryBytes"),
                number("processes"),     number("ioReadBytes"),
                number("ioWrittenBytes")};
      sum.cpu_millis += one.cpu_millis;
      sum.memory_bytes += one.memory_bytes;
      sum.processes += one.processes;
      sum.read_bytes += one.read_bytes;
      sum.written_bytes += one.written_bytes;
      if (by_container) out.push_back(std::move(one));
    }
    if (!by_container) out.push_back(std::move(sum));
  }
  return out;
}

void sort(std::vector<Usage>& usages, SortBy by) {
  std::ranges::stable_sort(usages, [by](const Usage& a, const Usage& b) {
    switch (by) {
      case SortBy::Cpu:
        return a.cpu_millis > b.cpu_millis;
      case SortBy::Memory:
        return a.memory_bytes > b.memory_bytes;
      case SortBy::Name:
        return a.name < b.name;
    }
    return false;
  });
}

Table pods_table(const std::vector<Usage>& usages, bool wide, bool all_namespaces) {
  std::vector<std::string> heads;
  if (all_namespaces) heads.emplace_back("NAMESPACE");
  heads.insert(heads.end(), {"NAME", "CPU", "MEMORY"});
  if (wide) heads.insert(heads.end(), {"PROCESSES", "READ", "WRITTEN"});
  Table table(heads);
  for (const Usage& usage : usages) {
    std::vector<Cell> row;
    if (all_namespaces) row.emplace_back(usage.name_space);
    row.emplace_back(usage.name);
    row.emplace_back(fmt::format("{}m", usage.cpu_millis));
    row.emplace_back(show_bytes(usage.memory_bytes));
    if (wide) {
      row.emplace_back(std::to_string(usage.processes));
      row.emplace_back(show_bytes(usage.read_bytes));
      row.emplace_back(show_bytes(usage.written_bytes));
    }
    table.row(std::move(row));
  }
  return table;
}

std::uint64_t amount_of(const Json& node, const char* resource, bool millis) {
  const auto quantity =
      nexus::manifest::Quantity::parse(text_at(node, {"status", "allocatable", resource}));
  if (!quantity) return 0;
  return static_cast<std::uint64_t>(millis ? quantity->millis() : quantity->value());
}

Result<int> show_nodes(Session& session, Api& api) {
  TRY(const Json::array_t nodes, list_all(api, kind_named("Node"), ""));
  TRY(const Json answer, api.get(own_path({"top"}, {{"window", "1s"}})));
  TRY(const Json ps, api.get(own_path({"ps"})));
  std::map<std::string, std::string> node_of;
  for (const Json& pod : list_at(ps, {"items"}))
    node_of[text_at(pod, {"namespace"}) + "/" + text_at(pod, {"name"})] = text_at(pod, {"node"});
  Json::array_t items;
  for (const Json& node : nodes) {
    const std::string name = text_at(node, {"metadata", "name"});
    std::uint64_t cpu = 0, memory = 0, pods = 0;
    for (const Usage& usage : usages_of(answer, "", false)) {
      if (node_of[usage.name_space + "/" + usage.name] != name) continue;
      cpu += usage.cpu_millis;
      memory += usage.memory_bytes;
      ++pods;
    }
    items.push_back({{"name", name},
                     {"cpuMillis", cpu},
                     {"cpuMillisAllocatable", amount_of(node, "cpu", true)},
                     {"memoryBytes", memory},
                     {"memoryBytesAllocatable", amount_of(node, "memory", false)},
                     {"pods", pods}});
  }
  Document document;
  document.value = list_json("NodeUsageList", items);
  for (const Json& item : items) document.names.push_back("node/" + text_at(item, {"name"}));
  document.table = [items](bool) {
    Table table({"NAME", "CPU", "MEMORY", "PODS"});
    for (const Json& item : items) {
      const auto number = [&](const char* key) {
        return static_cast<std::uint64_t>(number_at(item, {key}));
      };
      table.row(
          {text_at(item, {"name"}),
           fmt::format("{}m of {}", number("cpuMillis"), show_cpu(number("cpuMillisAllocatable"))),
           fmt::format("{} of {}", show_bytes(number("memoryBytes")),
                       show_bytes(number("memoryBytesAllocatable"))),
           text_at(item, {"pods"})});
    }
    return table;
  };
  return session.show(document);
}

// A key that was pressed, or 0.
char pressed(int fd) {
  pollfd ready{fd, POLLIN, 0};
  char key = 0;
  if (poll(&ready, 1, 0) > 0 && read(fd, &key, 1) == 1) return key;
  return 0;
}

Result<int> show_live(Session& session, Api& api, const std::string& name_space,
                      const std::string& name, bool by_container, SortBy by) {
  Console& console = session.console();
  const Look& look = console.out_look();
  const RawTerminal raw(console.in());
  console.out("\x1b[?1049h\x1b[?25l");
  const auto leave = [&] {
    console.out("\x1b[?25h\x1b[?1049l");
    console.flush();
  };
  for (bool running = true; running;) {
    const auto answer = api.get(own_path({"top"}, {{"namespace", name_space}, {"window", "1s"}}));
    if (!answer) {
      leave();
      if (answer.error().code == base::Errc::Cancelled) return 0;
      return std::unexpected(answer.error());
    }
    for (char key = pressed(console.in()); key != 0; key = pressed(console.in())) {
      if (key == 'q' || key == 3) running = false;
      if (key == 's')
        by = by == SortBy::Cpu ? SortBy::Memory : by == SortBy::Memory ? SortBy::Name : SortBy::Cpu;
    }
    auto usages = usages_of(*answer, name, by_container);
    sort(usages, by);
    const auto rows_max =
        static_cast<std::size_t>(std::max(terminal_size(console.in()).rows - 3, 1));
    const std::size_t left_out = usages.size() > rows_max ? usages.size() - rows_max : 0;
    usages.resize(usages.size() - left_out);
    const char* order = by == SortBy::Cpu ? "cpu" : by == SortBy::Memory ? "memory" : "name";
    std::string screen = "\x1b[H\x1b[J" + pods_table(usages, true, name_space.empty()).render(look);
    screen += paint(
        look, Tone::Dim,
        fit(look, fmt::format("{}sorted by {} · s sorts · q quits",
                              left_out > 0 ? fmt::format("{} more · ", left_out) : "", order)));
    // In raw mode a newline does not return to the first column.
    std::string drawn;
    for (const char c : screen) drawn += c == '\n' ? std::string("\r\n") : std::string(1, c);
    console.out(drawn);
    console.flush();
    if (console.out_broken()) running = false;
  }
  leave();
  return 0;
}

Result<int> run(Session& session, const Arguments& arguments) {
  const std::string what = arguments.word(0);
  TRY(Api * api, session.api());
  if (what == "nodes") return show_nodes(session, *api);
  std::string name_space;
  if (!arguments.has("all-namespaces")) {
    TRY(name_space, session.name_space());
  }
  const std::string name = what.empty() || what == "pods" ? "" : what;
  const std::string order = arguments.text("sort", "cpu");
  const SortBy by = order == "memory" ? SortBy::Memory
                    : order == "name" ? SortBy::Name
                                      : SortBy::Cpu;
  const bool by_container = arguments.has("containers");
  const bool live = session.format().form == OutputFormat::Form::Table &&
                    session.console().interactive() && session.console().out_look().terminal &&
                    !arguments.has("once");
  if (live) return show_live(session, *api, name_space, name, by_container, by);
  TRY(const Json answer,
      api->get(own_path({"top"}, {{"namespace", name_space}, {"window", "1s"}})));
  auto usages = usages_of(answer, name, by_container);
  if (usages.empty() && !name.empty()) TRY_DO(pods_of(session, *api, name_space, name));
  sort(usages, by);
  Document document;
  document.value = answer;
  if (!name.empty())
    std::erase_if(document.value["items"].get_ref<Json::array_t&>(),
                  [&](const Json& item) { return text_at(item, {"name"}) != name; });
  document.value.emplace("apiVersion", kApiVersion);
  document.value.emplace("kind", "PodUsageList");
  for (const Usage& usage : usages) document.names.push_back("pod/" + usage.name);
  document.table = [usages, all = name_space.empty()](bool wide) {
    return pods_table(usages, wide, all);
  };
  document.when_empty = "nothing runs";
  return session.show(document);
}

constexpr Argument kArguments[] = {{"pods|nodes|POD", false, false, Completes::Pod}};
constexpr Flag kFlags[] = {
    {"all-namespaces", 'A', "", "pods of all namespaces"},
    {"containers", '\0', "", "each container by itself"},
    {"sort", '\0', "ORDER", "which come first", false, {}, Completes::Nothing, "cpu|memory|name"},
    {"once", '\0', "", "one table instead of the live view"},
};
constexpr Example kExamples[] = {{"hm top", "live; s sorts, q quits"},
                                 {"hm top nodes", ""},
                                 {"hm top -o json | jq .items", "one measurement over a second"}};

}  // namespace

constinit const Command kTop = {
    .path = "top",
    .summary = "what pods and nodes use: cpu, memory, processes, i/o",
    .description = "On a terminal a live view; elsewhere one measurement over a second.",
    .arguments = kArguments,
    .flags = kFlags,
    .examples = kExamples,
    .run = run};

}  // namespace cli
