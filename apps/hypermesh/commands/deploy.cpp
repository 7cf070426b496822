// deploy, apply, diff, run: manifests, and what is made from flags.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <demo/demo_image.hpp>
#include <manifest/diff.hpp>

#include "commands/all.hpp"
#include "commands/apply.hpp"
#include "output/units.hpp"
#include "output/yaml.hpp"

namespace cli {
namespace {

using base::Errc;
using base::Result;

constexpr int kDifferencesExit = 10;

constexpr std::string_view kDemoManifest = R"(apiVersion: apps/v1
kind: Deployment
metadata: {name: demo, labels: {app: demo}}
spec:
  replicas: 3
  selector: {matchLabels: {app: demo}}
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  template:
    metadata: {labels: {app: demo}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
        - name: demo
          image: hypermesh.invalid/demo:1
          imagePullPolicy: IfNotPresent
          ports: [{name: http, containerPort: 8080}]
          resources: {requests: {cpu: 10m, memory: 8Mi}, limits: {memory: 16Mi}}
          readinessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 1}
          livenessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 10}
          securityContext: {readOnlyRootFilesystem: true, allowPrivilegeEscalation: false}
---
apiVersion: v1
kind: Service
metadata: {name: demo, labels: {app: demo}}
spec:
  selector: {app: demo}
  ports: [{name: http, port: 80, targetPort: http}]
)";

Plan plan_of(const std::vector<Prepared>& prepared, const std::string& name_space,
             const std::string& note) {
  Plan plan{fmt::format("namespace {}", name_space), note, {}};
  for (const Prepared& one : prepared) {
    plan.lines.push_back(one.line);
    if (!one.name_space.empty() && one.name_space != name_space)
      plan.lines.back().object = fmt::format("{}/{}", one.name_space, one.line.object);
  }
  return plan;
}

Result<int> conclude(Session& session, const WriteOutcome& outcome) {
  session.show_receipt(outcome.receipt);
  if (!session.format().for_programs()) return 0;
  Document document;
  Json::array_t items;
  for (const Written& one : outcome.written) {
    Json item = one.object;
    items.push_back(std::move(item));
    document.names.push_back(object_text(one.object));
  }
  document.value = list_json("List", std::move(items));
  Json::array_t words;
  for (const Written& one : outcome.written)
    words.push_back({{"object", object_text(one.object)}, {"result", one.word}});
  document.value["results"] = std::move(words);
  document.value["receipt"] = receipt_json(outcome.receipt);
  return session.show(document);
}

struct Choice {
  bool wait = true;
  bool roll_back = true;
};

Result<int> carry_out(Session& session, Api& api, const Manifests& manifests,
                      const std::string& name_space, Choice choice) {
  TRY(const std::vector<Prepared> prepared, prepare(session, api, manifests, name_space));
  TRY(const bool go, session.decide(plan_of(prepared, name_space, manifests.note)));
  if (!go) return 0;
  WriteOutcome outcome;
  if (auto written = write_all(session, api, prepared, outcome); !written) {
    // What was written is said and stays: an apply is not undone because a later object failed.
    session.show_receipt(outcome.receipt);
    base::Error error = std::move(written).error();
    if (!outcome.written.empty())
      error.message +=
          fmt::format(" ({} of {} objects were written)", outcome.written.size(), prepared.size());
    return std::unexpected(std::move(error));
  }
  if (choice.wait) {
    if (auto ready = wait_for_rollouts(session, api, outcome.rollouts); !ready) {
      session.show_receipt(outcome.receipt);
      if (!choice.roll_back) return std::unexpected(std::move(ready).error());
      return std::unexpected(roll_back(session, api, outcome.rollouts, std::move(ready).error()));
    }
    show_addresses(session, outcome.written);
  }
  return conclude(session, outcome);
}

// The bundled image goes to the node unless it is there.
Result<> bring_demo_image(Session& session, Api& api) {
  const std::string reference(apps::kDemoImageReference);
  const auto there = api.get(own_path({"images", "inspect"}, {{"reference", reference}}));
  if (there) return {};
  if (there.error().code != Errc::NotFound) return std::unexpected(there.error());
  std::string_view rest = apps::demo_image();
  const std::size_t size = rest.size();
  const auto start = session.clock().now();
  const auto next = [&rest]() -> Result<std::string> {
    constexpr std::size_t kPieceBytes = 256 * 1024;
    std::string piece(rest.substr(0, kPieceBytes));
    rest.remove_prefix(piece.size());
    return piece;
  };
  TRY_DO(api.upload("POST", own_path({"images", "import"}, {{"reference", reference}}),
                    "application/x-tar", next));
  session.console().say(Outcome::Done,
                        fmt::format("image {}   {} from this program in {}", reference,
                                    show_bytes(size), show_took(session.clock().now() - start)));
  return {};
}

Result<int> run_deploy(Session& session, const Arguments& arguments) {
  TRY(const std::string name_space, session.name_space());
  const std::vector<std::string> files = arguments.all("file");
  const bool demo = arguments.word(0) == "demo";
  if (demo != files.empty() || arguments.words().size() > 1 ||
      (!demo && !arguments.words().empty())) {
    return std::unexpected(
        base::with_hint(base::make_error(Errc::InvalidArgument, "want files with -f, or \"demo\""),
                        "hm deploy -f app.yaml"));
  }
  TRY(const Manifests manifests,
      demo
          ? read_manifests(session, kDemoManifest, "the bundled demo", name_space)
          : load_manifests(session, files, name_space, arguments.text("unknown-fields") == "warn"));
  TRY(Api * api, session.api());
  if (demo && session.dry_run() == DryRun::No) TRY_DO(bring_demo_image(session, *api));
  return carry_out(session, *api, manifests, name_space,
                   {.wait = true, .roll_back = !arguments.has("no-rollback")});
}

Result<int> run_apply(Session& session, const Arguments& arguments) {
  TRY(const std::string name_space, session.name_space());
  if (!arguments.has("file"))
    return std::unexpected(base::with_hint(
        base::make_error(Errc::InvalidArgument, "want files with -f"), "hm apply -f app.yaml"));
  TRY(const Manifests manifests, load_manifests(session, arguments.all("file"), name_space,
                                                arguments.text("unknown-fields") == "warn"));
  TRY(Api * api, session.api());
  return carry_out(session, *api, manifests, name_space, {.wait = false});
}

Result<int> run_diff(Session& session, const Arguments& arguments) {
  TRY(const std::string name_space, session.name_space());
  if (!arguments.has("file"))
    return std::unexpected(base::with_hint(
        base::make_error(Errc::InvalidArgument, "want files with -f"), "hm diff -f app.yaml"));
  TRY(const Manifests manifests, load_manifests(session, arguments.all("file"), name_space,
                                                arguments.text("unknown-fields") == "warn"));
  TRY(Api * api, session.api());
  TRY(const std::vector<Prepared> prepared, prepare(session, *api, manifests, name_space));
  Json::array_t items;
  std::string text;
  const Look& look = session.console().out_look();
  for (const Prepared& one : prepared) {
    const auto changes = nexus::manifest::diff_objects(*one.source->kind, one.before, one.after);
    if (changes.empty()) continue;
    const std::string object = object_text(one.after);
    text += paint(look, Tone::Bold, object) + (one.before.is_null() ? "  (new)" : "") + "\n";
    Json::array_t fields;
    for (const auto& change : changes) {
      using Kind = nexus::manifest::FieldChange::Kind;
      const Tone tone = change.kind == Kind::Added     ? Tone::Good
                        : change.kind == Kind::Removed ? Tone::Bad
                                                       : Tone::Warn;
      text += "  " + paint(look, tone, fit(look, printable(change.text()))) + "\n";
      Json field = {{"path", change.path},
                    {"change", change.kind == Kind::Added     ? "added"
                               : change.kind == Kind::Removed ? "removed"
                                                              : "changed"}};
      if (!change.secret) {
        field["before"] = change.before;
        field["after"] = change.after;
      }
      fields.push_back(std::move(field));
    }
    items.push_back({{"object", object},
                     {"namespace", one.name_space},
                     {"new", one.before.is_null()},
                     {"fields", std::move(fields)}});
  }
  const int exit = items.empty() ? 0 : kDifferencesExit;
  if (session.format().for_programs()) {
    Document document;
    for (const Json& item : items) document.names.push_back(text_at(item, {"object"}));
    document.value = list_json("Diff", std::move(items));
    TRY_DO(session.show(document));
  } else if (items.empty()) {
    session.console().say(Outcome::Done, "no differences");
  } else {
    session.console().out(text);
  }
  return exit;
}

Result<std::int64_t> number_of(const Arguments& arguments, const char* flag, std::int64_t low,
                               std::int64_t high, std::int64_t otherwise) {
  if (!arguments.has(flag)) return otherwise;
  const std::string text = arguments.text(flag);
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < low || number > high) {
    return base::fail(
        Errc::InvalidArgument,
        fmt::format("--{} is \"{}\"; want a number from {} to {}", flag, text, low, high));
  }
  return number;
}

Result<std::string> manifest_from_flags(const Arguments& arguments) {
  const std::string name = arguments.word(0);
  TRY(const std::int64_t replicas, number_of(arguments, "replicas", 0, 100'000, 1));
  TRY(const std::int64_t port, number_of(arguments, "port", 1, 65535, 0));
  TRY(const std::int64_t target, number_of(arguments, "target-port", 1, 65535, port));
  Json container = {{"name", name}, {"image", arguments.text("image")}};
  if (port != 0) container["ports"] = Json::array({{{"containerPort", target}}});
  for (const std::string& word : arguments.all("env")) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos || equals == 0)
      return base::fail(Errc::InvalidArgument, fmt::format("--env \"{}\": want NAME=VALUE", word));
    container["env"].push_back(
        {{"name", word.substr(0, equals)}, {"value", word.substr(equals + 1)}});
  }
  for (const char* resource : {"cpu", "memory"}) {
    if (!arguments.has(resource)) continue;
    container["resources"]["requests"][resource] = arguments.text(resource);
    container["resources"]["limits"][resource] = arguments.text(resource);
  }
  if (arguments.has("probe"))
    container["readinessProbe"] = {
        {"httpGet", {{"path", arguments.text("probe")}, {"port", target}}}, {"periodSeconds", 1}};
  if (arguments.has("probe") && port == 0)
    return base::fail(Errc::InvalidArgument, "--probe wants --port: where to ask");
  if (!arguments.command_words().empty()) container["args"] = arguments.command_words();
  const Json labels = {{"app", name}};
  const Json deployment = {{"apiVersion", "apps/v1"},
                           {"kind", "Deployment"},
                           {"metadata", {{"name", name}, {"labels", labels}}},
                           {"spec",
                            {{"replicas", replicas},
                             {"selector", {{"matchLabels", labels}}},
                             {"template",
                              {{"metadata", {{"labels", labels}}},
                               {"spec", {{"containers", Json::array({container})}}}}}}}};
  std::string text = to_yaml(deployment);
  if (port != 0) {
    const Json service = {{"apiVersion", "v1"},
                          {"kind", "Service"},
                          {"metadata", {{"name", name}, {"labels", labels}}},
                          {"spec",
                           {{"selector", labels},
                            {"ports", Json::array({{{"port", port}, {"targetPort", target}}})}}}};
    text += "---\n" + to_yaml(service);
  }
  return text;
}

Result<int> run_run(Session& session, const Arguments& arguments) {
  TRY(const std::string name_space, session.name_space());
  if (!arguments.has("image"))
    return std::unexpected(
        base::with_hint(base::make_error(Errc::InvalidArgument, "--image is missing"),
                        fmt::format("hm run {} --image nginx:1.28 --port 80", arguments.word(0))));
  TRY(const std::string text, manifest_from_flags(arguments));
  if (arguments.has("print")) {
    session.console().out(text);
    return 0;
  }
  TRY(const Manifests manifests, read_manifests(session, text, "the flags", name_space));
  TRY(Api * api, session.api());
  for (const auto& object : manifests.objects) {
    const auto there = api->get(kind_path(*object.kind, name_space, object.name()));
    if (there) {
      base::Error error = base::make_error(
          Errc::AlreadyExists, fmt::format("{}/{} exists", object.kind->singular, object.name()));
      error.hints = {
          fmt::format("hm update {} --image {}", arguments.word(0), arguments.text("image")),
          fmt::format("hm delete {}/{}", object.kind->singular, object.name())};
      return std::unexpected(std::move(error));
    }
    if (there.error().code != Errc::NotFound) return std::unexpected(there.error());
  }
  return carry_out(session, *api, manifests, name_space, {});
}

constexpr Argument kDemo[] = {{"demo", false, false, Completes::Nothing, "demo"}};
constexpr Argument kName[] = {{"NAME"}};
constexpr Flag kFile = {
    "file", 'f', "FILE",         "a manifest, a folder of manifests, or - for standard input",
    true,   {},  Completes::File};
constexpr Flag kUnknownFields = {"unknown-fields",
                                 '\0',
                                 "WHAT",
                                 "refuse them (default), or warn and leave them out",
                                 false,
                                 {},
                                 Completes::Nothing,
                                 "refuse|warn"};
constexpr Flag kDeployFlags[] = {
    kFile,
    kUnknownFields,
    {"no-rollback", '\0', "", "leave what does not become ready as it is"},
};
constexpr Flag kApplyFlags[] = {kFile, kUnknownFields};
constexpr Flag kRunFlags[] = {
    {"image", '\0', "IMAGE", "what to run", false, {}, Completes::Image},
    {"port", '\0', "PORT", "make a service on this port"},
    {"target-port", '\0', "PORT", "the port of the container; default: the same"},
    {"replicas", '\0', "COUNT", "how many (default 1)"},
    {"env", '\0', "NAME=VALUE", "an environment variable", true},
    {"cpu", '\0', "AMOUNT", "request and limit, such as 250m"},
    {"memory", '\0', "AMOUNT", "request and limit, such as 128Mi"},
    {"probe", '\0', "PATH", "ready when GET PATH answers"},
    {"print", '\0', "", "print the manifest instead"},
};
constexpr Example kDeployExamples[] = {
    {"hm deploy -f app.yaml", "plan, apply, wait until it is ready"},
    {"hm deploy demo", "the application in this program"},
    {"hm deploy -f app.yaml --dry-run", "the plan only"}};
constexpr Example kApplyExamples[] = {{"hm apply -f app.yaml", "without waiting"}};
constexpr Example kDiffExamples[] = {
    {"hm diff -f app.yaml", "exit 10 when something would change"}};
constexpr Example kRunExamples[] = {
    {"hm run web --image nginx:1.28 --port 80 --replicas 3", ""},
    {"hm run job --image busybox --print -- sleep 60", "the manifest, to go on with"}};

}  // namespace

constinit const Command kDeploy = {
    .path = "deploy",
    .summary = "bring manifests to the cluster and wait until they run",
    .description =
        "Shows what will change, asks where something is replaced, and waits. A deployment that "
        "does not become ready\n"
        "within --timeout or its progress deadline is rolled back, and the command fails. "
        "Addresses are printed only\n"
        "after they answered.",
    .arguments = kDemo,
    .flags = kDeployFlags,
    .examples = kDeployExamples,
    .run = run_deploy};
constinit const Command kApply = {.path = "apply",
                                  .summary = "bring manifests to the cluster without waiting",
                                  .description = "",
                                  .flags = kApplyFlags,
                                  .examples = kApplyExamples,
                                  .run = run_apply};
constinit const Command kDiff = {.path = "diff",
                                 .summary = "what deploy would change, field by field",
                                 .description = "Values of Secrets are left out.",
                                 .flags = kApplyFlags,
                                 .examples = kDiffExamples,
                                 .run = run_diff};
constinit const Command kRun = {
    .path = "run",
    .summary = "run an image: a deployment, and a service with --port",
    .description = "Words after -- are the arguments of the image's program.",
    .arguments = kName,
    .flags = kRunFlags,
    .examples = kRunExamples,
    .takes_command = true,
    .run = run_run};

}  // namespace cli
