// Configuration files, checked and shown without a daemon.

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "commands/all.hpp"
#include "commands/objects.hpp"
#include "configuration/configuration.hpp"

namespace cli {
namespace {

using base::Result;
using base::config::Problem;

constexpr int kExitDifferences = 10;
constexpr std::string_view kSystemFolder = "/etc/hypermesh";

// A folder stands for the configuration files in it.
std::vector<std::string> files_of(const std::vector<std::string>& words) {
  std::vector<std::string> files;
  for (const std::string& word : words) {
    std::error_code ignored;
    if (std::filesystem::is_directory(word, ignored)) {
      std::ranges::copy(apps::configuration_files(word), std::back_inserter(files));
    } else {
      files.push_back(word);
    }
  }
  return files;
}

std::string_view severity_text(const Problem& problem) {
  return problem.severity == Problem::Severity::Error ? "error" : "warning";
}

Table problem_table(const std::vector<Problem>& problems) {
  Table table({"PLACE", "KEY", "PROBLEM", "SEVERITY"});
  for (const Problem& problem : problems) {
    const bool error = problem.severity == Problem::Severity::Error;
    table.row({problem.origin.describe(), problem.key, problem.message,
               Cell(std::string(severity_text(problem)), error ? Tone::Bad : Tone::Warn)});
  }
  return table;
}

Result<int> check(Session& session, const Arguments& arguments) {
  auto loaded = apps::load_configuration(files_of(arguments.words()), apps::process_environment());
  if (!loaded) {
    // A text that is no configuration at all is one problem, told like the others.
    if (loaded.error().code != base::Errc::InvalidArgument)
      return std::unexpected(std::move(loaded).error());
    if (!session.format().for_programs()) {
      session.console().out(loaded.error().message + "\n1 error\n");
      return kExitDifferences;
    }
    Json::array_t items;
    items.push_back(
        {{"place", ""}, {"key", ""}, {"message", loaded.error().message}, {"severity", "error"}});
    Document document;
    document.value = list_json("ConfigurationProblemList", std::move(items));
    TRY_DO(session.show(document));
    return kExitDifferences;
  }
  Json::array_t items;
  for (const Problem& problem : loaded->problems) {
    items.push_back({{"place", problem.origin.describe()},
                     {"key", problem.key},
                     {"message", problem.message},
                     {"severity", severity_text(problem)}});
  }
  Document document;
  document.value = list_json("ConfigurationProblemList", std::move(items));
  document.table = [&](bool) { return problem_table(loaded->problems); };
  document.when_empty = "no problem found";
  TRY_DO(session.show(document));
  return loaded->problems.empty() ? 0 : kExitDifferences;
}

Result<int> show_node(Session& session) {
  TRY(Api * api, session.api());
  TRY(const Json json, api->get(own_path({"config", "effective"})));
  Document document;
  document.value = json;
  document.table = [json](bool wide) {
    Table table(wide ? std::vector<std::string>{"KEY", "VALUE", "ORIGIN", "EFFECT"}
                     : std::vector<std::string>{"KEY", "VALUE", "ORIGIN"});
    for (const Json& item : list_at(json, {"items"})) {
      const std::string layer = text_at(item, {"layer"});
      std::vector<Cell> row{
          layer.empty() ? text_at(item, {"key"}) : layer + "." + text_at(item, {"key"}),
          item.contains("value") ? item["value"].dump() : "", text_at(item, {"origin"})};
      if (wide) row.emplace_back(text_at(item, {"effect"}));
      table.row(std::move(row));
    }
    return table;
  };
  return session.show(document);
}

Result<int> show(Session& session, const Arguments& arguments) {
  std::vector<std::string> words = arguments.words();
  if (words.empty()) {
    if (session.target()) return show_node(session);
    words.emplace_back(kSystemFolder);
  }
  TRY(const auto loaded, apps::load_configuration(files_of(words), apps::process_environment()));
  TRY_DO(base::config::require_valid(loaded));
  const bool effective = arguments.has("effective");
  Document document;
  document.value = Json::parse(loaded.effective.to_json(arguments.has("origin")));
  document.table = [&](bool wide) {
    Table table({"KEY", "VALUE", "ORIGIN"});
    for (const auto& [path, entry] : loaded.effective.entries()) {
      if (!effective && !entry.given()) continue;
      std::string value =
          std::visit([](const auto& setting) { return Json(setting).dump(); }, entry.setting);
      if (entry.key->kind == base::config::KeyKind::Duration) {
        value =
            fmt::format("{}s", static_cast<double>(std::get<std::int64_t>(entry.setting)) / 1e9);
      }
      std::string origin = entry.origin.describe();
      if (wide && !entry.key->unbuilt.empty())
        origin += "  (no effect in this build: " + entry.key->unbuilt + ")";
      table.row({path, value, origin});
    }
    return table;
  };
  document.when_empty = "nothing is set; --effective shows the defaults";
  return session.show(document);
}

constexpr Argument kCheckArguments[] = {{"FILE", true, true, Completes::File}};
constexpr Example kCheckExamples[] = {
    {"hm config check /etc/hypermesh/nexus.yaml",
     "every problem with file, line and key; exit 10 when there is one"}};

constexpr Argument kShowArguments[] = {{"FILE", false, true, Completes::File}};
constexpr Flag kShowFlags[] = {
    {"effective", '\0', "", "also what nobody set: every key with the value in force"},
    {"origin", '\0', "", "with -o json: where each value comes from"}};
constexpr Example kShowExamples[] = {{"hm config show --effective -o json stoq.yaml",
                                      "what a file means: durations in seconds, sizes in bytes"},
                                     {"hm config show", "what the node runs with"}};

}  // namespace

const Command kConfigCheck = {
    .path = "config check",
    .summary = "tell every mistake of configuration files",
    .description =
        "Reads the files together, as a daemon would, with the overrides of the environment.",
    .arguments = kCheckArguments,
    .examples = kCheckExamples,
    .run = check};

const Command kConfigShow = {
    .path = "config show",
    .summary = "show what a configuration means",
    .description =
        "With files: what they mean, without a daemon. Without: what the node runs with.",
    .arguments = kShowArguments,
    .flags = kShowFlags,
    .examples = kShowExamples,
    .run = show};

}  // namespace cli
