// GET of one object and of lists.

#include <fmt/format.h>

#include <base/nearest.hpp>

#include "api/event_feed.hpp"
#include "api/handlers.hpp"
#include "api/media.hpp"
#include "api/options.hpp"
#include "api/scale.hpp"
#include "api/table.hpp"
#include "objects/object.hpp"

namespace nexus::api {
namespace {

bool is_event(const Exchange& exchange) {
  return exchange.route.kind->kind == "Event";
}

/// The objects of a kind that no store holds: events, and what is computed. Empty for all others.
std::optional<std::vector<ObjectPtr>> unstored(const Exchange& exchange,
                                               const std::optional<std::string>& name_space) {
  const std::string_view kind = exchange.route.kind->kind;
  const Backend& backend = exchange.backend();
  if (is_event(exchange)) return exchange.shared.event_feed->list(backend.clock.wall(), name_space);
  if (kind != "Endpoints" && kind != "EndpointSlice") return std::nullopt;
  std::vector<ObjectPtr> objects;
  if (!backend.computed) return objects;
  for (Json& json : backend.computed(kind, name_space)) {
    objects.push_back(std::make_shared<const Object>(
        Object{.json = std::move(json), .revision = backend.objects.revision(), .writer = {}}));
  }
  return objects;
}

std::optional<std::string> wanted_namespace(const Exchange& exchange) {
  if (exchange.route.name_space.empty()) return std::nullopt;
  return exchange.route.name_space;
}

ObjectKey key_of(const Object& object) {
  const Json& metadata = object.json.at("metadata");
  const auto text = [&](const char* name) {
    const auto found = metadata.find(name);
    return found != metadata.end() && found->is_string() ? found->get<std::string>()
                                                         : std::string();
  };
  return {text("namespace"), text("name")};
}

/// One page: what matches after the position, in order, and where the next page begins.
struct Page {
  std::vector<ObjectPtr> items;
  std::string continue_token;
  std::uint64_t remaining = 0;
  Revision revision = 0;
};

Reply<Page> read_page(const Exchange& exchange, const ListOptions& options) {
  Page page;
  const ObjectStore& store = exchange.backend().objects;
  const auto wanted = wanted_namespace(exchange);
  const Revision current =
      is_event(exchange) ? exchange.shared.event_feed->revision() : store.revision();
  page.revision = options.position ? options.position->revision : current;
  if (options.exact && options.revision != current) {
    return std::unexpected(expired(fmt::format(
        "only the current state can be listed: revision {}, not {}", current, options.revision)));
  }
  bool full = false;
  const auto take = [&](const ObjectPtr& object) {
    if (!options.selection.matches(object->json)) return;
    if (options.limit > 0 && page.items.size() == options.limit) full = true;
    if (full) {
      ++page.remaining;
    } else {
      page.items.push_back(object);
    }
  };
  if (auto objects = unstored(exchange, wanted)) {
    std::ranges::sort(*objects, {}, [](const ObjectPtr& object) { return key_of(*object); });
    for (const ObjectPtr& object : *objects) {
      if (!options.position || key_of(*object) > options.position->after) take(object);
    }
  } else {
    const ObjectMap& all = store.all(exchange.route.kind->kind);
    auto at = wanted ? all.lower_bound(ObjectKey{*wanted, ""}) : all.begin();
    if (options.position && (at == all.end() || at->first <= options.position->after))
      at = all.upper_bound(options.position->after);
    for (; at != all.end() && (!wanted || at->first.name_space == *wanted); ++at) take(at->second);
  }
  if (full) page.continue_token = encode_position({page.revision, key_of(*page.items.back())});
  return page;
}

// Items are written in slices, so that a list of everything neither fills the memory nor keeps
// others waiting.
base::Task<Reply<>> stream_list(const Exchange& exchange, const Page& page) {
  Json metadata = {{"resourceVersion", std::to_string(page.revision)}};
  if (!page.continue_token.empty()) {
    metadata["continue"] = page.continue_token;
    metadata["remainingItemCount"] = page.remaining;
  }
  std::string text =
      fmt::format(R"({{"kind":"{}List","apiVersion":"{}","metadata":{},"items":[)",
                  exchange.route.kind->kind, exchange.route.kind->api_version(), to_text(metadata));
  bool begun = false;
  for (std::size_t i = 0; i < page.items.size(); ++i) {
    if (i > 0) text += ',';
    text += to_text(page.items[i]->json);
    if (text.size() < exchange.shared.limits.slice_bytes || i + 1 == page.items.size()) continue;
    if (!begun) CO_TRY_DO(co_await exchange.begin_stream("application/json"));
    begun = true;
    CO_TRY_DO(co_await exchange.write(text));
    text.clear();
    co_await give_way();
  }
  text += "]}";
  if (!begun) co_return co_await exchange.answer_text(200, "application/json", std::move(text));
  CO_TRY_DO(co_await exchange.write(text));
  co_return co_await exchange.end_stream();
}

}  // namespace

Refusal about(const Exchange& exchange, base::Error error) {
  Refusal refusal(std::move(error));
  if (exchange.route.kind != nullptr) {
    refusal.group = exchange.route.kind->group;
    refusal.resource = exchange.route.kind->plural;
  }
  refusal.name = exchange.route.name;
  return refusal;
}

Reply<ObjectPtr> find_named(const Exchange& exchange) {
  const Route& route = exchange.route;
  if (auto objects = unstored(exchange, route.name_space)) {
    for (ObjectPtr& object : *objects) {
      if (key_of(*object).name == route.name) return std::move(object);
    }
  } else if (ObjectPtr found = exchange.backend().objects.find(
                 {std::string(route.kind->kind), route.name_space, route.name})) {
    return found;
  }
  base::Error error = base::make_error(
      base::Errc::NotFound,
      fmt::format("{} {} does not exist{}{}", route.kind->singular, route.name,
                  route.kind->namespaced ? " in namespace " : "", route.name_space));
  std::vector<std::string> names;
  const ObjectMap& all = exchange.backend().objects.all(route.kind->kind);
  for (auto at = all.lower_bound(ObjectKey{route.name_space, ""});
       at != all.end() && at->first.name_space == route.name_space && names.size() < 1000; ++at) {
    names.push_back(at->first.name);
  }
  if (const auto nearest = base::nearest(route.name, names)) {
    error.hints.push_back(fmt::format("did you mean {}?", *nearest));
  }
  return std::unexpected(about(exchange, std::move(error)));
}

base::Task<Reply<>> get_object(Exchange& exchange) {
  CO_TRY(const AnswerForm form,
         choose_answer_form(exchange.head.headers.get("Accept").value_or("")));
  CO_TRY(const ObjectPtr object, find_named(exchange));
  if (form == AnswerForm::Table) {
    co_return co_await exchange.answer(
        200, make_table(*exchange.route.kind, {object}, object->revision, "",
                        exchange.backend().clock.wall()));
  }
  co_return co_await exchange.answer(200, object->json);
}

base::Task<Reply<>> list_objects(Exchange& exchange) {
  CO_TRY(const AnswerForm form,
         choose_answer_form(exchange.head.headers.get("Accept").value_or("")));
  CO_TRY(const ListOptions options,
         parse_list_options(exchange.route.kind->kind, exchange.query()));
  CO_TRY(const Page page, read_page(exchange, options));
  if (form == AnswerForm::Table) {
    co_return co_await exchange.answer(
        200, make_table(*exchange.route.kind, page.items, page.revision, page.continue_token,
                        exchange.backend().clock.wall()));
  }
  co_return co_await stream_list(exchange, page);
}

base::Task<Reply<>> get_scale(Exchange& exchange) {
  CO_TRY(const ObjectPtr object, find_named(exchange));
  co_return co_await exchange.answer(200, scale_of(object->json));
}

}  // namespace nexus::api
