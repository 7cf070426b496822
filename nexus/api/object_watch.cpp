// Watches: every change of a kind as lines of JSON, for as long as the client stays.

#include "api/event_feed.hpp"
#include "api/handlers.hpp"
#include "api/media.hpp"
#include "api/table.hpp"
#include "api/watch_line.hpp"
#include "api/within.hpp"
#include "objects/object.hpp"

namespace nexus::api {
namespace {

using Clock = std::chrono::steady_clock;

/// Everything that a watch needs while it lasts.
struct WatchState {
  Exchange& exchange;
  ListOptions options;
  std::optional<Clock::time_point> end;
  AnswerForm form = AnswerForm::Json;
  Revision revision = 0;  // What the client has seen.

  std::string line(std::string_view type, const ObjectPtr& object) const {
    if (form == AnswerForm::Json) return watch_line(type, object->json);
    return watch_line(type, make_table(*exchange.route.kind, {object}, object->revision, "",
                                       exchange.backend().clock.wall()));
  }

  /// How long to wait for an event before a bookmark or the end is due.
  base::Duration patience() const {
    base::Duration limit = exchange.shared.limits.bookmark_interval;
    if (end)
      limit = std::min(limit, std::max(base::Duration(0), base::Duration(*end - Clock::now())));
    return limit;
  }
  bool over() const { return end && Clock::now() >= *end; }
};

Change change_of(ObjectEvent::Type type) {
  switch (type) {
    case ObjectEvent::Type::Added:
      return Change::Added;
    case ObjectEvent::Type::Modified:
      return Change::Modified;
    case ObjectEvent::Type::Deleted:
      return Change::Deleted;
  }
  return Change::Modified;
}

base::Task<Reply<>> write_existing(WatchState& state, const std::vector<ObjectPtr>& objects) {
  std::string lines;
  for (const ObjectPtr& object : objects) {
    if (!state.options.selection.matches(object->json)) continue;
    lines += state.line("ADDED", object);
    if (lines.size() < state.exchange.shared.limits.slice_bytes) continue;
    CO_TRY_DO(co_await state.exchange.write(lines));
    lines.clear();
    co_await give_way();
  }
  co_return co_await state.exchange.write(lines);
}

// A bookmark is due when nothing came, and at the end.
base::Task<Reply<>> write_pause(WatchState& state) {
  if (!state.options.bookmarks) co_return Reply<>{};
  co_return co_await state.exchange.write(
      bookmark_line(*state.exchange.route.kind, state.revision));
}

base::Task<Reply<>> write_failure(WatchState& state, base::Error error) {
  if (error.code == base::Errc::Cancelled) co_return std::unexpected(Refusal(std::move(error)));
  Refusal refusal = error.code == base::Errc::FailedPrecondition ? expired(error.message)
                                                                 : Refusal(std::move(error));
  CO_TRY_DO(co_await state.exchange.write(error_line(refusal, state.exchange.trace_id)));
  co_return co_await state.exchange.end_stream();
}

base::Task<Reply<>> follow_objects(WatchState& state, ObjectWatch& watch) {
  while (!state.over()) {
    auto events = co_await within(watch.next(), state.patience());
    if (!events) co_return co_await write_failure(state, std::move(events).error());
    if (!*events) {
      // Also while only other kinds change: who goes on from here finds it retained.
      state.revision = std::max(state.revision, watch.position());
      CO_TRY_DO(co_await write_pause(state));
      continue;
    }
    std::string lines;
    for (const ObjectEvent& event : **events) {
      const Json* before = event.previous == nullptr ? nullptr : &event.previous->json;
      if (const auto type = watch_type_of(change_of(event.type), event.object->json, before,
                                          state.options.selection)) {
        lines += state.line(*type, event.object);
      }
      state.revision = std::max(state.revision, event.object->revision);
    }
    CO_TRY_DO(co_await state.exchange.write(lines));
  }
  co_return co_await state.exchange.end_stream();
}

base::Task<Reply<>> run_object_watch(WatchState& state) {
  Exchange& exchange = state.exchange;
  ObjectStore& store = exchange.backend().objects;
  const std::string kind(exchange.route.kind->kind);
  std::optional<std::string> name_space;
  if (!exchange.route.name_space.empty()) name_space = exchange.route.name_space;

  // What exists is taken from the cache at one revision, and the watch begins right there.
  std::vector<ObjectPtr> existing;
  state.revision = state.options.revision;
  if (state.revision == 0) {
    state.revision = store.revision();
    for (const auto& [key, object] : store.all(kind)) {
      if (!name_space || key.name_space == *name_space) existing.push_back(object);
    }
  }
  auto watch = co_await store.watch(kind, name_space, state.revision);
  if (!watch) {
    if (watch.error().code == base::Errc::FailedPrecondition)
      co_return std::unexpected(expired(watch.error().message));
    co_return std::unexpected(Refusal(std::move(watch).error()));
  }
  CO_TRY_DO(co_await exchange.begin_stream("application/json"));
  CO_TRY_DO(co_await write_existing(state, existing));
  existing.clear();
  co_return co_await follow_objects(state, **watch);
}

base::Task<Reply<>> run_event_watch(WatchState& state) {
  Exchange& exchange = state.exchange;
  EventFeed& feed = *exchange.shared.event_feed;
  EventFeed::Watcher watcher(feed);
  std::optional<std::string> name_space;
  if (!exchange.route.name_space.empty()) name_space = exchange.route.name_space;
  const bool from_start = state.options.revision == 0;
  std::vector<ObjectPtr> existing;
  for (ObjectPtr& event : feed.list(exchange.backend().clock.wall(), name_space)) {
    if (from_start || event->revision > state.options.revision)
      existing.push_back(std::move(event));
  }
  state.revision = feed.revision();
  CO_TRY_DO(co_await exchange.begin_stream("application/json"));
  CO_TRY_DO(co_await write_existing(state, existing));
  while (!state.over()) {
    auto changes = co_await watcher.next(state.patience());
    if (!changes) co_return co_await write_failure(state, std::move(changes).error());
    std::string lines;
    for (const auto& change : *changes) {
      state.revision = change.event->revision;
      if (name_space && change.event->json.at("metadata").value("namespace", "") != *name_space)
        continue;
      const Change kind = change.added ? Change::Added : Change::Modified;
      if (const auto type = watch_type_of(kind, change.event->json, &change.event->json,
                                          state.options.selection)) {
        lines += state.line(*type, change.event);
      }
    }
    if (changes->empty()) {
      CO_TRY_DO(co_await write_pause(state));
    } else {
      CO_TRY_DO(co_await exchange.write(lines));
    }
  }
  co_return co_await exchange.end_stream();
}

}  // namespace

base::Task<Reply<>> watch_objects(Exchange& exchange) {
  CO_TRY(ListOptions options, parse_list_options(exchange.route.kind->kind, exchange.query()));
  CO_TRY(const Seats::Seat seat, exchange.shared.watches.take());
  CO_TRY(const AnswerForm form,
         choose_answer_form(exchange.head.headers.get("Accept").value_or("")));
  WatchState state{exchange, std::move(options), {}, form, 0};
  if (state.options.timeout) state.end = Clock::now() + *state.options.timeout;
  // Reading ahead would mix with what comes after the watch: it is the connection's last answer.
  exchange.connection.close_after_answer();
  const bool events = exchange.route.kind->kind == "Event";
  co_return co_await until_peer_gone(exchange.connection,
                                     events ? run_event_watch(state) : run_object_watch(state));
}

}  // namespace nexus::api
