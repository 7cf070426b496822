#include "api/refusal.hpp"

#include <base/error_mapping.hpp>
#include <nlohmann/json.hpp>

namespace nexus::api {

std::unexpected<Refusal> refuse(base::Errc code, int status, std::string reason,
                                std::string message, std::string hint) {
  Refusal refusal(base::make_error(code, std::move(message)));
  refusal.status = status;
  refusal.reason = std::move(reason);
  if (!hint.empty()) refusal.error.hints.push_back(std::move(hint));
  return std::unexpected(std::move(refusal));
}

std::unexpected<Refusal> refuse(base::Errc code, std::string message, std::string hint) {
  return refuse(code, 0, {}, std::move(message), std::move(hint));
}

std::unexpected<Refusal> bad_request(std::string message, std::string hint) {
  return refuse(base::Errc::InvalidArgument, 400, "BadRequest", std::move(message),
                std::move(hint));
}

Refusal expired(std::string message) {
  return refuse(base::Errc::FailedPrecondition, 410, "Expired", std::move(message),
                "list again and watch from the resourceVersion of that list")
      .error();
}

int http_status(const Refusal& refusal) {
  return refusal.status != 0 ? refusal.status : base::http_status(refusal.error.code);
}

Json to_status(const Refusal& refusal, std::string_view trace_id) {
  Json details = {{"traceId", trace_id}};
  if (!refusal.resource.empty()) details["kind"] = refusal.resource;
  if (!refusal.group.empty()) details["group"] = refusal.group;
  if (!refusal.name.empty()) details["name"] = refusal.name;
  if (!refusal.causes.empty()) {
    Json& causes = details["causes"] = Json::array();
    for (const StatusCause& cause : refusal.causes) {
      Json entry = {{"reason", cause.reason}, {"message", cause.message}};
      if (!cause.field.empty()) entry["field"] = cause.field;
      causes.push_back(std::move(entry));
    }
  }
  const std::string reason = refusal.reason.empty()
                                 ? std::string(base::status_reason(refusal.error.code))
                                 : refusal.reason;
  return {{"kind", "Status"},
          {"apiVersion", "v1"},
          {"metadata", Json::object()},
          {"status", "Failure"},
          {"message", refusal.error.describe()},
          {"reason", reason},
          {"details", std::move(details)},
          {"code", http_status(refusal)},
          {"errc", base::to_string(refusal.error.code)},
          {"hints", refusal.error.hints}};
}

Json success_status(std::string_view group, std::string_view resource, std::string_view name,
                    std::string_view uid) {
  Json details = {{"kind", resource}};
  if (!group.empty()) details["group"] = group;
  if (!name.empty()) details["name"] = name;
  if (!uid.empty()) details["uid"] = uid;
  return {{"kind", "Status"},
          {"apiVersion", "v1"},
          {"metadata", Json::object()},
          {"status", "Success"},
          {"details", std::move(details)}};
}

std::string to_text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace nexus::api
