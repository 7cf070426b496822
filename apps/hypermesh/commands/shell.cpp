// completion and what it asks, help, man pages: the program about itself.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <manifest/explain.hpp>

#include "command/completion.hpp"
#include "command/help.hpp"
#include "commands/all.hpp"
#include "commands/objects.hpp"
#include "commands/topics.hpp"
#include "output/suggest.hpp"
#include "session/files.hpp"
#include "session/loop.hpp"
#include "version.hpp"

namespace cli {
namespace {

using base::Errc;
using base::Result;
using namespace std::chrono_literals;

constexpr base::Duration kNamesMax = 300ms;  // a shell waits for us
constexpr std::size_t kCacheBytesMax = 1u << 20;

Result<int> run_completion(Session& session, const Arguments& arguments) {
  TRY(const std::string script, completion_script(arguments.word(0)));
  session.console().out(script);
  return 0;
}

// The kinds whose names answer a question; "" for what is not an object.
std::vector<std::string> kinds_for(const Completion& completion) {
  switch (completion.names) {
    case Completes::Workload:
      return {"Deployment", "Job", "Pod"};
    case Completes::Deployment:
      return {"Deployment"};
    case Completes::Pod:
      return {"Pod"};
    case Completes::Node:
      return {"Node"};
    case Completes::Namespace:
      return {"Namespace"};
    case Completes::NameOfKind: {
      const auto kind =
          nexus::manifest::find_kind(completion.kind.substr(0, completion.kind.find(',')));
      return kind != nullptr ? std::vector<std::string>{std::string(kind->kind)}
                             : std::vector<std::string>{};
    }
    default:
      return {};
  }
}

Result<std::vector<std::string>> ask_names(Session& session, const Completion& completion) {
  TRY(Api * api, session.api());
  std::string name_space = completion.name_space;
  if (name_space.empty()) {
    TRY(name_space, session.name_space());
  }
  std::vector<std::string> names;
  if (completion.names == Completes::Image) {
    TRY(const Json images, api->get(own_path({"images"})));
    for (const Json& image : list_at(images, {"items"})) {
      for (const Json& reference : list_at(image, {"references"}))
        names.push_back(reference.is_string() ? reference.get<std::string>() : "");
    }
  }
  for (const std::string& kind : kinds_for(completion)) {
    TRY(const Json list, api->get(kind_path(kind_named(kind), name_space, "", {{"limit", "500"}})));
    for (const Json& item : list_at(list, {"items"}))
      names.push_back(text_at(item, {"metadata", "name"}));
  }
  return names;
}

// What was answered last, for when the node does not answer in time: {"KEY": ["name", ...]}.
std::vector<std::string> names_with_cache(Session& session, const Completion& completion) {
  const std::string key = fmt::format("{}/{}/{}", static_cast<int>(completion.names),
                                      completion.kind, completion.name_space);
  const std::string file = session.cache_file();
  Json cache = Json::parse(read_file(file, kCacheBytesMax).value_or("{}"), nullptr, false);
  if (!cache.is_object()) cache = Json::object();
  if (auto names = ask_names(session, completion)) {
    if (cache[key] != Json(*names)) {
      cache[key] = *names;
      // A cache that cannot be written is no cache.
      (void)write_private_file(file, cache.dump());
    }
    return *std::move(names);
  }
  std::vector<std::string> names;
  for (const Json& name : list_at(cache, {key}))
    names.push_back(name.is_string() ? name.get<std::string>() : "");
  return names;
}

Result<int> run_complete(Session& session, const Arguments& arguments) {
  const Completion completion = complete(all_commands(), command_groups(), arguments.words());
  std::vector<Candidate> found = completion.candidates;
  switch (completion.names) {
    case Completes::Nothing:
      break;
    case Completes::File:
      session.console().out(":files\n");
      break;
    case Completes::Folder:
      session.console().out(":folders\n");
      break;
    case Completes::Kind:
      for (const auto& kind : nexus::manifest::served_kinds())
        found.push_back({std::string(kind.plural), ""});
      break;
    case Completes::Field:
      for (const auto& path : nexus::manifest::complete_path(completion.word))
        found.push_back({path.path, path.description});
      break;
    case Completes::Context: {
      if (const auto contexts = session.load_contexts()) {
        for (const Context& context : contexts->entries) found.push_back({context.name, ""});
      }
      break;
    }
    case Completes::Topic:
    case Completes::Command:
      for (const Topic& topic : all_topics())
        found.push_back({std::string(topic.name), std::string(topic.summary)});
      break;
    default: {
      session.limit_requests(kNamesMax);
      const std::size_t slash = completion.word.find('/');
      const std::string prefix =
          slash == std::string::npos ? "" : completion.word.substr(0, slash + 1);
      for (const std::string& name : names_with_cache(session, completion))
        found.push_back({prefix + name, ""});
    }
  }
  for (const Candidate& candidate : found) {
    if (!candidate.word.starts_with(completion.word)) continue;
    session.console().out(completion.prefix + candidate.word +
                          (candidate.what.empty() ? "" : "\t" + candidate.what) + "\n");
  }
  return 0;
}

Result<int> run_help(Session& session, const Arguments& arguments) {
  Console& console = session.console();
  const Look& look = console.out_look();
  if (arguments.words().empty()) {
    console.out(render_overview(all_commands(), command_groups(), "", look));
    std::string topics = "\n" + paint(look, Tone::Bold, "Topics") + "\n";
    for (const Topic& topic : all_topics())
      topics += fmt::format("  {:<14} {}\n", topic.name, topic.summary);
    console.out(fit(look, topics));
    return 0;
  }
  std::string words = fmt::format("{}", fmt::join(arguments.words(), " "));
  for (const Topic& topic : all_topics()) {
    if (topic.name != words) continue;
    console.out(fit(look, topic.text));
    return 0;
  }
  for (const Command* command : all_commands()) {
    if (command->path != words || command->hidden) continue;
    console.out(render_help(*command, look));
    return 0;
  }
  const bool group =
      std::ranges::any_of(command_groups(), [&](const Group& g) { return g.name == words; });
  if (group) {
    console.out(render_overview(all_commands(), command_groups(), words, look));
    return 0;
  }
  std::vector<std::string_view> known;
  for (const Topic& topic : all_topics()) known.push_back(topic.name);
  for (const Command* command : all_commands()) known.push_back(command->path);
  std::string message = fmt::format("no topic and no command \"{}\"", words);
  if (const std::string near = suggest(words, known); !near.empty())
    message += fmt::format("; did you mean \"{}\"?", near);
  return std::unexpected(
      base::with_hint(base::make_error(Errc::NotFound, std::move(message)), "hm help"));
}

Result<> write_page(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::trunc);
  out << text;
  if (!out.flush()) return base::fail(Errc::Internal, fmt::format("cannot write {}", path));
  return {};
}

// Packages call this when they are built.
Result<int> run_man(Session&, const Arguments& arguments) {
  const std::string folder = arguments.word(0);
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return base::fail_errno(error.value(), fmt::format("cannot make {}", folder));
  for (const Command* command : all_commands()) {
    if (!command->hidden)
      TRY_DO(
          write_page(folder + "/" + man_file_name(*command), render_man(*command, kVersionText)));
  }
  TRY_DO(write_page(folder + "/hm.1",
                    render_man_overview(all_commands(), command_groups(), kVersionText)));
  return 0;
}

constexpr Argument kShell[] = {{"SHELL", true, false, Completes::Nothing, "bash|zsh|fish"}};
constexpr Argument kWords[] = {{"WORD", false, true}};
constexpr Argument kTopicArguments[] = {{"TOPIC|COMMAND", false, true, Completes::Topic}};
constexpr Argument kFolder[] = {{"FOLDER", true, false, Completes::Folder}};
constexpr Example kCompletionExamples[] = {
    {"source <(hm completion bash)", "for this shell; put it into ~/.bashrc for all"}};
constexpr Example kHelpExamples[] = {{"hm help errors", ""}, {"hm help image pull", ""}};
constexpr Example kManExamples[] = {{"hm man ./man", ""}};

}  // namespace

constinit const Command kCompletion = {
    .path = "completion",
    .summary = "the script that completes hm in a shell",
    .description = "Names come from the cluster within 300 ms, else from what was answered last.",
    .arguments = kShell,
    .examples = kCompletionExamples,
    .run = run_completion};
constinit const Command kComplete = {.path = "__complete",
                                     .summary = "what completion scripts ask",
                                     .description = "",
                                     .arguments = kWords,
                                     .hidden = true,
                                     .run = run_complete};
constinit const Command kHelp = {
    .path = "help",
    .summary = "explain a topic or a command",
    .description = "All texts are in the program: no network is needed.",
    .arguments = kTopicArguments,
    .examples = kHelpExamples,
    .run = run_help};
constinit const Command kMan = {.path = "man",
                                .summary = "write the manual pages into a folder",
                                .description = "",
                                .arguments = kFolder,
                                .examples = kManExamples,
                                .run = run_man};

}  // namespace cli
