#include "session/session.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <api_client/client.hpp>
#include <filesystem>

#include "output/units.hpp"
#include "session/files.hpp"
#include "session/loop.hpp"

namespace cli {

using base::Errc;
using base::Result;

namespace {

constexpr std::size_t kSmallFileBytesMax = 1u << 20;

Result<api_client::Endpoint> server_endpoint(const Context& context, const std::string& server) {
  TRY(const ServerAddress at, parse_server(server));
  api_client::Endpoint endpoint;
  endpoint.name = server;
  endpoint.address = at.address;
  endpoint.port = at.port;
  if (!context.token_file.empty()) {
    TRY(std::string token, read_file(context.token_file, kSmallFileBytesMax));
    // A node's own token file has one "TOKEN ROLE USER" a line: the first is the administrator's.
    token.resize(std::min(token.find_first_of(" \t\r\n"), token.size()));
    endpoint.token = std::move(token);
  }
  if (!context.certificate_file.empty()) {
    TRY(endpoint.certificate_pem, read_file(context.certificate_file, kSmallFileBytesMax));
  }
  return endpoint;
}

// HOME/NODE/run/api.sock of every node of a development cluster, by name.
Result<std::vector<api_client::Endpoint>> home_endpoints(const std::string& home) {
  std::vector<api_client::Endpoint> endpoints;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(home, error)) {
    const auto socket = entry.path() / "run" / "api.sock";
    std::error_code ignored;
    if (!std::filesystem::is_socket(socket, ignored)) continue;
    api_client::Endpoint endpoint;
    endpoint.name = entry.path().filename();
    endpoint.socket_path = socket;
    endpoints.push_back(std::move(endpoint));
  }
  std::ranges::sort(endpoints, {}, &api_client::Endpoint::name);
  if (endpoints.empty()) {
    return std::unexpected(base::with_hint(
        base::make_error(Errc::Unavailable, fmt::format("no node runs in {}", home)),
        "hm dev --detach"));
  }
  return endpoints;
}

}  // namespace

Session::Session(Console& console, const Environment& environment, const base::Clock& clock)
    : console_(console), environment_(environment), clock_(clock) {}
Session::~Session() = default;

Result<> Session::configure(const Arguments& arguments) {
  TRY(const ColourChoice colour, parse_colour(arguments.text("color", "auto")));
  console_.set_colour(colour);
  if (arguments.has("output")) {
    TRY(format_, parse_output(arguments.text("output")));
  }
  // Names only, where a list is printed.
  if (arguments.has("quiet") && !arguments.has("output")) format_.form = OutputFormat::Form::Name;
  console_.set_quiet(arguments.has("quiet") || format_.for_programs());
  with_heads_ = !arguments.has("no-headers");
  yes_ = arguments.has("yes");
  detach_ = arguments.has("detach");
  const std::string dry = arguments.text("dry-run", "none");
  dry_run_ = dry == "client" ? DryRun::Client : dry == "server" ? DryRun::Server : DryRun::No;
  if (arguments.has("timeout")) {
    TRY(timeout_, parse_duration(arguments.text("timeout"), "--timeout"));
  }
  verbosity_ = static_cast<int>(arguments.count("verbose"));
  context_ = arguments.text("context");
  trace_id_ = arguments.text("trace-id");
  const bool trace_fits =
      trace_id_.size() <= 64 && std::ranges::all_of(trace_id_, [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-';
      });
  if (!trace_fits)
    return base::fail(Errc::InvalidArgument,
                      "--trace-id wants at most 64 letters, digits, dots, dashes and underscores");
  role_ = arguments.text("as");
  name_space_ = arguments.value("namespace");
  return {};
}

std::string Session::development_home() const {
  if (const std::string home = environment_.get("HM_HOME"); !home.empty())
    return std::filesystem::absolute(home).lexically_normal();
  if (const std::string state = environment_.get("XDG_STATE_HOME"); !state.empty())
    return state + "/hypermesh/dev";
  return environment_.get("HOME") + "/.local/state/hypermesh/dev";
}

std::string Session::contexts_file() const {
  if (const std::string home = environment_.get("HM_HOME"); !home.empty())
    return home + "/config.yaml";
  if (const std::string config = environment_.get("XDG_CONFIG_HOME"); !config.empty())
    return config + "/hypermesh/config.yaml";
  return environment_.get("HOME") + "/.config/hypermesh/config.yaml";
}

std::string Session::cache_file() const {
  if (const std::string home = environment_.get("HM_HOME"); !home.empty())
    return home + "/completion.cache";
  if (const std::string cache = environment_.get("XDG_CACHE_HOME"); !cache.empty())
    return cache + "/hypermesh/completion";
  return environment_.get("HOME") + "/.cache/hypermesh/completion";
}

Result<Contexts> Session::load_contexts() const {
  const std::string file = contexts_file();
  auto text = read_file(file, kSmallFileBytesMax);
  if (!text && text.error().code == Errc::NotFound) return Contexts{};
  if (!text) return std::unexpected(std::move(text).error());
  return parse_contexts(*text, file);
}

Result<> Session::save_contexts(const Contexts& contexts) const {
  return write_private_file(contexts_file(), format_contexts(contexts));
}

Result<const Target*> Session::target() {
  if (!target_) {
    TRY(Contexts contexts, load_contexts());
    const std::string home = environment_.get("HM_HOME");
    TRY(target_, resolve_target({context_, home.empty() ? home : development_home(),
                                 environment_.get("HM_CONTEXT"), std::move(contexts)}));
  }
  return &*target_;
}

Result<std::string> Session::name_space() {
  if (name_space_) return *name_space_;
  TRY(const Target* target, this->target());
  return target->context.name_space.empty() ? std::string("default") : target->context.name_space;
}

Loop& Session::loop() {
  if (!loop_) {
    watch_for_interrupt();
    loop_ = std::make_unique<Loop>([this] { console_.draw(clock_.now()); });
  }
  return *loop_;
}

Result<Api*> Session::api() {
  if (api_) return api_.get();
  TRY(const Target* target, this->target());
  const Context& context = target->context;
  Api::Options options;
  if (!context.home.empty()) {
    TRY(options.endpoints, home_endpoints(context.home));
  } else if (!context.socket.empty()) {
    api_client::Endpoint endpoint;
    endpoint.name = target->name;
    endpoint.socket_path = context.socket;
    options.endpoints.push_back(std::move(endpoint));
  }
  for (const std::string& server : context.servers) {
    TRY(api_client::Endpoint endpoint, server_endpoint(context, server));
    options.endpoints.push_back(std::move(endpoint));
  }
  options.role = role_;
  options.request_max = request_max_;
  options.trace_answers = verbosity_ > 1;
  options.trace_id = trace_id_;
  if (verbosity_ > 0) {
    options.trace = [this](std::string_view line) {
      console_.err(paint(console_.err_look(), Tone::Dim, printable(line)) + "\n");
    };
  }
  api_ = std::make_unique<Api>(loop(), std::move(options));
  return api_.get();
}

Result<int> Session::show(const Document& document) {
  TRY(const Printed printed, print(document, format_, console_.out_look(), with_heads_));
  console_.out(printed.out);
  if (!printed.err.empty() && !console_.quiet()) console_.err(printed.err);
  return 0;
}

Result<bool> Session::decide(const Plan& plan) {
  if (dry_run_ != DryRun::No) {
    Document document;
    document.value = plan_json(plan);
    for (const PlanLine& line : plan.lines) document.names.push_back(line.object);
    if (format_.for_programs()) {
      TRY_DO(show(document));
    } else {
      console_.out(render_plan(plan, console_.out_look()));
    }
    return false;
  }
  if (!plan.destructive() || yes_) {
    if (!console_.quiet()) console_.err(render_plan(plan, console_.err_look()));
    return true;
  }
  console_.err(render_plan(plan, console_.err_look()));
  if (!console_.interactive()) {
    return std::unexpected(
        base::with_hint(base::make_error(Errc::InvalidArgument,
                                         "this replaces or removes something; nothing was done"),
                        "say --yes to go on without being asked"));
  }
  if (!console_.ask("Proceed?"))
    return base::fail(Errc::Cancelled, "not confirmed; nothing was done");
  return true;
}

void Session::show_receipt(const std::optional<Receipt>& receipt) {
  if (!receipt || format_.for_programs()) return;
  console_.out(fit(console_.out_look(), render_receipt(*receipt)) + "\n");
}

void Session::show_warnings(const Answer& answer) {
  for (const std::string& warning : answer.warnings) console_.say(Outcome::Note, warning);
}

std::string Session::refusal_trace() const {
  return api_ ? api_->refusal_trace() : std::string();
}

Json receipt_json(const std::optional<Receipt>& receipt) {
  if (!receipt) return nullptr;
  return {{"sequence", receipt->sequence},
          {"root", receipt->root},
          {"signatures", receipt->signatures},
          {"voters", receipt->signers}};
}

}  // namespace cli
