#include "orchestration/testing/memory_object_store.hpp"

#include "objects/object_plan.hpp"

namespace nexus::orchestration {

class MemoryObjectStore::Cursor final : public ObjectWatch {
 public:
  Cursor(MemoryObjectStore& store, std::size_t position)
      : store_(store), position_(position), arrived_(store.executor_) {
    store_.waiting_.insert(&arrived_);
  }
  ~Cursor() override { store_.waiting_.erase(&arrived_); }

  base::Task<base::Result<std::vector<ObjectEvent>>> next() override {
    while (position_ >= store_.events_.size() && position_ >= store_.first_retained_)
      co_await arrived_.wait();
    if (position_ < store_.first_retained_) {
      co_return base::fail(base::Errc::FailedPrecondition, "the watch fell behind");
    }
    std::vector<ObjectEvent> out(store_.events_.begin() + static_cast<std::ptrdiff_t>(position_),
                                 store_.events_.end());
    position_ = store_.events_.size();
    co_return out;
  }
  Revision position() const override {
    if (position_ >= store_.events_.size()) return store_.revision_;
    return position_ == 0 ? 0 : store_.events_[position_ - 1].object->revision;
  }

 private:
  MemoryObjectStore& store_;
  std::size_t position_;
  base::Event arrived_;
};

base::Result<std::vector<ObjectPtr>> MemoryObjectStore::commit(std::vector<ObjectWrite> writes) {
  std::vector<ObjectPlan> plans;
  std::set<ObjectRef> seen;
  for (ObjectWrite& write : writes) {
    ObjectRef ref = write.ref;
    if (write.verb != ObjectWrite::Verb::Remove) {
      TRY(ref, ref_of(write.json));
    }
    if (!seen.insert(ref).second)
      return base::fail(base::Errc::InvalidArgument, to_string(ref) + " is written twice");
    TRY(auto plan,
        plan_object_write(write, find(ref),
                          {.uid = base::make_uuid(rng_), .now = base::to_rfc3339(clock_.wall())}));
    plans.push_back(std::move(plan));
  }
  ++revision_;
  std::vector<ObjectPtr> out;
  for (ObjectPlan& plan : plans) {
    ObjectMap& objects = kinds_[plan.ref.kind];
    const ObjectKey key{plan.ref.name_space, plan.ref.name};
    const ObjectPtr before = find(plan.ref);
    if (!plan.changed) {
      out.push_back(before);
      continue;
    }
    ++this->writes;
    auto object = std::make_shared<Object>();
    object->json = plan.json ? *plan.json : before->json;
    object->json["metadata"]["resourceVersion"] = std::to_string(revision_);
    object->revision = revision_;
    ObjectEvent event{.type = ObjectEvent::Type::Modified, .object = object, .previous = before};
    if (plan.json) {
      if (before == nullptr) event.type = ObjectEvent::Type::Added;
      objects[key] = object;
    } else {
      event.type = ObjectEvent::Type::Deleted;
      objects.erase(key);
    }
    events_.push_back(std::move(event));
    out.push_back(object);
  }
  for (base::Event* waiting : waiting_) waiting->notify();
  return out;
}

base::Result<ObjectPtr> MemoryObjectStore::put(ObjectWrite write) {
  TRY(auto objects, commit({std::move(write)}));
  return objects.front();
}

base::Task<base::Result<Written>> MemoryObjectStore::one(ObjectWrite write) {
  std::vector<ObjectWrite> writes;
  writes.push_back(std::move(write));
  CO_TRY(auto done, co_await transact({}, std::move(writes)));
  co_return Written{.object = done.objects.front(), .receipt = {}, .changed = true};
}

base::Task<base::Result<TransactionResult>> MemoryObjectStore::transact(
    Actor, std::vector<ObjectWrite> writes) {
  co_await gate_.pass();
  if (writes.empty() || writes.size() > kTransactionWritesMax) {
    co_return base::fail(base::Errc::InvalidArgument, "a transaction has 1 to 512 writes");
  }
  if (fault) {
    if (auto error = fault()) co_return std::unexpected(std::move(*error));
  }
  auto objects = commit(std::move(writes));
  co_await gate_.pass();
  if (!objects) co_return std::unexpected(std::move(objects).error());
  co_return TransactionResult{.objects = *std::move(objects), .revision = revision_, .receipt = {}};
}

base::Task<base::Result<ObjectPtr>> MemoryObjectStore::get(ObjectRef ref) {
  ObjectPtr found = find(ref);
  if (found == nullptr)
    co_return base::fail(base::Errc::NotFound, to_string(ref) + " does not exist");
  co_return found;
}

base::Task<base::Result<ObjectList>> MemoryObjectStore::list(
    std::string kind, std::optional<std::string> name_space) {
  ObjectList out{.items = {}, .revision = revision_};
  for (const auto& [key, object] : all(kind)) {
    if (!name_space || key.name_space == *name_space) out.items.push_back(object);
  }
  co_return out;
}

base::Task<base::Result<Written>> MemoryObjectStore::create(Actor, Json object) {
  ObjectWrite write;
  write.json = std::move(object);
  co_return co_await one(std::move(write));
}

base::Task<base::Result<Written>> MemoryObjectStore::update(Actor, Json object) {
  ObjectWrite write;
  write.verb = ObjectWrite::Verb::Update;
  write.json = std::move(object);
  co_return co_await one(std::move(write));
}

base::Task<base::Result<Written>> MemoryObjectStore::update_status(Json object, std::string) {
  ObjectWrite write;
  write.verb = ObjectWrite::Verb::UpdateStatus;
  write.json = std::move(object);
  co_return co_await one(std::move(write));
}

base::Task<base::Result<Written>> MemoryObjectStore::remove(Actor, ObjectRef ref,
                                                            RemovePrecondition precondition) {
  ObjectWrite write;
  write.verb = ObjectWrite::Verb::Remove;
  write.ref = std::move(ref);
  write.precondition = std::move(precondition);
  co_return co_await one(std::move(write));
}

base::Task<base::Result<std::unique_ptr<ObjectWatch>>> MemoryObjectStore::watch(
    std::string, std::optional<std::string>, Revision after) {
  std::size_t position = 0;
  while (position < events_.size() && events_[position].object->revision <= after) ++position;
  co_return std::make_unique<Cursor>(*this, position);
}

ObjectPtr MemoryObjectStore::find(const ObjectRef& ref) const {
  const ObjectMap& objects = all(ref.kind);
  const auto found = objects.find({ref.name_space, ref.name});
  return found == objects.end() ? nullptr : found->second;
}

const ObjectMap& MemoryObjectStore::all(std::string_view kind) const {
  static const ObjectMap none;
  const auto found = kinds_.find(kind);
  return found == kinds_.end() ? none : found->second;
}

}  // namespace nexus::orchestration
