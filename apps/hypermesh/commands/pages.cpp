// metrics, api spec, version: what the node says as it is.
#include <fmt/format.h>

#include <algorithm>
#include <manifest/kinds.hpp>

#include "commands/all.hpp"
#include "commands/objects.hpp"
#include "version.hpp"

namespace cli {
namespace {

using base::Result;
using nexus::manifest::Verb;

Result<int> run_metrics(Session& session, const Arguments& arguments) {
  TRY(Api * api, session.api());
  TRY(const Json page, api->get("/metrics"));
  const std::string text = page.is_string() ? page.get<std::string>() : page.dump();
  const std::string wanted = arguments.word(0);
  if (session.format().form == OutputFormat::Form::Json) {
    // One entry for each sample: {"name","labels","value"}.
    Json::array_t items;
    for (std::string_view rest = text; !rest.empty();) {
      const std::size_t end = std::min(rest.find('\n'), rest.size());
      const std::string_view line = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      if (line.empty() || line.starts_with('#') || !line.starts_with(wanted)) continue;
      const std::size_t value = line.rfind(' ');
      const std::size_t labels = std::min(line.find('{'), line.size());
      if (value == std::string_view::npos) continue;
      const std::string_view name = line.substr(0, std::min(labels, value));
      const std::string_view label_text =
          labels < value ? line.substr(labels, value - labels) : std::string_view();
      items.push_back({{"name", name}, {"labels", label_text}, {"value", line.substr(value + 1)}});
    }
    Document document;
    document.value = list_json("MetricList", std::move(items));
    return session.show(document);
  }
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t end = std::min(rest.find('\n') + 1, rest.size());
    const std::string_view line = rest.substr(0, end == 0 ? rest.size() : end);
    rest.remove_prefix(line.size());
    std::string_view name = line;
    for (const std::string_view head : {"# HELP ", "# TYPE "}) {
      if (name.starts_with(head)) name.remove_prefix(head.size());
    }
    if (name.starts_with(wanted)) session.console().out(line);
  }
  return 0;
}

Result<int> run_api_spec(Session& session, const Arguments& arguments) {
  TRY(Api * api, session.api());
  const std::string group = arguments.word(0);
  // "v1" is the core group's, "apps/v1" a named group's.
  std::string path = "/openapi/v3";
  if (!group.empty())
    path += group.find('/') == std::string::npos ? "/api/" + group : "/apis/" + group;
  TRY(const Json page, api->get(path));
  session.console().out(
      (session.format().form == OutputFormat::Form::Yaml ? std::string() : page.dump(2) + "\n"));
  if (session.format().form != OutputFormat::Form::Yaml) return 0;
  Document document;
  document.value = page;
  return session.show(document);
}

Json served_json() {
  Json::array_t kinds;
  constexpr std::pair<Verb, std::string_view> kVerbs[] = {
      {Verb::Get, "get"},       {Verb::List, "list"},
      {Verb::Watch, "watch"},   {Verb::Create, "create"},
      {Verb::Update, "update"}, {Verb::Patch, "patch"},
      {Verb::Delete, "delete"}, {Verb::DeleteCollection, "deletecollection"}};
  for (const KindInfo& kind : nexus::manifest::served_kinds()) {
    Json::array_t verbs;
    for (const auto& [verb, name] : kVerbs) {
      if (kind.serves(verb)) verbs.emplace_back(name);
    }
    kinds.push_back(
        {{"kind", kind.kind}, {"apiVersion", kind.api_version()}, {"verbs", std::move(verbs)}});
  }
  return kinds;
}

Result<int> run_version(Session& session, const Arguments& arguments) {
  Document document;
  document.value = {{"apiVersion", kApiVersion},
                    {"kind", "Version"},
                    {"client", {{"version", kVersionText}}},
                    {"server", nullptr},
                    {"served", served_json()}};
  if (!arguments.has("client")) {
    // The node may be away: its version is left out then, and the program's own is printed all the
    // same.
    if (const auto api = session.api()) {
      if (const auto server = (*api)->get("/version"))
        document.value["server"] = {{"version", text_at(*server, {"gitVersion"})},
                                    {"platform", text_at(*server, {"platform"})}};
    }
  }
  document.names = {std::string(kVersionText)};
  if (session.format().for_programs()) return session.show(document);
  session.console().out(fmt::format("hm {}\n", kVersionText));
  if (const std::string server = text_at(document.value, {"server", "version"}); !server.empty())
    session.console().out(fmt::format("node {}\n", printable(server)));
  std::string kinds;
  for (const KindInfo& kind : nexus::manifest::served_kinds())
    kinds += fmt::format("{}{}", kinds.empty() ? "" : " ", kind.kind);
  session.console().out(fmt::format("serves {}   (-o json names the verbs)\n", kinds));
  return 0;
}

constexpr Argument kMetricsArguments[] = {{"PREFIX", false}};
constexpr Argument kSpecArguments[] = {{"GROUP/VERSION", false}};
constexpr Flag kVersionFlags[] = {{"client", '\0', "", "do not ask the node"}};
constexpr Example kMetricsExamples[] = {{"hm metrics hypermesh_", "only names that begin so"}};
constexpr Example kSpecExamples[] = {{"hm api spec", "the groups"},
                                     {"hm api spec apps/v1", "OpenAPI 3 of one group"}};
constexpr Example kVersionExamples[] = {{"hm version -o json", ""}};

}  // namespace

constinit const Command kMetrics = {.path = "metrics",
                                    .summary = "the node's measurements, as Prometheus reads them",
                                    .description = "",
                                    .arguments = kMetricsArguments,
                                    .examples = kMetricsExamples,
                                    .run = run_metrics};
constinit const Command kApiSpec = {.path = "api spec",
                                    .summary = "the API of the node as OpenAPI",
                                    .description = "",
                                    .arguments = kSpecArguments,
                                    .examples = kSpecExamples,
                                    .run = run_api_spec};
constinit const Command kVersion = {
    .path = "version",
    .summary = "versions of program and node, and the kinds that are served",
    .description = "",
    .flags = kVersionFlags,
    .examples = kVersionExamples,
    .run = run_version};

}  // namespace cli
