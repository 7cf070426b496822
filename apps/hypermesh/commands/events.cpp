#include <fmt/format.h>

#include <algorithm>

#include "commands/all.hpp"
#include "commands/objects.hpp"

namespace cli {
namespace {

using base::Result;

// When it last happened: old clients and new ones write different fields.
std::string time_of(const Json& event) {
  for (const char* key : {"lastTimestamp", "eventTime", "firstTimestamp"}) {
    if (std::string time = text_at(event, {key}); !time.empty()) return time;
  }
  return text_at(event, {"metadata", "creationTimestamp"});
}

std::string subject_of(const Json& event) {
  Json object = {{"kind", text_at(event, {"involvedObject", "kind"})},
                 {"metadata", {{"name", text_at(event, {"involvedObject", "name"})}}}};
  return object_text(object);
}

Table table_of(const Json::array_t& events, const base::Clock& clock, bool with_subject,
               bool with_name_space) {
  std::vector<std::string> heads;
  if (with_name_space) heads.emplace_back("NAMESPACE");
  heads.insert(heads.end(), {"LAST SEEN", "TYPE", "REASON"});
  if (with_subject) heads.emplace_back("OBJECT");
  heads.emplace_back("MESSAGE");
  Table table(heads);
  for (const Json& event : events) {
    const std::string type = text_at(event, {"type"});
    std::string seen = age_of(clock, time_of(event));
    if (const auto count = number_at(event, {"count"}, 1); count > 1)
      seen += fmt::format(" (x{})", count);
    std::vector<Cell> row;
    if (with_name_space) row.emplace_back(text_at(event, {"metadata", "namespace"}));
    row.emplace_back(seen);
    row.emplace_back(type, type == "Warning" ? Tone::Warn : Tone::Plain);
    row.emplace_back(text_at(event, {"reason"}));
    if (with_subject) row.emplace_back(subject_of(event));
    row.emplace_back(text_at(event, {"message"}));
    table.row(std::move(row));
  }
  return table;
}

void sort_by_time(Json::array_t& events) {
  std::ranges::stable_sort(events, {}, time_of);
}

Result<int> run(Session& session, const Arguments& arguments) {
  TRY(Api * api, session.api());
  std::string name_space;
  if (!arguments.has("all-namespaces")) {
    TRY(name_space, session.name_space());
  }
  std::string field;
  if (!arguments.words().empty()) {
    const std::string word = arguments.word(0);
    const std::size_t slash = word.find('/');
    field = "involvedObject.name=" + word.substr(slash == std::string::npos ? 0 : slash + 1);
    if (slash != std::string::npos) {
      TRY(const KindInfo* kind,
          nexus::manifest::resolve_kind(std::string_view(word).substr(0, slash)));
      field += fmt::format(",involvedObject.kind={}", kind->kind);
    }
  }
  if (arguments.has("warnings")) field += (field.empty() ? "" : ",") + std::string("type=Warning");
  const Query query = {{"fieldSelector", field}};
  const KindInfo& kind = kind_named("Event");
  const bool all = name_space.empty();
  TRY(const std::string version, list_version(*api, kind, name_space));
  TRY(Json::array_t events, list_all(*api, kind, name_space, query));
  sort_by_time(events);
  const auto show = [&](const Json::array_t& list, bool complain) {
    Document document;
    document.value = list_json("EventList", list);
    for (const Json& event : list) document.names.push_back(object_text(event));
    document.table = [list, &clock = session.clock(), all](bool) {
      return table_of(list, clock, true, all);
    };
    if (complain)
      document.when_empty =
          all ? "no events" : fmt::format("no events in namespace {}", name_space);
    return session.show(document);
  };
  if (!arguments.has("watch")) return show(events, true);
  if (!events.empty()) TRY_DO(show(events, false));
  session.console().flush();
  TRY_DO(api->watch(kind_path(kind, name_space, "", query), version,
                    [&](const WatchEvent& event) -> Result<bool> {
                      if (event.type == "DELETED") return true;
                      TRY_DO(show({event.object}, false));
                      session.console().flush();
                      return !session.console().out_broken();
                    }));
  return 0;
}

constexpr Argument kArguments[] = {{"NAME", false, false, Completes::Workload}};
constexpr Flag kFlags[] = {
    {"all-namespaces", 'A', "", "events of all namespaces"},
    {"watch", 'w', "", "print new events until Ctrl-C"},
    {"warnings", '\0', "", "only events of type Warning"},
};
constexpr Example kExamples[] = {{"hm events -w", "what happens now"},
                                 {"hm events deployment/web", "what happened to one object"}};

}  // namespace

Result<std::string> events_of(Session& session, Api& api, const Json& object) {
  const std::string field =
      fmt::format("involvedObject.uid={}", text_at(object, {"metadata", "uid"}));
  TRY(Json::array_t events,
      list_all(api, kind_named("Event"), text_at(object, {"metadata", "namespace"}),
               {{"fieldSelector", field}}));
  if (events.empty()) return std::string("Events:      none\n");
  sort_by_time(events);
  const std::string table =
      table_of(events, session.clock(), false, false).render(session.console().out_look());
  std::string out = "Events:\n";
  for (std::size_t line = 0; line < table.size();) {
    const std::size_t end = table.find('\n', line);
    out += "  " + table.substr(line, end - line) + "\n";
    line = end + 1;
  }
  return out;
}

constinit const Command kEvents = {.path = "events",
                                   .summary = "what happened: starts, failures, probes, rollouts",
                                   .description = "",
                                   .arguments = kArguments,
                                   .flags = kFlags,
                                   .examples = kExamples,
                                   .run = run};

}  // namespace cli
