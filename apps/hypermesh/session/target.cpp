#include "session/target.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <base/config/units.hpp>
#include <manifest/yaml_document.hpp>

#include "output/json_access.hpp"
#include "output/suggest.hpp"
#include "output/yaml.hpp"

namespace cli {

const Context* Contexts::find(std::string_view name) const {
  const auto found = std::ranges::find(entries, name, &Context::name);
  return found == entries.end() ? nullptr : &*found;
}

base::Result<Contexts> parse_contexts(std::string_view text, std::string_view file) {
  const auto read = nexus::manifest::read_documents(text, file);
  const auto wrong = [&](std::string message) {
    return std::unexpected(base::with_hint(
        base::make_error(base::Errc::InvalidArgument, fmt::format("{}: {}", file, message)),
        "hm help contexts"));
  };
  if (!read.problems.empty()) {
    return std::unexpected(
        base::make_error(base::Errc::InvalidArgument, read.problems.front().headline()));
  }
  Contexts contexts;
  if (read.documents.empty()) return contexts;
  const Json& root = read.documents.front().value;
  if (!root.is_object()) return wrong("want a mapping with \"current\" and \"contexts\"");
  contexts.current = text_at(root, {"current"});
  for (const Json& entry : list_at(root, {"contexts"})) {
    Context context;
    context.name = text_at(entry, {"name"});
    context.home = text_at(entry, {"home"});
    context.socket = text_at(entry, {"socket"});
    context.token_file = text_at(entry, {"token-file"});
    context.certificate_file = text_at(entry, {"certificate-file"});
    context.name_space = text_at(entry, {"namespace"});
    for (const Json& server : list_at(entry, {"servers"}))
      context.servers.push_back(server.is_string() ? server.get<std::string>() : "");
    const int ways =
        int{!context.home.empty()} + int{!context.socket.empty()} + int{!context.servers.empty()};
    if (context.name.empty()) return wrong("a context has no name");
    if (ways != 1)
      return wrong(
          fmt::format("context \"{}\" wants one of home, socket and servers", context.name));
    if (contexts.find(context.name) != nullptr)
      return wrong(fmt::format("context \"{}\" is there twice", context.name));
    for (const std::string& server : context.servers) TRY_DO(parse_server(server));
    contexts.entries.push_back(std::move(context));
  }
  return contexts;
}

std::string format_contexts(const Contexts& contexts) {
  Json root = {{"current", contexts.current}, {"contexts", Json::array()}};
  for (const Context& context : contexts.entries) {
    Json entry = {{"name", context.name}};
    const auto add = [&](const char* key, const std::string& value) {
      if (!value.empty()) entry[key] = value;
    };
    add("home", context.home);
    add("socket", context.socket);
    if (!context.servers.empty()) entry["servers"] = context.servers;
    add("token-file", context.token_file);
    add("certificate-file", context.certificate_file);
    add("namespace", context.name_space);
    root["contexts"].push_back(std::move(entry));
  }
  return to_yaml(root);
}

namespace {

base::Result<Target> context_named(const Contexts& contexts, std::string_view name,
                                   std::string_view said_by) {
  if (const Context* found = contexts.find(name))
    return Target{fmt::format("context {}", name), *found};
  std::vector<std::string_view> names;
  for (const Context& context : contexts.entries) names.push_back(context.name);
  std::string message = fmt::format("{} names context \"{}\", which does not exist", said_by, name);
  if (const std::string near = suggest(name, names); !near.empty())
    message += fmt::format("; did you mean \"{}\"?", near);
  return std::unexpected(
      base::with_hint(base::make_error(base::Errc::NotFound, std::move(message)), "hm context ls"));
}

}  // namespace

base::Result<Target> resolve_target(const TargetQuestion& question) {
  if (!question.context_flag.empty())
    return context_named(question.contexts, question.context_flag, "--context");
  if (!question.home.empty()) {
    return Target{fmt::format("HM_HOME={}", question.home),
                  Context{.name = "HM_HOME", .home = question.home}};
  }
  if (!question.context_variable.empty())
    return context_named(question.contexts, question.context_variable, "HM_CONTEXT");
  if (!question.contexts.current.empty())
    return context_named(question.contexts, question.contexts.current, "the contexts file");
  return Target{"this machine",
                Context{.name = "this machine", .socket = std::string(kSystemSocket)}};
}

base::Result<ServerAddress> parse_server(std::string_view text) {
  std::string_view rest = text;
  const auto wrong = [&] {
    return base::fail(
        base::Errc::InvalidArgument,
        fmt::format("\"{}\" is not the address of a node; want https://[ADDRESS]:8443",
                    text.substr(0, 200)));
  };
  constexpr std::string_view kScheme = "https://";
  if (!rest.starts_with(kScheme)) return wrong();
  rest.remove_prefix(kScheme.size());
  if (rest.ends_with('/')) rest.remove_suffix(1);
  auto endpoint = base::config::parse_endpoint(rest);
  if (!endpoint) endpoint = base::config::parse_endpoint(std::string(rest) + ":8443");
  if (!endpoint || endpoint->port == 0) return wrong();
  return ServerAddress{std::move(endpoint->address), endpoint->port};
}

}  // namespace cli
