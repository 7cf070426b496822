// What the node says about itself and about who asks.

#include <fmt/format.h>
#include <unistd.h>

#include "api/handlers.hpp"
#include "objects/object.hpp"

namespace nexus::api {
namespace {

Json list_of(std::string_view kind, Json items) {
  return {{"kind", fmt::format("{}List", kind)},
          {"apiVersion", "hypermesh.io/v1"},
          {"items", std::move(items)}};
}

std::string_view to_string(DoctorCheck::State state) {
  switch (state) {
    case DoctorCheck::State::Ok:
      return "ok";
    case DoctorCheck::State::Warning:
      return "warning";
    case DoctorCheck::State::Failed:
      return "failed";
  }
  return "failed";
}

}  // namespace

base::Task<Reply<>> give_node(Exchange& exchange) {
  const NodeInfo node = exchange.backend().node();
  Json problems = Json::array();
  for (const NodeProblem& problem : node.problems)
    problems.push_back({{"message", problem.message}, {"hint", problem.hint}});
  const Json body = {{"kind", "NodeInfo"},
                     {"apiVersion", "hypermesh.io/v1"},
                     {"name", node.name},
                     {"state", node.state},
                     {"api", node.api},
                     {"stoq", node.stoq},
                     {"dns", node.dns},
                     {"version", node.version},
                     {"pid", ::getpid()},
                     {"addresses", node.addresses},
                     {"started", base::to_rfc3339(node.started, 3)},
                     {"problems", std::move(problems)}};
  co_return co_await exchange.answer(200, body);
}

base::Task<Reply<>> who_am_i(Exchange& exchange) {
  Json roles = Json::array();
  for (const Role role : {Role::View, Role::Edit, Role::Admin}) {
    if (role <= exchange.principal.role) roles.push_back(nexus::to_string(role));
  }
  const Json body = {{"kind", "WhoAmI"},
                     {"apiVersion", "hypermesh.io/v1"},
                     {"user", exchange.principal.user},
                     {"role", nexus::to_string(exchange.principal.role)},
                     {"origin", exchange.principal.origin},
                     {"roles", std::move(roles)}};
  co_return co_await exchange.answer(200, body);
}

base::Task<Reply<>> can_i(Exchange& exchange) {
  const Query& query = exchange.query();
  CO_TRY(const AccessVerb verb, parse_access_verb(query.get("verb")));
  std::string resource(query.get("kind"));
  if (const manifest::KindInfo* kind = manifest::find_kind(resource)) resource = kind->plural;
  const Decision decision = decide(exchange.principal, {verb,
                                                        resource,
                                                        std::string(query.get("subresource")),
                                                        std::string(query.get("namespace")),
                                                        {}});
  const Json body = {{"kind", "CanI"},
                     {"apiVersion", "hypermesh.io/v1"},
                     {"allowed", decision.allowed},
                     {"reason", decision.reason}};
  co_return co_await exchange.answer(200, body);
}

base::Task<Reply<>> run_doctor(Exchange& exchange) {
  Json items = Json::array();
  for (const DoctorCheck& check : co_await exchange.backend().doctor()) {
    items.push_back({{"name", check.name},
                     {"state", to_string(check.state)},
                     {"message", check.message},
                     {"hint", check.hint}});
  }
  co_return co_await exchange.answer(200, list_of("DoctorCheck", std::move(items)));
}

base::Task<Reply<>> give_configuration(Exchange& exchange) {
  Json items = Json::array();
  for (const ConfigItem& item : exchange.backend().configuration()) {
    items.push_back({{"layer", item.layer},
                     {"key", item.key},
                     {"value", Json::parse(item.value, nullptr, false)},
                     {"origin", item.origin},
                     {"effect", item.effect}});
  }
  co_return co_await exchange.answer(200, list_of("ConfigItem", std::move(items)));
}

}  // namespace nexus::api
