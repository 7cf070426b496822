// POST, PUT and PATCH of objects, their status and their scale.

#include <fmt/format.h>

#include "api/deletion.hpp"
#include "api/handlers.hpp"
#include "api/media.hpp"
#include "api/scale.hpp"
#include "api/write_rules.hpp"
#include "manifest/patch.hpp"
#include "objects/object.hpp"

namespace nexus::api {
namespace {

// A patch that meets another writer is applied again to what that one wrote.
constexpr int kPatchAttemptsMax = 5;

bool is_terminating(const Object& object) {
  return object.json.at("metadata").contains("deletionTimestamp");
}

// Objects live in namespaces that exist and stay.
Reply<> check_namespace(const Exchange& exchange) {
  if (!exchange.route.kind->namespaced) return {};
  const std::string& name = exchange.route.name_space;
  const ObjectPtr found = exchange.backend().objects.find({"Namespace", "", name});
  if (found == nullptr) {
    Refusal refusal(base::with_hint(
        base::make_error(base::Errc::NotFound, fmt::format("namespace {} does not exist", name)),
        "apply an object of kind Namespace with that name first"));
    refusal.resource = "namespaces";
    refusal.name = name;
    return std::unexpected(std::move(refusal));
  }
  if (is_terminating(*found)) {
    return refuse(base::Errc::Conflict,
                  fmt::format("namespace {} is being deleted: nothing can be made in it", name));
  }
  return {};
}

std::string revision_in(const Json& object) {
  const auto found = object.at("metadata").find("resourceVersion");
  return found != object.at("metadata").end() && found->is_string() ? found->get<std::string>()
                                                                    : std::string();
}

/// Addresses that a Service has for a write: what is not stored is free when that has ended.
class Allotment {
 public:
  Allotment(Backend& backend, const ObjectRef& ref) : backend_(backend), ref_(ref) {}
  ~Allotment() {
    if (taken_ && backend_.settle) backend_.settle(ref_, ended_);
  }
  Allotment(const Allotment&) = delete;
  Allotment& operator=(const Allotment&) = delete;

  base::Result<> take(Json& object, const Json* previous) {
    if (ref_.kind != "Service" || !backend_.allot) return {};
    taken_ = true;
    auto allotted = backend_.allot(object, previous);
    ended_ = !allotted;
    return allotted;
  }
  /// The write is over. A caller that is cancelled while it waits never gets here.
  void ended() { ended_ = true; }

 private:
  Backend& backend_;
  const ObjectRef& ref_;
  bool taken_ = false, ended_ = false;
};

/// Stores what was admitted; an object that waited only for this write to go, goes.
base::Task<Reply<Written>> store_change(const Exchange& exchange, Json object,
                                        const Json& existing) {
  Backend& backend = exchange.backend();
  const manifest::KindInfo& kind = *exchange.route.kind;
  const ObjectRef ref{std::string(kind.kind), exchange.route.name_space, exchange.route.name};
  Allotment allotment(backend, ref);
  CO_TRY_DO(allotment.take(object, &existing));
  const bool goes = goes_with_its_last_finalizer(kind, object);
  auto written = co_await backend.objects.update(exchange.actor(), std::move(object));
  allotment.ended();
  if (!written) co_return std::unexpected(about(exchange, std::move(written).error()));
  if (goes) {
    auto removed = co_await backend.objects.remove(exchange.actor(), ref, {});
    if (!removed && removed.error().code != base::Errc::NotFound)
      co_return std::unexpected(about(exchange, std::move(removed).error()));
  }
  co_return *std::move(written);
}

/// Writes `wanted` over the stored object, as its subresource wants it.
base::Task<Reply<>> store_and_answer(Exchange& exchange, const ObjectPtr& existing, Json wanted,
                                     const WriteOptions& options) {
  const Route& route = exchange.route;
  if (route.endpoint == Endpoint::ObjectStatus) {
    CO_TRY(Json next, with_status(route, wanted, existing->json));
    if (options.dry_run) co_return co_await exchange.answer(200, next);
    auto written =
        co_await exchange.backend().objects.update_status(std::move(next), exchange.principal.user);
    if (!written) co_return std::unexpected(about(exchange, std::move(written).error()));
    co_return co_await answer_written(exchange, 200, written->object->json, *written, {});
  }
  CO_TRY(AdmittedObject admitted,
         admit_change(route, std::move(wanted), existing->json, options, exchange.principal.role));
  if (options.dry_run) {
    const Written nothing{existing, std::nullopt, true};
    Json shown = std::move(admitted.object);
    if (existing->json.contains("status")) shown["status"] = existing->json["status"];
    co_return co_await answer_written(exchange, 200, shown, nothing, admitted.warnings);
  }
  CO_TRY(const Written written,
         co_await store_change(exchange, std::move(admitted.object), existing->json));
  if (route.endpoint == Endpoint::ObjectScale) {
    co_return co_await answer_written(exchange, 200, scale_of(written.object->json), written,
                                      admitted.warnings);
  }
  co_return co_await answer_written(exchange, 200, written.object->json, written,
                                    admitted.warnings);
}

base::Result<Json> apply_patch(PatchType type, Json target, const Json& patch,
                               const manifest::KindInfo& kind) {
  switch (type) {
    case PatchType::Merge:
      return manifest::merge_patch(std::move(target), patch);
    case PatchType::Json:
      return manifest::json_patch(std::move(target), patch);
    case PatchType::Strategic:
      return manifest::strategic_merge_patch(std::move(target), patch, kind);
  }
  return base::fail(base::Errc::Internal, "a patch of no type");
}

Reply<Json> patched(const Exchange& exchange, PatchType type, const Json& patch,
                    const Json& existing) {
  Json target = exchange.route.endpoint == Endpoint::ObjectScale ? scale_of(existing) : existing;
  auto result = apply_patch(type, std::move(target), patch, *exchange.route.kind);
  if (!result) {
    base::Error error = base::wrap(std::move(result).error(), "the patch");
    // A "test" that fails is an answer to the client's question, not another writer.
    if (error.code == base::Errc::Conflict) error.code = base::Errc::InvalidArgument;
    return std::unexpected(about(exchange, std::move(error)));
  }
  if (!result->is_object() || !result->contains("metadata") || !(*result)["metadata"].is_object()) {
    return refuse(base::Errc::InvalidArgument, "the patch leaves no object");
  }
  if (exchange.route.endpoint == Endpoint::ObjectScale) return with_scale(existing, *result);
  return *std::move(result);
}

// A patch is JSON whatever its type is called.
base::Task<Reply<Json>> patch_body(const Exchange& exchange) {
  CO_TRY(Json patch, co_await exchange.json_body());
  if (patch.is_null()) co_return bad_request("the body is empty: a patch is wanted");
  co_return patch;
}

}  // namespace

base::Task<Reply<>> answer_written(const Exchange& exchange, int status, const Json& body,
                                   const Written& written,
                                   const std::vector<std::string>& warnings) {
  base::http::Headers headers;
  if (written.receipt) headers.add("HyperMesh-Receipt", receipt_value(*written.receipt));
  if (!written.changed) headers.add("HyperMesh-Changed", "false");
  for (const std::string& warning : warnings) headers.add("Warning", warning_value(warning));
  co_return co_await exchange.answer(status, body, std::move(headers));
}

base::Task<Reply<>> create_object(Exchange& exchange) {
  CO_TRY(const WriteOptions options, parse_write_options(exchange.query()));
  if (!is_json(exchange.head.headers.get("Content-Type").value_or(""))) {
    co_return refuse(base::Errc::Unsupported, 415, "UnsupportedMediaType",
                     "objects are taken as JSON", "Content-Type: application/json");
  }
  CO_TRY(Json body, co_await exchange.json_body());
  const std::string suffix = base::make_name_suffix(exchange.backend().rng);
  CO_TRY(AdmittedObject admitted,
         admit_new(exchange.route, std::move(body), options, suffix, exchange.principal.role));
  CO_TRY_DO(check_namespace(exchange));
  const std::string name = admitted.object["metadata"].value("name", "");
  ObjectStore& objects = exchange.backend().objects;
  const ObjectRef ref{std::string(exchange.route.kind->kind), exchange.route.name_space, name};
  if (options.dry_run) {
    if (objects.find(ref) != nullptr)
      co_return refuse(base::Errc::AlreadyExists, fmt::format("{} exists", to_string(ref)));
    co_return co_await answer_written(exchange, 201, admitted.object, Written{}, admitted.warnings);
  }
  Allotment allotment(exchange.backend(), ref);
  CO_TRY_DO(allotment.take(admitted.object, nullptr));
  auto written = co_await objects.create(exchange.actor(), std::move(admitted.object));
  allotment.ended();
  if (!written) {
    Refusal refusal = about(exchange, std::move(written).error());
    refusal.name = name;
    co_return std::unexpected(std::move(refusal));
  }
  // The namespace may have begun to go while the object was written; then nobody may have seen it.
  if (auto still = check_namespace(exchange); !still) {
    (void)co_await objects.remove(exchange.actor(), ref, {});
    co_return std::unexpected(std::move(still).error());
  }
  co_return co_await answer_written(exchange, 201, written->object->json, *written,
                                    admitted.warnings);
}

base::Task<Reply<>> replace_object(Exchange& exchange) {
  CO_TRY(const WriteOptions options, parse_write_options(exchange.query()));
  if (!is_json(exchange.head.headers.get("Content-Type").value_or(""))) {
    co_return refuse(base::Errc::Unsupported, 415, "UnsupportedMediaType",
                     "objects are taken as JSON", "Content-Type: application/json");
  }
  CO_TRY(Json body, co_await exchange.json_body());
  CO_TRY(const ObjectPtr existing, find_named(exchange));
  if (exchange.route.endpoint == Endpoint::ObjectScale) {
    CO_TRY(body, with_scale(existing->json, body));
  }
  co_return co_await store_and_answer(exchange, existing, std::move(body), options);
}

base::Task<Reply<>> patch_object(Exchange& exchange) {
  CO_TRY(const WriteOptions options, parse_write_options(exchange.query()));
  CO_TRY(const PatchType type,
         patch_type_of(exchange.head.headers.get("Content-Type").value_or("")));
  CO_TRY(const Json patch, co_await patch_body(exchange));
  for (int attempt = 1;; ++attempt) {
    CO_TRY(const ObjectPtr existing, find_named(exchange));
    CO_TRY(Json next, patched(exchange, type, patch, existing->json));
    // The patch was made from this state; unless it names one itself, it is good for any.
    const bool pinned = revision_in(next) != revision_in(existing->json);
    auto stored = co_await store_and_answer(exchange, existing, std::move(next), options);
    if (stored || stored.error().error.code != base::Errc::Conflict || pinned ||
        attempt == kPatchAttemptsMax)
      co_return stored;
  }
}

}  // namespace nexus::api
