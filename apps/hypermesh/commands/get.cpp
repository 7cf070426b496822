// get and describe: objects as the API has them.
#include <fmt/format.h>

#include <algorithm>

#include "commands/all.hpp"
#include "commands/objects.hpp"
#include "output/yaml.hpp"

namespace cli {
namespace {

using base::Errc;
using base::Result;

constexpr std::string_view kTableType = "application/json;as=Table;v=v1;g=meta.k8s.io";

struct Selection {
  std::string name_space;  // "": all
  Query query;
};

// The table that the server draws of a kind, or of one object.
struct ServerTable {
  std::vector<std::string> heads;
  std::vector<bool> wide;
  std::vector<std::vector<Cell>> rows;
  std::vector<std::string> name_spaces;
};

void add_rows(ServerTable& table, const Json& answer) {
  if (table.heads.empty()) {
    for (const Json& column : list_at(answer, {"columnDefinitions"})) {
      std::string head = text_at(column, {"name"});
      std::ranges::transform(head, head.begin(), [](unsigned char c) { return std::toupper(c); });
      table.heads.push_back(std::move(head));
      table.wide.push_back(number_at(column, {"priority"}) > 0);
    }
  }
  for (const Json& row : list_at(answer, {"rows"})) {
    std::vector<Cell> cells;
    for (const Json& cell : list_at(row, {"cells"}))
      cells.emplace_back(cell.is_string() ? cell.get<std::string>()
                         : cell.is_null() ? ""
                                          : cell.dump());
    cells.resize(table.heads.size(), Cell(""));
    table.rows.push_back(std::move(cells));
    table.name_spaces.push_back(text_at(row, {"object", "metadata", "namespace"}));
  }
}

Table to_table(const ServerTable& source, bool wide, bool with_name_space,
               const std::string& kind) {
  std::vector<std::string> heads;
  if (with_name_space) heads.emplace_back("NAMESPACE");
  for (std::size_t i = 0; i < source.heads.size(); ++i) {
    if (wide || !source.wide[i]) heads.push_back(source.heads[i]);
  }
  Table table(heads);
  for (std::size_t r = 0; r < source.rows.size(); ++r) {
    std::vector<Cell> row;
    if (with_name_space) row.emplace_back(source.name_spaces[r]);
    for (std::size_t i = 0; i < source.heads.size(); ++i) {
      if (!wide && source.wide[i]) continue;
      Cell cell = source.rows[r][i];
      // Where several kinds are listed, a name alone would not say of which.
      if (i == 0 && !kind.empty()) cell.text = kind + "/" + cell.text;
      row.push_back(std::move(cell));
    }
    table.row(std::move(row));
  }
  return table;
}

Result<ServerTable> read_table(Api& api, const ObjectName& object, const Selection& selection) {
  ServerTable table;
  Query query = selection.query;
  query.emplace_back("limit", object.name.empty() ? "500" : "");
  query.emplace_back("continue", "");
  for (;;) {
    TRY(const Json page,
        api.get(kind_path(*object.kind, selection.name_space, object.name, query), kTableType));
    add_rows(table, page);
    query.back().second = text_at(page, {"metadata", "continue"});
    if (query.back().second.empty()) return table;
  }
}

Result<Json> read_object(Session& session, Api& api, const ObjectName& object,
                         const Selection& selection) {
  auto json = api.get(kind_path(*object.kind, selection.name_space, object.name));
  if (!json)
    return std::unexpected(
        with_nearest_name(session, api, object, selection.name_space, std::move(json).error()));
  return json;
}

// Objects in full, for -o json and the like.
Result<int> show_objects(Session& session, Api& api, const std::vector<ObjectName>& objects,
                         const Selection& selection) {
  Document document;
  Json::array_t items;
  for (const ObjectName& object : objects) {
    if (object.name.empty()) {
      TRY(auto list, list_all(api, *object.kind, selection.name_space, selection.query));
      std::ranges::move(list, std::back_inserter(items));
    } else {
      TRY(Json json, read_object(session, api, object, selection));
      items.push_back(std::move(json));
    }
  }
  for (const Json& item : items) document.names.push_back(object_text(item));
  const bool single = objects.size() == 1 && !objects.front().name.empty();
  document.value = single
                       ? std::move(items.front())
                       : Json{{"apiVersion", "v1"}, {"kind", "List"}, {"items", std::move(items)}};
  return session.show(document);
}

Result<int> show_tables(Session& session, Api& api, const std::vector<ObjectName>& objects,
                        const Selection& selection, bool all_namespaces) {
  // Neighbours of one kind share a table.
  bool several_kinds = false;
  for (const ObjectName& object : objects)
    several_kinds = several_kinds || object.kind != objects.front().kind;
  bool anything = false;
  for (auto first = objects.begin(); first != objects.end();) {
    const auto last = std::find_if(first, objects.end(),
                                   [&](const ObjectName& o) { return o.kind != first->kind; });
    ServerTable table;
    for (auto object = first; object != last; ++object) {
      auto part = read_table(api, *object, selection);
      if (!part && !object->name.empty())
        return std::unexpected(with_nearest_name(session, api, *object, selection.name_space,
                                                 std::move(part).error()));
      if (!part) return std::unexpected(std::move(part).error());
      if (table.heads.empty()) {
        table = *std::move(part);
      } else {
        std::ranges::move(part->rows, std::back_inserter(table.rows));
        std::ranges::move(part->name_spaces, std::back_inserter(table.name_spaces));
      }
    }
    const KindInfo& kind = *first->kind;
    first = last;
    if (several_kinds && table.rows.empty()) continue;
    if (several_kinds && anything) session.console().out("\n");
    anything = anything || !table.rows.empty();
    Document document;
    document.table = [table, all_namespaces, &kind, several_kinds](bool wide) {
      return to_table(table, wide, all_namespaces && kind.namespaced,
                      several_kinds ? std::string(kind.singular) : "");
    };
    document.when_empty =
        selection.name_space.empty() || !kind.namespaced
            ? fmt::format("no {}", kind.plural)
            : fmt::format("no {} in namespace {}", kind.plural, selection.name_space);
    TRY_DO(session.show(document));
  }
  if (several_kinds && !anything) session.console().err("nothing found\n");
  return 0;
}

Result<int> watch_kind(Session& session, Api& api, const ObjectName& object, Selection selection) {
  if (!object.name.empty())
    selection.query.emplace_back("fieldSelector", "metadata.name=" + object.name);
  TRY(const std::string version, list_version(api, *object.kind, selection.name_space));
  const bool programs = session.format().for_programs();
  if (!programs) TRY_DO(show_tables(session, api, {object}, selection, false));
  session.console().flush();
  const auto on_event = [&](const WatchEvent& event) -> Result<bool> {
    if (programs) {
      Document document;
      document.value = event.object;
      document.names = {object_text(event.object)};
      TRY_DO(session.show(document));
    } else {
      session.console().out(
          fmt::format("{}   {}   {}\n",
                      event.type == "ADDED"     ? "+"
                      : event.type == "DELETED" ? "-"
                                                : "~",
                      printable(object_text(event.object)),
                      printable(text_at(event.object, {"metadata", "resourceVersion"}))));
    }
    session.console().flush();
    return !session.console().out_broken();
  };
  TRY_DO(api.watch(kind_path(*object.kind, selection.name_space, "", selection.query), version,
                   on_event));
  return 0;
}

Result<int> run_get(Session& session, const Arguments& arguments) {
  TRY(const auto objects, parse_objects(arguments.words()));
  TRY(Api * api, session.api());
  Selection selection;
  const bool all = arguments.has("all-namespaces");
  if (!all) {
    TRY(selection.name_space, session.name_space());
  }
  if (all && std::ranges::any_of(objects, [](const ObjectName& o) {
        return !o.name.empty() && o.kind->namespaced;
      })) {
    return base::fail(Errc::InvalidArgument, "a name is looked for in one namespace: leave out -A");
  }
  selection.query = {{"labelSelector", arguments.text("selector")},
                     {"fieldSelector", arguments.text("field-selector")}};
  if (arguments.has("watch")) {
    if (objects.size() != 1)
      return base::fail(Errc::InvalidArgument, "--watch wants one kind or one object");
    return watch_kind(session, *api, objects.front(), selection);
  }
  if (session.format().for_programs()) return show_objects(session, *api, objects, selection);
  return show_tables(session, *api, objects, selection, all);
}

// A Secret's values are not for a screen.
Json without_secrets(Json object) {
  if (text_at(object, {"kind"}) != "Secret") return object;
  for (const char* part : {"data", "stringData"}) {
    if (!object.contains(part) || !object[part].is_object()) continue;
    for (auto& [key, value] : object[part].items())
      value = fmt::format("{} characters in base64",
                          value.is_string() ? value.get_ref<const std::string&>().size() : 0);
  }
  return object;
}

std::string section(const Json& object, const char* key, const char* title) {
  if (!object.contains(key) || object[key].empty()) return {};
  std::string out = fmt::format("{}:\n", title);
  const std::string yaml = to_yaml(object[key]);
  for (std::size_t line = 0; line < yaml.size();) {
    const std::size_t end = yaml.find('\n', line);
    out += "  " + printable(std::string_view(yaml).substr(line, end - line)) + "\n";
    line = end + 1;
  }
  return out;
}

std::string description_of(const Json& object, const base::Clock& clock) {
  const Json shown = without_secrets(object);
  const std::string created = text_at(shown, {"metadata", "creationTimestamp"});
  std::string out = fmt::format("Name:        {}\nKind:        {} ({})\n",
                                printable(text_at(shown, {"metadata", "name"})),
                                text_at(shown, {"kind"}), text_at(shown, {"apiVersion"}));
  if (const std::string name_space = text_at(shown, {"metadata", "namespace"}); !name_space.empty())
    out += fmt::format("Namespace:   {}\n", name_space);
  if (!created.empty())
    out += fmt::format("Created:     {} ({} ago)\n", created, age_of(clock, created));
  for (const Json& owner : list_at(shown, {"metadata", "ownerReferences"}))
    out += fmt::format("Owner:       {}/{}\n", text_at(owner, {"kind"}), text_at(owner, {"name"}));
  out += section(shown["metadata"], "labels", "Labels");
  out += section(shown["metadata"], "annotations", "Annotations");
  for (const auto& [key, value] : shown.items()) {
    if (key == "apiVersion" || key == "kind" || key == "metadata" || key == "spec" ||
        key == "status")
      continue;
    std::string title = key;
    title[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(title[0])));
    out +=
        value.is_structured()
            ? section(shown, key.c_str(), title.c_str())
            : fmt::format("{}: {}\n", title,
                          printable(value.is_string() ? value.get<std::string>() : value.dump()));
  }
  return out + section(shown, "spec", "Spec") + section(shown, "status", "Status");
}

Result<int> run_describe(Session& session, const Arguments& arguments) {
  TRY(auto objects, parse_objects(arguments.words()));
  TRY(Api * api, session.api());
  Selection selection;
  TRY(selection.name_space, session.name_space());
  selection.query = {{"labelSelector", arguments.text("selector")}};
  if (session.format().for_programs()) return show_objects(session, *api, objects, selection);
  bool first = true;
  for (const ObjectName& object : objects) {
    Json::array_t items;
    if (object.name.empty()) {
      TRY(items, list_all(*api, *object.kind, selection.name_space, selection.query));
    } else {
      TRY(Json json, read_object(session, *api, object, selection));
      items.push_back(std::move(json));
    }
    for (const Json& item : items) {
      if (!first) session.console().out("\n");
      first = false;
      session.console().out(description_of(item, session.clock()));
      TRY(const std::string events, events_of(session, *api, item));
      session.console().out(events);
    }
  }
  return 0;
}

constexpr Argument kArguments[] = {{"KIND", true, false, Completes::Kind},
                                   {"NAME", false, true, Completes::NameOfKind}};
constexpr Flag kGetFlags[] = {
    {"all-namespaces", 'A', "", "objects of all namespaces"},
    {"selector", 'l', "SELECTOR", "only objects with these labels"},
    {"field-selector", '\0', "SELECTOR",
     "only objects with these fields, such as status.phase=Running"},
    {"watch", 'w', "", "print what changes until Ctrl-C"},
};
constexpr Flag kDescribeFlags[] = {{"selector", 'l', "SELECTOR", "only objects with these labels"}};
constexpr Example kGetExamples[] = {{"hm get deployments,services", ""},
                                    {"hm get deployment web -o yaml", "can be applied again"}};
constexpr Example kDescribeExamples[] = {
    {"hm describe pod/web-4-a1b2", "everything, with its events at the end"}};

}  // namespace

constinit const Command kGet = {
    .path = "get",
    .summary = "list objects, or print one as stored",
    .description =
        "KIND is a kind by any of its names (po, pods, pod), several with commas, or KIND/NAME.",
    .arguments = kArguments,
    .flags = kGetFlags,
    .examples = kGetExamples,
    .run = run_get};
constinit const Command kDescribe = {.path = "describe",
                                     .summary = "an object in words, with its events",
                                     .description = "Values of Secrets are left out.",
                                     .arguments = kArguments,
                                     .flags = kDescribeFlags,
                                     .examples = kDescribeExamples,
                                     .run = run_describe};

}  // namespace cli
