#include <fmt/format.h>

#include <algorithm>

#include "commands/all.hpp"
#include "commands/manifests.hpp"
#include "commands/objects.hpp"
#include "commands/plan_details.hpp"
#include "output/units.hpp"

namespace cli {
namespace {

using namespace std::chrono_literals;
using base::Errc;
using base::Result;
using Mark = PlanLine::Mark;

struct Doomed {
  ObjectName object;
  std::string name_space;
  Json json;
};

struct Options {
  Query query;  // of each DELETE
  bool missing_is_fine = false;
};

Result<Options> read_options(const Arguments& arguments) {
  Options options;
  const std::string cascade = arguments.text("cascade", "background");
  options.query.emplace_back("propagationPolicy", cascade == "background"   ? "Background"
                                                  : cascade == "foreground" ? "Foreground"
                                                                            : "Orphan");
  std::string grace = arguments.has("now") ? "0" : arguments.text("grace-period");
  const bool digits =
      grace.size() < 7 &&
      std::ranges::all_of(grace, [](unsigned char c) { return std::isdigit(c) != 0; });
  if (!digits)
    return base::fail(Errc::InvalidArgument,
                      fmt::format("--grace-period is \"{}\"; want seconds", grace));
  options.query.emplace_back("gracePeriodSeconds", grace);
  options.missing_is_fine = arguments.has("ignore-not-found");
  return options;
}

Result<std::vector<Doomed>> named(Session& session, Api& api, const Arguments& arguments,
                                  const std::string& name_space, bool missing_is_fine) {
  TRY(const auto objects, parse_objects(arguments.words()));
  std::vector<Doomed> out;
  for (const ObjectName& object : objects) {
    const std::string space = object.kind->namespaced ? name_space : "";
    if (object.name.empty()) {
      if (!arguments.has("all") && !arguments.has("selector")) {
        return std::unexpected(base::with_hint(
            base::make_error(Errc::InvalidArgument,
                             fmt::format("which {}? Name them, or say --all or --selector",
                                         object.kind->plural)),
            fmt::format("hm get {}", object.kind->plural)));
      }
      TRY(auto items,
          list_all(api, *object.kind, space, {{"labelSelector", arguments.text("selector")}}));
      for (Json& item : items)
        out.push_back({{object.kind, text_at(item, {"metadata", "name"})}, space, std::move(item)});
      continue;
    }
    auto json = api.get(kind_path(*object.kind, space, object.name));
    if (!json && json.error().code == Errc::NotFound && missing_is_fine) continue;
    if (!json)
      return std::unexpected(
          with_nearest_name(session, api, object, space, std::move(json).error()));
    out.push_back({object, space, *std::move(json)});
  }
  return out;
}

Result<std::vector<Doomed>> from_files(Session& session, Api& api, const Arguments& arguments,
                                       const std::string& name_space) {
  TRY(const Manifests manifests, load_manifests(session, arguments.all("file"), name_space, true));
  std::vector<Doomed> out;
  // What was made last goes first.
  for (auto object = manifests.objects.rbegin(); object != manifests.objects.rend(); ++object) {
    const std::string space =
        object->kind->namespaced
            ? (object->name_space().empty() ? name_space : std::string(object->name_space()))
            : "";
    auto json = api.get(kind_path(*object->kind, space, object->name()));
    if (!json && json.error().code != Errc::NotFound)
      return std::unexpected(std::move(json).error());
    if (json) out.push_back({{object->kind, std::string(object->name())}, space, *std::move(json)});
  }
  if (out.empty() && !arguments.has("ignore-not-found"))
    return base::fail(Errc::NotFound, "none of the objects in the files exists");
  return out;
}

bool has_pods(const Doomed& doomed) {
  const std::string_view kind = doomed.object.kind->kind;
  return kind == "Deployment" || kind == "ReplicaSet" || kind == "Job" || kind == "Pod";
}

// Pods that still belong to what was deleted.
Result<std::size_t> pods_left(Api& api, const std::vector<Doomed>& all) {
  TRY(const Json ps, api.get(own_path({"ps"})));
  std::size_t left = 0;
  for (const Json& item : list_at(ps, {"items"})) {
    left += static_cast<std::size_t>(std::ranges::any_of(all, [&](const Doomed& doomed) {
      if (!has_pods(doomed) || text_at(item, {"namespace"}) != doomed.name_space) return false;
      if (doomed.object.kind->kind == "Pod")
        return text_at(item, {"name"}) == doomed.object.name &&
               text_at(item, {"created"}) ==
                   text_at(doomed.json, {"metadata", "creationTimestamp"});
      return text_at(item, {"workload"}) == doomed.object.name &&
             text_at(item, {"workloadKind"}) == doomed.object.kind->kind;
    }));
  }
  return left;
}

// An object that waits for its finalizers, or that is another one of the same name.
Result<bool> is_gone(Api& api, const Doomed& doomed) {
  const auto json = api.get(kind_path(*doomed.object.kind, doomed.name_space, doomed.object.name));
  if (json) return text_at(*json, {"metadata", "uid"}) != text_at(doomed.json, {"metadata", "uid"});
  if (json.error().code == Errc::NotFound) return true;
  return std::unexpected(json.error());
}

// What is still there, in words; empty: nothing.
Result<std::string> still_there(Api& api, const std::vector<Doomed>& all, bool orphans) {
  std::string waiting;
  for (const Doomed& doomed : all) {
    TRY(const bool gone, is_gone(api, doomed));
    if (!gone) waiting = fmt::format("{} is ending", doomed.object.text());
  }
  if (orphans) return waiting;
  TRY(const std::size_t left, pods_left(api, all));
  return left > 0 ? fmt::format("{} pods are ending", left) : waiting;
}

Result<> wait_until_gone(Session& session, Api& api, const std::vector<Doomed>& all, bool orphans) {
  const auto start = session.clock().now();
  const base::Duration limit = session.timeout();
  std::string version, words;
  for (auto answered = start;;) {
    const auto now = session.clock().now();
    auto listed = list_version(api, kind_named("Pod"), "");
    auto there = listed ? still_there(api, all, orphans)
                        : Result<std::string>(std::unexpected(listed.error()));
    if (there) {
      if (there->empty()) break;
      version = *std::move(listed);
      words = *std::move(there);
      answered = now;
    } else if (there.error().code != Errc::Unavailable || now - answered > kAwayMax) {
      return std::unexpected(std::move(there).error());
    }
    session.console().board().update("delete", words);
    const auto remaining = start + limit - now;
    if (remaining <= base::Duration::zero()) {
      return std::unexpected(base::with_hint(
          base::make_error(Errc::TimedOut, fmt::format("deleted, but not gone within {}: {}",
                                                       show_took(limit), words)),
          "hm ps"));
    }
    TRY_DO(api.wait_change(kind_path(kind_named("Pod"), "", ""), version,
                           std::min<base::Duration>(remaining, 1s)));
  }
  session.console().board().remove("delete");
  return {};
}

Result<int> run(Session& session, const Arguments& arguments) {
  TRY(Api * api, session.api());
  TRY(const std::string name_space, session.name_space());
  TRY(const Options options, read_options(arguments));
  const bool files = arguments.has("file");
  if (files == !arguments.words().empty()) {
    return std::unexpected(base::with_hint(
        base::make_error(Errc::InvalidArgument, "want either KIND NAME or files with -f"),
        "hm delete deployment web"));
  }
  TRY(const std::vector<Doomed> all,
      files ? from_files(session, *api, arguments, name_space)
            : named(session, *api, arguments, name_space, options.missing_is_fine));
  Plan plan{fmt::format("namespace {}", name_space), "", {}};
  for (const Doomed& doomed : all)
    plan.lines.push_back({Mark::Remove, doomed.object.text(), summary_of(doomed.json)});
  if (all.empty()) {
    session.console().say(Outcome::Done, "nothing to delete");
    return 0;
  }
  TRY(const bool go, session.decide(plan));
  if (!go) return 0;
  std::optional<Receipt> receipt;
  Json::array_t items;
  for (const Doomed& doomed : all) {
    Json body = {{"apiVersion", "v1"},
                 {"kind", "DeleteOptions"},
                 {"preconditions", {{"uid", text_at(doomed.json, {"metadata", "uid"})}}}};
    auto answer = api->send(
        "DELETE",
        kind_path(*doomed.object.kind, doomed.name_space, doomed.object.name, options.query), body);
    // Gone by itself meanwhile, for instance with its owner.
    if (!answer && answer.error().code != Errc::NotFound) {
      session.show_receipt(receipt);
      return std::unexpected(std::move(answer).error());
    }
    if (answer && answer->receipt) receipt = answer->receipt;
    items.push_back({{"object", doomed.object.text()},
                     {"namespace", doomed.name_space},
                     {"result", "deleted"}});
    if (!session.format().for_programs())
      session.console().out(fmt::format("{} deleted\n", printable(doomed.object.text())));
  }
  session.console().flush();
  if (!session.detach()) {
    if (auto gone = wait_until_gone(session, *api, all, arguments.text("cascade") == "orphan");
        !gone) {
      session.show_receipt(receipt);
      return std::unexpected(std::move(gone).error());
    }
  }
  session.show_receipt(receipt);
  if (!session.format().for_programs()) return 0;
  Document document;
  for (const Json& item : items) document.names.push_back(text_at(item, {"object"}));
  document.value = list_json("Deletion", std::move(items));
  document.value["receipt"] = receipt_json(receipt);
  return session.show(document);
}

constexpr Argument kArguments[] = {{"KIND", false, false, Completes::Kind},
                                   {"NAME", false, true, Completes::NameOfKind}};
constexpr Flag kFlags[] = {
    {"file",
     'f',
     "FILE",
     "what a manifest, a folder or standard input (-) names",
     true,
     {},
     Completes::File},
    {"selector", 'l', "SELECTOR", "objects of the kind with these labels"},
    {"all", '\0', "", "every object of the kind in the namespace"},
    {"cascade",
     '\0',
     "HOW",
     "what becomes of what the object owns (default background)",
     false,
     {},
     Completes::Nothing,
     "background|foreground|orphan"},
    {"grace-period", '\0', "SECONDS", "time for pods to end; default: their own"},
    {"now", '\0', "", "without any time to end"},
    {"ignore-not-found", '\0', "", "what does not exist is no error"},
};
constexpr Example kExamples[] = {{"hm delete deployment,service web", ""},
                                 {"hm delete -f app.yaml -y", "everything that the file names"},
                                 {"hm delete pod/web-4-a1b2 --now", ""}};

}  // namespace

constinit const Command kDelete = {
    .path = "delete",
    .summary = "delete objects, and wait until their pods are gone",
    .description = "All objects are looked up before the first one is deleted.",
    .arguments = kArguments,
    .flags = kFlags,
    .examples = kExamples,
    .run = run};

}  // namespace cli
