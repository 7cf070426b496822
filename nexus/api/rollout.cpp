// History of a Deployment, and what people do to its rollout: roll back, restart, pause, resume.

#include <fmt/format.h>

#include <map>

#include "api/handlers.hpp"
#include "api/rollback.hpp"
#include "api/store_view.hpp"
#include "api/write_rules.hpp"
#include "audit/audit_log.hpp"
#include "objects/object.hpp"
#include "orchestration/views.hpp"

namespace nexus::api {
namespace {

constexpr const char* kRestartedAt = "kubectl.kubernetes.io/restartedAt";
constexpr int kAttemptsMax = 5;
constexpr std::size_t kAuditedWritesMax = 1000;  // Looked through for the receipts of a history.

Reply<ObjectPtr> find_deployment(const Exchange& exchange) {
  const ObjectPtr found = exchange.backend().objects.find(
      {"Deployment", exchange.route.name_space, exchange.route.name});
  if (found != nullptr) return found;
  Refusal refusal(
      base::with_hint(base::make_error(base::Errc::NotFound,
                                       fmt::format("deployment {} does not exist in namespace {}",
                                                   exchange.route.name, exchange.route.name_space)),
                      "hm get deployments"));
  refusal.group = "apps";
  refusal.resource = "deployments";
  refusal.name = exchange.route.name;
  return std::unexpected(std::move(refusal));
}

Reply<Json> changed(const Exchange& exchange, const Object& deployment, std::int64_t to_revision) {
  Json next = deployment.json;
  switch (exchange.route.endpoint) {
    case Endpoint::Pause:
      next["spec"]["paused"] = true;
      return next;
    case Endpoint::Resume:
      next["spec"]["paused"] = false;
      return next;
    case Endpoint::Restart:
      if (next["spec"].value("paused", false)) {
        return refuse(base::Errc::FailedPrecondition,
                      fmt::format("deployment {} is paused", exchange.route.name),
                      fmt::format("hm update {} --resume", exchange.route.name));
      }
      next["spec"]["template"]["metadata"]["annotations"][kRestartedAt] =
          base::to_rfc3339(exchange.backend().clock.wall(), 3);
      return next;
    default:
      break;
  }
  const StoreView view(exchange.backend().objects);
  return roll_back(deployment.json, to_revision, view);
}

Reply<std::int64_t> wanted_revision(const Json& body) {
  if (body.is_null()) return 0;
  if (!body.is_object())
    return bad_request(
        R"(the body is {"toRevision":3}, or nothing for the one before the current)");
  const Json revision = body.value("toRevision", Json(0));
  if (!revision.is_number_integer() || revision.get<std::int64_t>() < 0)
    return bad_request(
        fmt::format("toRevision is {}; must be a whole number from 0", revision.dump()));
  return revision.get<std::int64_t>();
}

Json to_json(const orchestration::RevisionRow& row) {
  Json json = {{"revision", row.revision}, {"images", row.images},
               {"who", row.who},           {"when", base::to_rfc3339(row.when)},
               {"state", row.state},       {"replicaSet", row.replica_set}};
  if (!row.detail.empty()) json["detail"] = row.detail;
  return json;
}

// Records of the Deployment by the revision of the store that each was written with.
base::Task<base::Result<std::map<Revision, AuditRecord>>> audited_writes(const Exchange& exchange) {
  AuditQuery query;
  query.object = "deployment/" + exchange.route.name;
  query.name_space = exchange.route.name_space;
  query.limit = kAuditedWritesMax;
  CO_TRY(std::vector<AuditRecord> records,
         co_await exchange.backend().audit.list(std::move(query)));
  std::map<Revision, AuditRecord> writes;
  for (AuditRecord& record : records) writes.emplace(record.revision, std::move(record));
  co_return writes;
}

}  // namespace

base::Task<Reply<>> give_history(Exchange& exchange) {
  CO_TRY(const ObjectPtr deployment, find_deployment(exchange));
  const StoreView view(exchange.backend().objects);
  Json items = Json::array();
  CO_TRY(const auto writes, co_await audited_writes(exchange));
  for (const orchestration::RevisionRow& row : orchestration::history(deployment->json, view)) {
    Json item = to_json(row);
    if (const auto write = writes.find(row.from_revision); write != writes.end()) {
      item["receipt"] = write->second.sequence;
      if (row.who.empty()) item["who"] = write->second.entry.who;
    }
    items.push_back(std::move(item));
  }
  const Json body = {
      {"kind", "RevisionList"}, {"apiVersion", "hypermesh.io/v1"}, {"items", std::move(items)}};
  co_return co_await exchange.answer(200, body);
}

base::Task<Reply<>> change_rollout(Exchange& exchange) {
  CO_TRY(const Json body, co_await exchange.json_body());
  CO_TRY(const std::int64_t to_revision, wanted_revision(body));
  // The rules for a write of the whole object hold for these, too.
  Route route = exchange.route;
  route.kind = manifest::find_kind("Deployment");
  for (int attempt = 1;; ++attempt) {
    CO_TRY(const ObjectPtr deployment, find_deployment(exchange));
    CO_TRY(Json next, changed(exchange, *deployment, to_revision));
    CO_TRY(AdmittedObject admitted,
           admit_change(route, std::move(next), deployment->json, {}, exchange.principal.role));
    auto written =
        co_await exchange.backend().objects.update(exchange.actor(), std::move(admitted.object));
    if (written)
      co_return co_await answer_written(exchange, 200, written->object->json, *written,
                                        admitted.warnings);
    if (written.error().code != base::Errc::Conflict || attempt == kAttemptsMax)
      co_return std::unexpected(Refusal(std::move(written).error()));
  }
}

}  // namespace nexus::api
