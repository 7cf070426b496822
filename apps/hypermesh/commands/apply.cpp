#include "commands/apply.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <manifest/patch.hpp>
#include <set>

#include "commands/plan_details.hpp"
#include "commands/writes.hpp"
#include "output/units.hpp"
#include "session/net.hpp"

namespace cli {
namespace {

using namespace std::chrono_literals;
using base::Errc;
using base::Result;
using nexus::manifest::FileObject;
using nexus::manifest::KindInfo;

// Where kubectl remembers what was applied, so that both can be used side by side.
constexpr const char* kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";
// Annotations of an object are limited to 256 KiB in all.
constexpr std::size_t kRememberedBytesMax = 128 * 1024;

bool can_remember(const KindInfo& kind, const std::string& text) {
  // A Secret's values would stand in the open.
  return kind.kind != "Secret" && text.size() <= kRememberedBytesMax;
}

Json without_last_applied(Json object) {
  if (object.contains("metadata") && object["metadata"].contains("annotations"))
    object["metadata"]["annotations"].erase(kLastApplied);
  return object;
}

// What was applied last: from the annotation, or all of the data of what is not remembered there.
Json last_applied_of(const KindInfo& kind, const Json& stored) {
  const std::string text = text_at(stored, {"metadata", "annotations", kLastApplied});
  if (!text.empty()) {
    const Json last = Json::parse(text, nullptr, false);
    if (last.is_object()) return last;
  }
  if (kind.kind != "Secret" && kind.kind != "ConfigMap") return nullptr;
  Json last = Json::object();
  for (const char* part : {"data", "binaryData"}) {
    if (at(stored, {part}).is_object()) last[part] = stored[part];
  }
  return last;
}

// The object of the file as it is sent: in its namespace, in the served version, with what was
// applied beside it.
Json as_written(const FileObject& source, const std::string& name_space) {
  Json written = without_last_applied(source.written);
  written["apiVersion"] = source.kind->api_version();
  if (source.kind->namespaced) written["metadata"]["namespace"] = name_space;
  written.erase("status");
  return written;
}

void remember(const KindInfo& kind, const Json& written, Json& wanted) {
  const std::string text = written.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (can_remember(kind, text)) wanted["metadata"]["annotations"][kLastApplied] = text;
}

Result<Json> merged(const FileObject& source, const std::string& name_space, const Json& stored) {
  const Json written = as_written(source, name_space);
  Json wanted = written;
  // A Secret's stringData is written over its data by the server; what the file does not name goes.
  if (!stored.is_null()) {
    TRY(wanted, nexus::manifest::apply_merge(last_applied_of(*source.kind, stored), written, stored,
                                             *source.kind));
    wanted.erase("status");
  }
  remember(*source.kind, written, wanted);
  return wanted;
}

base::Error with_place(base::Error error, const FileObject& source) {
  if (source.file.empty() || error.message.find(source.file) != std::string::npos) return error;
  error.message = fmt::format("{}: {}/{}: {}", source.file, source.kind->singular, source.name(),
                              error.message);
  return error;
}

}  // namespace

Result<std::vector<Prepared>> prepare(Session& session, Api& api, const Manifests& manifests,
                                      const std::string& name_space) {
  std::set<std::string> made_here;
  std::vector<Prepared> out;
  for (const FileObject& source : manifests.objects) {
    Prepared one;
    one.source = &source;
    if (source.kind->namespaced)
      one.name_space = source.name_space().empty() ? name_space : std::string(source.name_space());
    const std::string path = kind_path(*source.kind, one.name_space, source.name());
    if (manifests.unknown_fields_pass) one.query = {{"fieldValidation", "Warn"}};
    Query trial = one.query;
    trial.emplace_back("dryRun", "All");
    auto stored = api.get(path);
    if (!stored && stored.error().code != Errc::NotFound)
      return std::unexpected(with_place(std::move(stored).error(), source));
    if (stored) one.before = *std::move(stored);
    auto wanted = merged(source, one.name_space, one.before);
    if (!wanted) return std::unexpected(with_place(std::move(wanted).error(), source));
    one.wanted = *std::move(wanted);
    one.after = source.object;
    if (one.after.contains("metadata") && source.kind->namespaced)
      one.after["metadata"]["namespace"] = one.name_space;
    if (!one.before.is_null() && session.dry_run() == DryRun::Client) one.after = one.wanted;
    if (source.kind->kind == "Namespace" && one.before.is_null())
      made_here.insert(std::string(source.name()));
    // In a namespace that does not exist yet nothing can be tried.
    if (session.dry_run() != DryRun::Client && !made_here.contains(one.name_space)) {
      auto checked =
          one.before.is_null()
              ? api.send("POST", kind_path(*source.kind, one.name_space, "", trial), one.wanted)
              : api.send("PUT", with_query(path, trial), one.wanted);
      if (!checked) return std::unexpected(with_place(std::move(checked).error(), source));
      session.show_warnings(*checked);
      one.after = std::move(checked->body);
    }
    one.line =
        plan_line(*source.kind, without_last_applied(one.before), without_last_applied(one.after));
    out.push_back(std::move(one));
  }
  return out;
}

Result<> write_all(Session& session, Api& api, std::span<const Prepared> prepared,
                   WriteOutcome& outcome) {
  for (const Prepared& one : prepared) {
    const FileObject& source = *one.source;
    Written written;
    if (one.before.is_null()) {
      auto answer =
          api.send("POST", kind_path(*source.kind, one.name_space, "", one.query), one.wanted);
      if (!answer) return std::unexpected(with_place(std::move(answer).error(), source));
      if (answer->receipt) outcome.receipt = answer->receipt;
      written = {std::move(answer->body), "created"};
    } else {
      auto answer = put_unless_changed(
          api, *source.kind, one.before,
          [&](const Json& now) { return merged(source, one.name_space, now); }, one.query);
      if (!answer) return std::unexpected(with_place(std::move(answer).error(), source));
      if (answer->receipt) outcome.receipt = answer->receipt;
      const bool changed = answer->changed && one.line.mark != PlanLine::Mark::Keep;
      written = {std::move(answer->body), changed ? "configured" : "unchanged"};
    }
    if (!session.format().for_programs()) {
      session.console().out(
          fmt::format("{}/{} {}\n", source.kind->singular, printable(source.name()), written.word));
      session.console().flush();
    }
    outcome.rollouts.push_back(rollout_of(written.object, one.before));
    outcome.written.push_back(std::move(written));
  }
  return {};
}

namespace {

struct Reached {
  std::string address;
  ProbeAnswer answer;
};

std::string bracketed(const std::string& address) {
  return address.find(':') != std::string::npos ? "[" + address + "]" : address;
}

// The first of the service's addresses that answers. A service is balanced a moment after its pods
// are ready.
std::optional<Reached> reach(const Json& service, std::uint16_t port) {
  constexpr auto kAnswerMax = 1500ms, kPause = 150ms;
  constexpr int kTries = 12;
  std::vector<std::string> addresses;
  for (const Json& address : list_at(service, {"spec", "clusterIPs"})) {
    if (address.is_string()) addresses.push_back(address.get<std::string>());
  }
  if (addresses.empty()) addresses.push_back(text_at(service, {"spec", "clusterIP"}));
  for (int attempt = 0; attempt < kTries; ++attempt) {
    bool refused = false;
    for (const std::string& address : addresses) {
      if (auto answer = probe_http(address, port, kAnswerMax)) {
        return Reached{address, *answer};
      } else if (answer.error().code == Errc::Unavailable) {
        refused = true;
      }
    }
    // Nobody there at all (another machine, no route) does not change in a moment.
    if (!refused) return std::nullopt;
    poll(nullptr, 0, static_cast<int>(kPause.count()));
  }
  return std::nullopt;
}

}  // namespace

void show_addresses(Session& session, std::span<const Written> written) {
  if (session.detach() || session.format().for_programs() || session.console().quiet()) return;
  Console& console = session.console();
  for (const Written& one : written) {
    if (text_at(one.object, {"kind"}) != "Service") continue;
    const std::string address = text_at(one.object, {"spec", "clusterIP"});
    if (address.empty() || address == "None") continue;
    const std::string name = fmt::format("{}.{}.mesh", text_at(one.object, {"metadata", "name"}),
                                         text_at(one.object, {"metadata", "namespace"}));
    for (const Json& port : list_at(one.object, {"spec", "ports"})) {
      const std::string protocol = text_at(port, {"protocol"});
      const std::int64_t number = number_at(port, {"port"});
      if ((!protocol.empty() && protocol != "TCP") || number < 1 || number > 65535) continue;
      const auto reached = reach(one.object, static_cast<std::uint16_t>(number));
      if (!reached) {
        console.say(Outcome::Note,
                    fmt::format("{}  nobody answers at {}:{} from here   (hm why service {})",
                                object_text(one.object), bracketed(address), number,
                                text_at(one.object, {"metadata", "name"})));
      } else if (reached->answer.kind == ProbeAnswer::Kind::Http) {
        console.out(outcome_line(console.out_look(), Outcome::Done,
                                 fmt::format("{}     http://{}:{}  answered {} in {}     dns {}",
                                             object_text(one.object), bracketed(reached->address),
                                             number, reached->answer.status,
                                             show_took(reached->answer.took), name)) +
                    "\n");
      } else {
        console.out(outcome_line(console.out_look(), Outcome::Done,
                                 fmt::format("{}     {}:{}  accepts connections     dns {}",
                                             object_text(one.object), bracketed(reached->address),
                                             number, name)) +
                    "\n");
      }
      break;  // one address a service is enough to begin with
    }
  }
}

}  // namespace cli
