#include "objects/state_object_store.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "objects/object_plan.hpp"

namespace nexus {
namespace {

constexpr std::size_t kLoadPage = 1000;
constexpr int kTriesMax = 8;  // against writers of the same object that are quicker
constexpr base::Duration kCatchUpMax = std::chrono::milliseconds(20);
const std::string kSecretKind = "Secret";

base::Error closing_error() {
  return base::make_error(base::Errc::Unavailable, "the object store is closing");
}

ObjectPtr object_of(Json json, Revision revision, std::string writer) {
  json["metadata"]["resourceVersion"] = std::to_string(revision);
  return std::make_shared<const Object>(Object{std::move(json), revision, std::move(writer)});
}

ObjectEvent::Type type_of(const ObjectPtr& object, const ObjectPtr& previous) {
  if (!object) return ObjectEvent::Type::Deleted;
  return previous ? ObjectEvent::Type::Modified : ObjectEvent::Type::Added;
}

}  // namespace

/// One commit's changes of objects, as watches hand them out.
struct StateObjectStore::Applied {
  struct Item {
    std::string key;
    ObjectEvent event;
  };
  Revision revision = 0;
  std::size_t bytes = 0;
  std::vector<Item> items;
};

// A write under way: what it stores and the value that this is. The event of the commit finds it
// here.
struct StateObjectStore::Prepared {
  Prepared(StateObjectStore& owner, std::string its_key, std::string bytes, Json content,
           std::string user)
      : store(owner),
        key(std::move(its_key)),
        stored(std::move(bytes)),
        json(std::move(content)),
        writer(std::move(user)) {
    store.prepared_.emplace(key, this);
  }
  ~Prepared() {
    const auto [first, last] = store.prepared_.equal_range(key);
    store.prepared_.erase(
        std::find_if(first, last, [this](const auto& entry) { return entry.second == this; }));
  }
  Prepared(const Prepared&) = delete;
  Prepared& operator=(const Prepared&) = delete;

  StateObjectStore& store;
  std::string key, stored;
  Json json;
  std::string writer;
  ObjectPtr object;  // once applied
};

struct StateObjectStore::Change {
  ObjectPlan plan;
  ObjectPtr current;
  std::unique_ptr<Prepared> prepared;  // null: removed or not changed
};

// A watch. Recent commits come from the cache's own list; a start in the past reads the state's log
// first.
class StateObjectStore::Cursor final : public ObjectWatch {
 public:
  Cursor(StateObjectStore& store, std::string prefix, Revision after)
      : store_(store), prefix_(std::move(prefix)), position_(after), wake_(store.executor_) {
    store_.cursors_.insert(this);
  }
  ~Cursor() override { store_.cursors_.erase(this); }

  base::Task<base::Result<std::vector<ObjectEvent>>> next() override {
    for (;;) {
      if (ended_) co_return std::unexpected(*ended_);
      std::vector<ObjectEvent> events;
      position_ = position();
      if (position_ >= store_.recent_after_) past_.reset();
      if (position_ < store_.recent_after_) {
        CO_TRY(events, co_await read_past());
      } else {
        for (const auto& commit : store_.recent_) {
          if (commit->revision <= position_) continue;
          for (const auto& item : commit->items) {
            if (item.key.starts_with(prefix_)) events.push_back(item.event);
          }
        }
        position_ = std::max(position_, store_.revision_);
        if (events.empty()) co_await wake_.wait();
      }
      if (!events.empty()) co_return events;
    }
  }

  Revision position() const override {
    return past_ ? std::max(position_, past_->position()) : position_;
  }

  void applied(const Applied& commit, Revision before) {
    if (std::ranges::any_of(commit.items,
                            [this](const auto& item) { return item.key.starts_with(prefix_); })) {
      wake_.notify();
    } else if (position_ >= before && position_ < commit.revision) {
      position_ = commit.revision;
    }
  }
  void end(base::Error why) {
    ended_ = std::move(why);
    wake_.notify();
  }

 private:
  base::Task<base::Result<std::vector<ObjectEvent>>> read_past() {
    if (!past_) {
      CO_TRY(past_, co_await store_.needs_.state.watch(prefix_, position_));
    }
    CO_TRY(const auto changes, co_await past_->next());
    // Whoever stops waiting below has not got these: they are read again then.
    std::unique_ptr<Watch> past = std::move(past_);
    // What a watch tells is in the cache already.
    while (!ended_ && store_.revision_ < changes.back().revision)
      co_await store_.applied_.wait_for(kCatchUpMax);
    std::vector<ObjectEvent> events;
    for (const WatchEvent& change : changes) {
      ObjectEvent event;
      if (change.previous) {
        CO_TRY(event.previous, store_.decode(change.key, *change.previous, 0));
      }
      if (change.value) {
        CO_TRY(event.object, store_.decode(change.key, *change.value, change.revision));
      }
      event.type = type_of(event.object, event.previous);
      if (event.type == ObjectEvent::Type::Deleted) {
        if (!event.previous) continue;  // made and deleted before anything that is kept
        event.object = object_of(event.previous->json, change.revision, event.previous->writer);
      }
      events.push_back(std::move(event));
    }
    position_ = changes.back().revision;
    if (position_ < store_.recent_after_) past_ = std::move(past);
    co_return events;
  }

  StateObjectStore& store_;
  std::string prefix_;
  Revision position_;
  base::Event wake_;
  std::unique_ptr<Watch> past_;
  std::optional<base::Error> ended_;
};

base::Task<base::Result<std::unique_ptr<StateObjectStore>>> StateObjectStore::open(
    base::Executor executor, Needs needs, Limits limits) {
  std::unique_ptr<StateObjectStore> store(
      new StateObjectStore(std::move(executor), std::move(needs), limits));
  CO_TRY_DO(co_await store->load());
  co_return store;
}

StateObjectStore::StateObjectStore(base::Executor executor, Needs needs, Limits limits)
    : executor_(executor),
      needs_(std::move(needs)),
      limits_(limits),
      write_seconds_(needs_.metrics.histogram(
          "nexus_object_write_seconds", "Time from a write's call to its answer", {},
          {.0002, .0005, .001, .002, .005, .01, .02, .05, .1, .5, 1, 5})),
      objects_(needs_.metrics.gauge("nexus_objects", "Objects in the store")),
      applied_(executor),
      follower_(executor) {}

StateObjectStore::~StateObjectStore() {
  BASE_ASSERT(cursors_.empty(), "an object store was destroyed before its watches");
}

base::Task<base::Result<>> StateObjectStore::load() {
  Range range{std::string(kObjectsPrefix), "", kLoadPage};
  double count = 0;
  for (bool first = true, more = true; more; first = false) {
    CO_TRY(auto page, co_await needs_.state.range(range));
    if (first)
      revision_ = recent_after_ =
          page.revision;  // what changes during the later pages comes by the watch
    for (const KeyValue& entry : page.entries) {
      CO_TRY(ObjectRef ref, ref_of_key(entry.key));
      CO_TRY(auto object, decode(entry.key, entry.value, entry.modified));
      kinds_[ref.kind].insert_or_assign(ObjectKey{std::move(ref.name_space), std::move(ref.name)},
                                        std::move(object));
    }
    count += static_cast<double>(page.entries.size());
    more = page.more;
    if (more) range.start_after = page.entries.back().key;
  }
  objects_.set(count);
  CO_TRY(auto changes, co_await needs_.state.watch(std::string(kObjectsPrefix), revision_));
  follower_.spawn(follow(std::move(changes)));
  co_return base::Result<>();
}

base::Task<> StateObjectStore::follow(std::unique_ptr<Watch> state) {
  for (;;) {
    const auto events = co_await state->next();
    const auto done = events ? apply(*events) : base::Result<>(std::unexpected(events.error()));
    applied_.notify();
    if (done) continue;
    failed_ = done.error();
    needs_.log.error("the object store stops", {{"error", *failed_}});
    for (Cursor* cursor : cursors_) cursor->end(*failed_);
    co_return;
  }
}

base::Result<> StateObjectStore::apply(const std::vector<WatchEvent>& events) {
  for (std::size_t i = 0; i < events.size();) {
    auto commit = std::make_shared<Applied>();
    commit->revision = events[i].revision;
    for (; i < events.size() && events[i].revision == commit->revision; ++i) {
      const WatchEvent& change = events[i];
      TRY(ObjectRef ref, ref_of_key(change.key));
      ObjectMap& objects = kinds_[ref.kind];
      const ObjectKey name{ref.name_space, ref.name};
      const auto found = objects.find(name);
      ObjectEvent event;
      if (found != objects.end()) event.previous = found->second;
      if (event.previous && event.previous->revision >= change.revision)
        continue;  // the load saw it already
      if (change.value) {
        TRY(event.object, take_prepared(change));
        if (!event.object) {
          TRY(event.object, decode(change.key, *change.value, change.revision));
        }
        commit->bytes += change.value->size();
      } else if (!event.previous) {
        continue;
      }
      event.type = type_of(event.object, event.previous);
      if (event.object) {
        objects.insert_or_assign(name, event.object);
      } else {
        objects.erase(found);
        event.object = object_of(event.previous->json, change.revision, event.previous->writer);
      }
      if (event.type == ObjectEvent::Type::Added) objects_.add(1);
      if (event.type == ObjectEvent::Type::Deleted) objects_.add(-1);
      commit->items.push_back({change.key, std::move(event)});
    }
    const Revision before = std::exchange(revision_, std::max(revision_, commit->revision));
    recent_bytes_ += commit->bytes;
    recent_.push_back(commit);
    while (recent_.size() > limits_.recent_commits_max ||
           (recent_.size() > 1 && recent_bytes_ > limits_.recent_bytes_max)) {
      recent_after_ = recent_.front()->revision;
      recent_bytes_ -= recent_.front()->bytes;
      recent_.pop_front();
    }
    for (Cursor* cursor : cursors_) cursor->applied(*commit, before);
  }
  return {};
}

base::Result<ObjectPtr> StateObjectStore::decode(const std::string& key, std::string_view value,
                                                 Revision revision) const {
  auto envelope = decode_envelope(value);
  if (!envelope) return std::unexpected(base::wrap(std::move(envelope).error(), key));
  std::string text = std::move(envelope->payload);
  if (envelope->sealed) {
    auto plain = needs_.keys.open(*envelope->sealed, base::as_bytes(text), key);
    if (!plain) {
      auto hints = plain.error().hints;
      auto error = base::wrap(std::move(plain).error(), key + " cannot be opened");
      error.hints = std::move(hints);
      return std::unexpected(std::move(error));
    }
    text = base::as_text(*plain);
  }
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded() || !json.is_object() || !json.contains("metadata")) {
    return base::fail(base::Errc::DataLoss, key + " holds no object");
  }
  return object_of(std::move(json), revision, std::move(envelope->writer));
}

base::Result<ObjectPtr> StateObjectStore::take_prepared(const WatchEvent& event) {
  const auto [first, last] = prepared_.equal_range(event.key);
  for (auto entry = first; entry != last; ++entry) {
    Prepared& prepared = *entry->second;
    if (prepared.object || prepared.stored != *event.value) continue;
    prepared.object = object_of(std::move(prepared.json), event.revision, prepared.writer);
    return prepared.object;
  }
  return ObjectPtr();
}

base::Task<base::Result<ObjectPtr>> StateObjectStore::get(ObjectRef ref) {
  if (auto found = find(ref)) co_return found;
  ObjectWrite absent;
  absent.verb = ObjectWrite::Verb::Remove;
  absent.ref = std::move(ref);
  co_return std::unexpected(plan_object_write(absent, nullptr, {}).error());
}

base::Task<base::Result<ObjectList>> StateObjectStore::list(std::string kind,
                                                            std::optional<std::string> name_space) {
  ObjectList result;
  result.revision = revision_;
  const ObjectMap& objects = all(kind);
  auto at = name_space ? objects.lower_bound({*name_space, ""}) : objects.begin();
  for (; at != objects.end() && (!name_space || at->first.name_space == *name_space); ++at) {
    result.items.push_back(at->second);
  }
  co_return result;
}

ObjectPtr StateObjectStore::find(const ObjectRef& ref) const {
  const ObjectMap& objects = all(ref.kind);
  const auto found = objects.find({ref.name_space, ref.name});
  return found == objects.end() ? nullptr : found->second;
}

const ObjectMap& StateObjectStore::all(std::string_view kind) const {
  static const ObjectMap kNone;
  const auto found = kinds_.find(kind);
  return found == kinds_.end() ? kNone : found->second;
}

base::Task<base::Result<std::unique_ptr<ObjectWatch>>> StateObjectStore::watch(
    std::string kind, std::optional<std::string> name_space, Revision after) {
  if (failed_) co_return std::unexpected(*failed_);
  const std::string prefix = objects_prefix(kind, name_space);
  if (after < recent_after_) {
    // Told now rather than by the first `next`.
    CO_TRY(const auto past, co_await needs_.state.watch(prefix, after));
  }
  co_return std::make_unique<Cursor>(*this, prefix, after);
}

base::Task<> StateObjectStore::close() {
  follower_.cancel();
  co_await follower_.join();
  failed_ = closing_error();
  for (Cursor* cursor : cursors_) cursor->end(*failed_);
  applied_.notify();
}

// Writes.

base::Task<base::Result<Written>> StateObjectStore::create(Actor actor, Json object) {
  ObjectWrite write;
  write.verb = ObjectWrite::Verb::Create;
  write.json = std::move(object);
  co_return co_await run_one(std::move(actor), std::move(write));
}

base::Task<base::Result<Written>> StateObjectStore::update(Actor actor, Json object) {
  ObjectWrite write;
  write.verb = ObjectWrite::Verb::Update;
  write.json = std::move(object);
  co_return co_await run_one(std::move(actor), std::move(write));
}

base::Task<base::Result<Written>> StateObjectStore::update_status(Json object, std::string writer) {
  ObjectWrite write;
  write.verb = ObjectWrite::Verb::UpdateStatus;
  write.json = std::move(object);
  Actor actor;
  actor.user = std::move(writer);
  co_return co_await run_one(std::move(actor), std::move(write));
}

base::Task<base::Result<Written>> StateObjectStore::remove(Actor actor, ObjectRef ref,
                                                           RemovePrecondition precondition) {
  ObjectWrite write;
  write.verb = ObjectWrite::Verb::Remove;
  write.ref = std::move(ref);
  write.precondition = std::move(precondition);
  co_return co_await run_one(std::move(actor), std::move(write));
}

base::Task<base::Result<Written>> StateObjectStore::run_one(Actor actor, ObjectWrite write) {
  std::vector<ObjectWrite> writes;
  writes.push_back(std::move(write));
  std::vector<bool> changed;
  CO_TRY(auto result, co_await run(actor, std::move(writes), changed));
  co_return Written{std::move(result.objects.front()), result.receipt, changed.front()};
}

base::Task<base::Result<TransactionResult>> StateObjectStore::transact(
    Actor actor, std::vector<ObjectWrite> writes) {
  std::vector<bool> changed;
  co_return co_await run(actor, std::move(writes), changed);
}

base::Result<StateObjectStore::Change> StateObjectStore::plan(const ObjectWrite& write,
                                                              const std::string& writer) {
  Change change;
  ObjectRef ref = write.ref;
  if (write.verb != ObjectWrite::Verb::Remove) {
    TRY(ref, ref_of(write.json));
  }
  change.current = find(ref);
  const ObjectStamp stamp{base::make_uuid(needs_.rng), base::to_rfc3339(needs_.clock.wall())};
  TRY(change.plan, plan_object_write(write, change.current, stamp));
  if (!change.plan.json || !change.plan.changed) return change;
  TRY(std::string text, object_text(ref, *change.plan.json));
  const std::string key = object_key(ref);
  Envelope envelope{writer, {}, std::move(text)};
  if (ref.kind == kSecretKind) {
    const auto sealed = needs_.keys.seal(base::as_bytes(envelope.payload), key, needs_.rng);
    envelope.payload = base::as_text(sealed);
    envelope.sealed = needs_.keys.current();
  }
  change.prepared = std::make_unique<Prepared>(*this, key, encode_envelope(envelope),
                                               std::move(*change.plan.json), writer);
  return change;
}

base::Task<base::Result<TransactionResult>> StateObjectStore::run(const Actor& actor,
                                                                  std::vector<ObjectWrite> writes,
                                                                  std::vector<bool>& changed) {
  if (failed_) co_return std::unexpected(*failed_);
  if (writes.empty())
    co_return base::fail(base::Errc::InvalidArgument, "a transaction has no writes");
  if (writes.size() > kTransactionWritesMax) {
    co_return base::fail(base::Errc::ResourceExhausted,
                         fmt::format("a transaction has {} writes; at most {} are allowed",
                                     writes.size(), kTransactionWritesMax));
  }
  const auto started = needs_.clock.now();
  for (int attempt = 1;; ++attempt) {
    std::vector<Change> changes;
    std::vector<Write> stored;
    std::vector<AuditEntry> entries;
    std::set<ObjectRef> refs;
    changed.clear();
    for (const ObjectWrite& write : writes) {
      CO_TRY(Change change, plan(write, actor.user));
      const ObjectRef& ref = change.plan.ref;
      if (!refs.insert(ref).second) {
        co_return base::fail(base::Errc::InvalidArgument,
                             fmt::format("a transaction writes {} twice", to_string(ref)));
      }
      changed.push_back(change.plan.changed);
      if (change.plan.changed) {
        std::optional<std::string> value;
        if (change.prepared) value = change.prepared->stored;
        if (change.plan.audited) {
          AuditEntry entry =
              audit_entry(actor, std::string(change.plan.action), needs_.clock.wall());
          entry.name_space = ref.name_space;
          entry.object = to_string(ref);
          if (value) entry.digest = base::sha256(*value);
          entries.push_back(std::move(entry));
        }
        stored.push_back({object_key(ref), std::move(value), change.plan.expected});
      }
      changes.push_back(std::move(change));
    }
    TransactionResult result;
    result.revision = revision_;
    if (!stored.empty()) {
      base::Result<> committed;
      if (entries.empty()) {
        const auto done = co_await needs_.state.commit(std::move(stored));
        if (done) result.revision = *done;
        if (!done) committed = std::unexpected(done.error());
      } else {
        const auto done = co_await needs_.audit.commit(std::move(stored), std::move(entries));
        if (done) result.revision = done->revision;
        if (done) result.receipt = done->receipt;
        if (!done) committed = std::unexpected(done.error());
      }
      if (!committed) {
        if (committed.error().code != base::Errc::Conflict || attempt == kTriesMax)
          co_return std::unexpected(committed.error());
        // Somebody was quicker; the cache is about to show it. Then the request is decided anew.
        const auto same = [&] {
          return std::ranges::all_of(changes, [&](const Change& change) {
            return find(change.plan.ref) == change.current;
          });
        };
        if (same()) co_await applied_.wait_for(kCatchUpMax);
        continue;
      }
      CO_TRY_DO(co_await catch_up(result.revision));
      write_seconds_.observe(std::chrono::duration<double>(needs_.clock.now() - started).count());
    }
    for (Change& change : changes) {
      result.objects.push_back(change.prepared ? std::move(change.prepared->object)
                                               : change.current);
    }
    co_return result;
  }
}

base::Task<base::Result<>> StateObjectStore::catch_up(Revision revision) {
  while (!failed_ && revision_ < revision) co_await applied_.wait();
  if (revision_ < revision) co_return std::unexpected(*failed_);
  co_return base::Result<>();
}

base::Task<base::Result<std::size_t>> StateObjectStore::reseal(Actor actor) {
  Range range{objects_prefix(kSecretKind, {}), "", kLoadPage};
  std::size_t count = 0;
  for (bool more = true; more;) {
    CO_TRY(const auto page, co_await needs_.state.range(range));
    for (const KeyValue& entry : page.entries) {
      CO_TRY(Envelope envelope, decode_envelope(entry.value));
      if (envelope.sealed == needs_.keys.current()) continue;
      if (envelope.sealed) {
        CO_TRY(const auto plain,
               needs_.keys.open(*envelope.sealed, base::as_bytes(envelope.payload), entry.key));
        envelope.payload = base::as_text(plain);
      }
      const auto sealed = needs_.keys.seal(base::as_bytes(envelope.payload), entry.key, needs_.rng);
      envelope.payload = base::as_text(sealed);
      envelope.sealed = needs_.keys.current();
      std::string value = encode_envelope(envelope);
      CO_TRY(const ObjectRef ref, ref_of_key(entry.key));
      std::vector<AuditEntry> entries{audit_entry(actor, "reseal", needs_.clock.wall())};
      entries.front().name_space = ref.name_space;
      entries.front().object = to_string(ref);
      entries.front().digest = base::sha256(value);
      std::vector<Write> writes{{entry.key, std::move(value), entry.modified}};
      const auto done = co_await needs_.audit.commit(std::move(writes), std::move(entries));
      // One that was written meanwhile has the new seal already.
      if (!done && done.error().code != base::Errc::Conflict)
        co_return std::unexpected(done.error());
      if (done) ++count;
      if (done) CO_TRY_DO(co_await catch_up(done->revision));
    }
    more = page.more;
    if (more) range.start_after = page.entries.back().key;
  }
  co_return count;
}

}  // namespace nexus
