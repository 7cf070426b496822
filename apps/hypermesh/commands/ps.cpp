#include <fmt/format.h>

#include <algorithm>

#include "commands/all.hpp"
#include "commands/objects.hpp"
#include "session/loop.hpp"

namespace cli {
namespace {

using base::Result;

Tone tone_of(const std::string& state, bool ready) {
  if (state == "Running" || state == "Succeeded" || state == "Completed")
    return ready || state != "Running" ? Tone::Good : Tone::Warn;
  const bool bad = state.find("BackOff") != std::string::npos ||
                   state.find("Err") != std::string::npos || state == "Failed" ||
                   state == "OOMKilled";
  return bad ? Tone::Bad : Tone::Warn;
}

Table ps_table(const Json::array_t& items, const base::Clock& clock, bool wide,
               bool all_namespaces) {
  std::vector<std::string> heads;
  if (all_namespaces) heads.emplace_back("NAMESPACE");
  for (const char* head : {"NAME", "READY", "STATE", "RESTARTS", "NODE", "IP", "AGE"})
    heads.emplace_back(head);
  if (wide) {
    for (const char* head : {"WORKLOAD", "PID", "IMAGE"}) heads.emplace_back(head);
  }
  heads.emplace_back("");
  Table table(heads);
  for (const Json& item : items) {
    const std::string state = text_at(item, {"state"});
    const bool ready = flag_at(item, {"ready"});
    std::vector<Cell> row;
    if (all_namespaces) row.emplace_back(text_at(item, {"namespace"}));
    row.emplace_back(text_at(item, {"name"}));
    row.emplace_back(fmt::format("{}/{}", number_at(item, {"readyContainers"}),
                                 number_at(item, {"containers"})));
    row.emplace_back(state, tone_of(state, ready));
    std::string restarts = std::to_string(number_at(item, {"restarts"}));
    if (const std::string ago = age_of(clock, text_at(item, {"lastRestart"})); !ago.empty())
      restarts += fmt::format(" ({} ago)", ago);
    row.emplace_back(restarts);
    row.emplace_back(text_at(item, {"node"}));
    row.emplace_back(text_at(item, {"ip"}));
    row.emplace_back(age_of(clock, text_at(item, {"created"})));
    if (wide) {
      row.emplace_back(text_at(item, {"workload"}));
      row.emplace_back(text_at(item, {"pid"}));
      row.emplace_back(text_at(item, {"image"}));
    }
    row.emplace_back(tone_of(state, ready) == Tone::Bad ? "→ hm why " + text_at(item, {"name"})
                                                        : "");
    table.row(std::move(row));
  }
  return table;
}

struct Selection {
  std::string name_space;  // "": all
  std::string selector;
  std::string name;
};

Result<Json::array_t> read_items(Api& api, const Selection& selection) {
  TRY(const Json json, api.get(own_path({"ps"}, {{"namespace", selection.name_space},
                                                 {"labelSelector", selection.selector}})));
  Json::array_t items = list_at(json, {"items"});
  if (!selection.name.empty()) {
    std::erase_if(items, [&](const Json& item) {
      return text_at(item, {"name"}) != selection.name &&
             text_at(item, {"workload"}) != selection.name;
    });
  }
  return items;
}

Document document_of(Session& session, const Json::array_t& items, const Selection& selection) {
  Document document;
  document.value = list_json("ReplicaList", items);
  for (const Json& item : items) document.names.push_back("pod/" + text_at(item, {"name"}));
  const bool all = selection.name_space.empty();
  document.table = [items, &clock = session.clock(), all](bool wide) {
    return ps_table(items, clock, wide, all);
  };
  document.when_empty =
      all ? "nothing runs" : fmt::format("nothing runs in namespace {}", selection.name_space);
  return document;
}

Result<int> watch_items(Session& session, Api& api, const Selection& selection) {
  // Any change of a pod is the reason to ask again; what is printed is what `ps` says.
  const KindInfo& pod = kind_named("Pod");
  const Query labels = {{"labelSelector", selection.selector}};
  std::map<std::string, std::string> shown;
  auto answered = session.clock().now();
  while (!session.console().out_broken()) {
    std::string version;
    Json::array_t items;
    const auto read = [&]() -> Result<> {
      TRY(version, list_version(api, pod, selection.name_space));
      TRY(items, read_items(api, selection));
      return {};
    };
    if (auto done = read(); !done) {
      // A daemon that starts anew is soon there again.
      if (done.error().code != base::Errc::Unavailable ||
          session.clock().now() - answered > kAwayMax)
        return std::unexpected(std::move(done).error());
      TRY_DO(session.loop().pause(kReconnectPause));
      continue;
    }
    answered = session.clock().now();
    Json::array_t changed;
    std::map<std::string, std::string> now;
    for (const Json& item : items) {
      const std::string key = text_at(item, {"namespace"}) + "/" + text_at(item, {"name"});
      now[key] = item.dump();
      if (shown[key] != now[key]) changed.push_back(item);
    }
    shown = std::move(now);
    if (!changed.empty()) TRY_DO(session.show(document_of(session, changed, selection)));
    session.console().flush();
    TRY_DO(api.wait_change(kind_path(pod, selection.name_space, "", labels), version,
                           std::chrono::minutes(10)));
  }
  return 0;
}

Result<int> run(Session& session, const Arguments& arguments) {
  Selection selection;
  TRY(Api * api, session.api());
  if (!arguments.has("all-namespaces")) {
    TRY(selection.name_space, session.name_space());
  }
  selection.selector = arguments.text("selector");
  selection.name = arguments.word(0);
  if (arguments.has("watch")) return watch_items(session, *api, selection);
  TRY(const Json::array_t items, read_items(*api, selection));
  if (items.empty() && !selection.name.empty()) {
    TRY_DO(pods_of(session, *api, selection.name_space, selection.name));
  }
  return session.show(document_of(session, items, selection));
}

constexpr Argument kArguments[] = {{"NAME", false, false, Completes::Workload}};
constexpr Flag kFlags[] = {
    {"all-namespaces", 'A', "", "pods of all namespaces"},
    {"selector", 'l', "SELECTOR", "only pods with these labels, such as app=web,tier!=test"},
    {"watch", 'w', "", "print what changes until Ctrl-C"},
};
constexpr Example kExamples[] = {{"hm ps", "every pod of the namespace"},
                                 {"hm ps web", "the pods of one workload"}};

}  // namespace

constinit const Command kPs = {
    .path = "ps",
    .summary = "what runs: pods with state, restarts, node and address",
    .description =
        "NAME is a pod or a workload. A pod in trouble names the command that explains it.",
    .arguments = kArguments,
    .flags = kFlags,
    .examples = kExamples,
    .run = run};

}  // namespace cli
