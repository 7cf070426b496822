// DELETE of one object and of collections.

#include <fmt/format.h>

#include "api/deletion.hpp"
#include "api/handlers.hpp"
#include "objects/object.hpp"

namespace nexus::api {
namespace {

constexpr int kAttemptsMax = 5;

ObjectRef ref_in(const Exchange& exchange, const std::string& name) {
  return {std::string(exchange.route.kind->kind), exchange.route.name_space, name};
}

struct Deleted {
  Written written;
  bool removed = false;  // Else it is marked.
};

// A namespace says in its status, too, that it goes.
base::Task<> show_terminating(const Exchange& exchange, const ObjectPtr& name_space) {
  Json next = name_space->json;
  next["status"]["phase"] = "Terminating";
  // Whoever empties the namespace shows it as well: a failure here loses nothing.
  (void)co_await exchange.backend().objects.update_status(std::move(next), exchange.principal.user);
}

base::Task<Reply<Deleted>> delete_one(const Exchange& exchange, const std::string& name,
                                      const DeleteOptions& options) {
  ObjectStore& objects = exchange.backend().objects;
  const ObjectRef ref = ref_in(exchange, name);
  for (int attempt = 1;; ++attempt) {
    const ObjectPtr existing = objects.find(ref);
    if (existing == nullptr)
      co_return std::unexpected(
          about(exchange, base::make_error(base::Errc::NotFound,
                                           fmt::format("{} does not exist", to_string(ref)))));
    CO_TRY(DeletionPlan plan, plan_deletion(*exchange.route.kind, *existing, options,
                                            exchange.backend().clock.wall()));
    if (options.dry_run || std::holds_alternative<AlreadyMarked>(plan)) {
      co_return Deleted{{existing, std::nullopt, false}, std::holds_alternative<RemoveNow>(plan)};
    }
    auto* mark = std::get_if<MarkForDeletion>(&plan);
    // Both must find what the plan was made from.
    auto written = mark != nullptr
                       ? co_await objects.update(exchange.actor(), std::move(mark->object))
                       : co_await objects.remove(exchange.actor(), ref,
                                                 {.uid = {}, .revision = existing->revision});
    if (written) {
      if (mark != nullptr && ref.kind == "Namespace")
        co_await show_terminating(exchange, written->object);
      co_return Deleted{*std::move(written), mark == nullptr};
    }
    if (written.error().code != base::Errc::Conflict || attempt == kAttemptsMax)
      co_return std::unexpected(about(exchange, std::move(written).error()));
  }
}

}  // namespace

base::Task<Reply<>> delete_object(Exchange& exchange) {
  CO_TRY(const Json body, co_await exchange.json_body());
  CO_TRY(const DeleteOptions options, parse_delete_options(exchange.query(), body));
  CO_TRY_DO(find_named(exchange));
  CO_TRY(const Deleted deleted, co_await delete_one(exchange, exchange.route.name, options));
  const Json& object = deleted.written.object->json;
  if (!deleted.removed)
    co_return co_await answer_written(exchange, 200, object, deleted.written, {});
  const Json status = success_status(exchange.route.kind->group, exchange.route.kind->plural,
                                     exchange.route.name, object.at("metadata").value("uid", ""));
  co_return co_await answer_written(exchange, 200, status, deleted.written, {});
}

base::Task<Reply<>> delete_collection(Exchange& exchange) {
  CO_TRY(const Json body, co_await exchange.json_body());
  CO_TRY(const DeleteOptions options, parse_delete_options(exchange.query(), body));
  CO_TRY(const ListOptions which, parse_list_options(exchange.route.kind->kind, exchange.query()));
  std::vector<ObjectPtr> chosen;
  const ObjectMap& all = exchange.backend().objects.all(exchange.route.kind->kind);
  for (auto at = all.lower_bound(ObjectKey{exchange.route.name_space, ""});
       at != all.end() && at->first.name_space == exchange.route.name_space; ++at) {
    // Everything in the cluster's namespace "default" may go, the namespace itself stays.
    if (exchange.route.kind->kind == "Namespace" && at->first.name == "default") continue;
    if (which.selection.matches(at->second->json)) chosen.push_back(at->second);
  }
  Json items = Json::array();
  Written last;
  last.changed = false;
  for (const ObjectPtr& object : chosen) {
    auto deleted =
        co_await delete_one(exchange, object->json.at("metadata").value("name", ""), options);
    if (!deleted && deleted.error().error.code == base::Errc::NotFound)
      continue;  // Somebody was faster.
    if (!deleted) co_return std::unexpected(std::move(deleted).error());
    items.push_back(deleted->written.object->json);
    last.changed = last.changed || deleted->written.changed;
    if (deleted->written.receipt) last.receipt = deleted->written.receipt;
  }
  const Json list = {
      {"kind", fmt::format("{}List", exchange.route.kind->kind)},
      {"apiVersion", exchange.route.kind->api_version()},
      {"metadata", {{"resourceVersion", std::to_string(exchange.backend().objects.revision())}}},
      {"items", std::move(items)}};
  co_return co_await answer_written(exchange, 200, list, last, {});
}

}  // namespace nexus::api
