// What the node writes: the place and status of its pods, the end of their objects, the files of
// their volumes.

#include <base/crypto.hpp>

#include "orchestration/json_read.hpp"
#include "orchestration/pod_worker.hpp"
#include "orchestration/spawn_later.hpp"

namespace nexus::orchestration {

namespace {

/// While a pod is being started its states follow each other quickly; they are written when one
/// lasts.
constexpr base::Duration kPendingStatusDelay = std::chrono::milliseconds(100);
constexpr base::Duration kWriteRetry = std::chrono::seconds(1);

std::string digest_of(const std::vector<VolumeFile>& files) {
  base::Sha256 hash;
  const auto add = [&](std::string_view text) {
    const std::string size = std::to_string(text.size()) + ":";
    hash.update(base::as_bytes(size));
    hash.update(base::as_bytes(text));
  };
  for (const VolumeFile& file : files) {
    add(file.path);
    add(file.content);
    add(std::to_string(file.mode));
  }
  return base::to_hex(hash.finish());
}

}  // namespace

void NodePods::schedule_status(Worker& worker) {
  if (worker.object_gone || worker.deleting) return;
  const ObjectPtr object = view_.find(worker.ref);
  if (object == nullptr || text(at(object->json, "metadata"), "uid") != worker.uid) return;
  const Json& stored = at(object->json, "status");
  const bool bound = !text(at(object->json, "spec"), "nodeName").empty();
  if (bound && worker.life.status(stored) == stored) return;
  const bool passing =
      text(stored, "phase", "Pending") == "Pending" && worker.life.phase() == PodPhase::Pending &&
      orchestration::find(object->json, "metadata", "deletionTimestamp") == nullptr;
  if (!passing) return write_now(worker);
  if (worker.write_alarm) return;
  worker.write_alarm =
      needs_.alarms.call_at(needs_.clock.now() + kPendingStatusDelay, [this, uid = worker.uid] {
        const auto found = workers_.find(uid);
        if (found == workers_.end()) return;
        found->second->write_alarm.reset();
        write_now(*found->second);
      });
}

void NodePods::write_now(Worker& worker) {
  if (worker.write_alarm) needs_.alarms.cancel(*std::exchange(worker.write_alarm, std::nullopt));
  if (worker.writing) return;  // it looks again before it ends
  worker.writing = true;
  spawn_later(scope_, write_status(worker.uid));
}

base::Task<> NodePods::write_status(std::string uid) {
  for (;;) {
    auto found = workers_.find(uid);
    if (found == workers_.end()) co_return;
    Worker& worker = *found->second;
    const ObjectPtr object = view_.find(worker.ref);
    if (object == nullptr || worker.object_gone || text(at(object->json, "metadata"), "uid") != uid)
      break;
    ObjectWrite write;
    Json status = worker.life.status(at(object->json, "status"));
    if (text(at(object->json, "spec"), "nodeName").empty()) {
      Json bound = object->json;
      bound["spec"]["nodeName"] = node_.name;
      write = update_of(std::move(bound));
    } else if (status != at(object->json, "status")) {
      write = status_of(*object, std::move(status));
    } else {
      break;
    }
    base::Result<> written;
    if (write.verb == ObjectWrite::Verb::Update) {
      auto result = co_await needs_.objects.update(actor_, std::move(write.json));
      if (!result) written = std::unexpected(std::move(result).error());
    } else {
      auto result = co_await needs_.objects.update_status(std::move(write.json), actor_.user);
      if (!result) written = std::unexpected(std::move(result).error());
    }
    found = workers_.find(uid);
    if (found == workers_.end()) co_return;
    // Somebody else wrote in between: what to write is worked out again.
    if (written || written.error().code == base::Errc::Conflict) continue;
    found->second->writing = false;
    if (written.error().code == base::Errc::NotFound || found->second->object_gone) co_return;
    needs_.log.warning("status of a pod not written",
                       {{"pod", found->second->ref.name}, {"error", written.error()}});
    found->second->write_alarm =
        needs_.alarms.call_at(needs_.clock.now() + kWriteRetry, [this, uid] {
          const auto again = workers_.find(uid);
          if (again == workers_.end()) return;
          again->second->write_alarm.reset();
          write_now(*again->second);
        });
    co_return;
  }
  const auto found = workers_.find(uid);
  if (found != workers_.end()) found->second->writing = false;
}

void NodePods::let_go(Worker& worker) {
  // Somebody wants to see how it ended; they let it go when they have, and we are asked again.
  if (!worker.life.pod()->meta.finalizers.empty() || worker.deleting) return;
  worker.deleting = true;
  spawn_later(scope_, delete_object(worker.uid));
}

base::Task<> NodePods::delete_object(std::string uid) {
  auto found = workers_.find(uid);
  if (found == workers_.end()) co_return;
  const ObjectRef ref = found->second->ref;
  auto removed = co_await needs_.objects.remove(actor_, ref, {.uid = uid, .revision = {}});
  found = workers_.find(uid);
  if (found == workers_.end()) co_return;
  if (removed || removed.error().code == base::Errc::NotFound) co_return;
  needs_.log.warning("a pod's object not removed", {{"pod", ref.name}, {"error", removed.error()}});
  needs_.alarms.call_at(needs_.clock.now() + kWriteRetry, [this, uid] {
    const auto again = workers_.find(uid);
    if (again == workers_.end()) return;
    spawn_later(scope_, delete_object(uid));
  });
}

/// No lifecycle is told of a pod that cannot be read, so none ends it: the object goes at once, and
/// what runs is killed.
base::Task<> NodePods::delete_unreadable(ObjectRef ref, std::string uid) {
  auto removed = co_await needs_.objects.remove(actor_, ref, {.uid = uid, .revision = {}});
  if (removed) {
    if (!workers_.contains(uid)) co_await remove_stray(uid);
    co_return;
  }
  if (removed.error().code == base::Errc::NotFound || removed.error().code == base::Errc::Conflict)
    co_return;
  needs_.log.warning("a pod's object not removed", {{"pod", ref.name}, {"error", removed.error()}});
  needs_.alarms.call_at(needs_.clock.now() + kWriteRetry,
                        [this, ref, uid] { spawn_later(scope_, delete_unreadable(ref, uid)); });
}

void NodePods::note_files(Worker& worker) {
  const auto volumes = resolve_volumes(calls_.config(*worker.life.pod(), {}));
  if (!volumes) return;
  for (const Volume& volume : *volumes) {
    const auto* files = std::get_if<FilesVolume>(&volume.source);
    if (files != nullptr) worker.files[volume.name] = digest_of(files->files);
  }
}

void NodePods::refresh_files(Worker& worker) {
  if (!worker.life.sandbox_ready()) return;
  worker.files_changed = true;
  if (worker.files_busy) return;
  worker.files_busy = true;
  spawn_later(scope_, update_files(worker.uid));
}

/// One task at a time, so that the latest content is the last that is written.
base::Task<> NodePods::update_files(std::string uid) {
  for (;;) {
    auto found = workers_.find(uid);
    if (found == workers_.end()) co_return;
    Worker& worker = *found->second;
    if (!std::exchange(worker.files_changed, false)) {
      worker.files_busy = false;
      co_return;
    }
    const auto pod = worker.life.pod();
    auto volumes = resolve_volumes(calls_.config(*pod, worker.life.addresses()));
    if (!volumes) {
      // What is mounted stays as it is until the author has repaired it.
      tell(*pod, {true, "FailedMount", volumes.error().describe()});
      continue;
    }
    for (Volume& volume : *volumes) {
      auto* files = std::get_if<FilesVolume>(&volume.source);
      if (files == nullptr) continue;
      const std::string digest = digest_of(files->files);
      found = workers_.find(uid);
      if (found == workers_.end()) co_return;
      if (found->second->files[volume.name] == digest) continue;
      auto updated = co_await needs_.driver.update_files(uid, volume.name, std::move(files->files));
      found = workers_.find(uid);
      if (found == workers_.end()) co_return;
      if (updated) {
        found->second->files[volume.name] = digest;
      } else if (updated.error().code != base::Errc::NotFound) {
        tell(*pod,
             {true, "FailedMount", "volume " + volume.name + ": " + updated.error().describe()});
        needs_.alarms.call_at(needs_.clock.now() + kConfigRetry, [this, uid] {
          const auto again = workers_.find(uid);
          if (again != workers_.end()) refresh_files(*again->second);
        });
      }
    }
  }
}

}  // namespace nexus::orchestration
