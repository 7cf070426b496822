#include "orchestration/node_pods.hpp"

#include "orchestration/json_read.hpp"
#include "orchestration/pod_worker.hpp"
#include "orchestration/spawn_later.hpp"

namespace nexus::orchestration {

namespace {

constexpr base::Duration kResyncRetry = std::chrono::seconds(1);

}  // namespace

NodePods::NodePods(const base::Executor& executor, const OrchestratorNeeds& needs,
                   const ObjectView& view, const OrchestratorNode& node,
                   NetworkPublisher& publisher)
    : needs_(needs),
      view_(view),
      node_(node),
      publisher_(publisher),
      calls_(executor, needs, view, node),
      actor_{.user = "system:node:" + node.name,
             .role = "system",
             .origin = "node " + node.name,
             .trace_id = {}},
      start_seconds_(needs.metrics.histogram("nexus_pod_start_seconds",
                                             "From a pod's object to its containers running", {})),
      restarts_(
          needs.metrics.counter("nexus_container_restarts_total", "Containers started again")),
      scope_(executor) {}

NodePods::~NodePods() = default;

base::Task<base::Result<>> NodePods::start() {
  needs_.driver.listen([this](const DriverEvent& event) { on_driver_event(event); });
  CO_TRY(existing_, co_await list());
  started_ = true;
  for (const auto& [key, object] : view_.all("Pod")) {
    const std::string uid = text(at(object->json, "metadata"), "uid");
    const std::string bound = text(at(object->json, "spec"), "nodeName");
    // A crash may have come between the start of a pod and the writing of its place.
    if (bound == node_.name || (bound.empty() && existing_.contains(uid))) desired(object);
  }
  remove_strays(std::exchange(existing_, {}));
  co_return base::Result<>();
}

void NodePods::desired(const ObjectPtr& object) {
  if (!started_ || stopped_) return;
  auto pod = read_pod(object);
  if (!pod) {
    const Metadata meta = read_metadata(object->json);
    needs_.events.record({.about = ref_to(*object),
                          .about_uid = meta.uid,
                          .warning = true,
                          .reason = "InvalidPod",
                          .message = pod.error().describe()},
                         "node", needs_.clock.wall());
    if (meta.deletion && meta.finalizers.empty())
      spawn_later(scope_, delete_unreadable(ref_to(*object), meta.uid));
    return;
  }
  const std::string uid = (*pod)->meta.uid;
  std::unique_ptr<Worker>& worker = workers_[uid];
  if (worker != nullptr) {
    const Metadata before = worker->life.pod()->meta;
    step(*worker, pod_event::Desired{*pod});
    const bool labels =
        before.labels != (*pod)->meta.labels || before.annotations != (*pod)->meta.annotations;
    if (const auto found = workers_.find(uid); labels && found != workers_.end())
      refresh_files(*found->second);
    return;
  }
  worker = std::make_unique<Worker>(uid, ref_to(*object), NodeFacts{node_.name, node_.addresses});
  worker->since = needs_.clock.now();
  pod_event::Observed observed;
  if (auto known = existing_.extract(uid); !known.empty())
    observed.status = std::move(known.mapped());
  worker->was_running = observed.status.has_value();
  step(*worker, pod_event::Desired{*pod});
  step(*worker, std::move(observed));
}

void NodePods::gone(const ObjectPtr& last) {
  const auto found = workers_.find(text(at(last->json, "metadata"), "uid"));
  if (found == workers_.end()) return;
  found->second->object_gone = true;
  step(*found->second, pod_event::Desired{nullptr});
}

void NodePods::config_changed(const ObjectRef& ref) {
  std::vector<std::string> users;
  for (const auto& [uid, worker] : workers_) {
    if (uses_config(*worker->life.pod(), ref)) users.push_back(uid);
  }
  for (const std::string& uid : users) {
    deliver(uid, pod_event::ConfigChanged{});
    if (const auto found = workers_.find(uid); found != workers_.end())
      refresh_files(*found->second);
  }
}

const PodLifecycle* NodePods::find(const std::string& uid) const {
  const auto found = workers_.find(uid);
  return found == workers_.end() ? nullptr : &found->second->life;
}

void NodePods::deliver(const std::string& uid, PodEvent event) {
  const auto found = workers_.find(uid);
  if (found != workers_.end()) step(*found->second, std::move(event));
}

void NodePods::step(Worker& worker, PodEvent event) {
  if (stopped_) return;
  PodLifecycle& life = worker.life;
  const bool was_ready = life.ready(), had_sandbox = life.sandbox_ready(),
             had_finished = finished(life.phase());
  const std::vector<std::string> had = life.addresses();
  for (PodEffect& effect : life.step(std::move(event), now_of(needs_.clock)))
    perform(worker, std::move(effect));

  if (worker.alarm) needs_.alarms.cancel(*std::exchange(worker.alarm, std::nullopt));
  if (const auto next = life.next_timeout()) {
    worker.alarm = needs_.alarms.call_at(*next, [this, uid = worker.uid] {
      const auto found = workers_.find(uid);
      if (found == workers_.end()) return;
      found->second->alarm.reset();
      step(*found->second, pod_event::Tick{});
    });
  }
  if (life.ready() != was_ready || finished(life.phase()) != had_finished ||
      life.addresses() != had)
    publisher_.changed(worker.ref.name_space);
  // Configuration may have changed while the sandbox was made.
  if (!had_sandbox && life.sandbox_ready()) refresh_files(worker);
  if (!worker.was_running && life.phase() == PodPhase::Running) {
    worker.was_running = true;
    start_seconds_.observe(
        std::chrono::duration<double>(needs_.clock.now() - worker.since).count());
  }
  if (finished(life.phase()) && life.sandbox_ready() && !life.pod()->meta.deletion)
    keep_finished(worker);
  schedule_status(worker);
  drop_if_gone(worker.uid);
}

void NodePods::drop_if_gone(const std::string& uid) {
  const auto found = workers_.find(uid);
  if (found == workers_.end() || !found->second->object_gone || !found->second->life.gone()) return;
  Worker& worker = *found->second;
  if (worker.alarm) needs_.alarms.cancel(*worker.alarm);
  if (worker.write_alarm) needs_.alarms.cancel(*worker.write_alarm);
  if (worker.kept) std::erase(kept_, uid);
  publisher_.changed(worker.ref.name_space);
  workers_.erase(found);
}

void NodePods::perform(Worker& worker, PodEffect effect) {
  const auto pod = worker.life.pod();
  const std::vector<std::string> addresses = worker.life.addresses();
  struct Perform {
    NodePods& self;
    Worker& worker;
    const std::shared_ptr<const Pod>& pod;
    const std::vector<std::string>& addresses;

    void operator()(pod_effect::CreateSandbox&) {
      self.note_files(worker);
      self.run(worker, self.calls_.create_sandbox(pod));
    }
    void operator()(pod_effect::PullImage& e) {
      self.run(worker, self.calls_.pull(pod, std::move(e)));
    }
    void operator()(pod_effect::StartContainer& e) {
      if (e.attempt > 0) self.restarts_.add();
      self.run(worker, self.calls_.start(pod, addresses, std::move(e)));
    }
    void operator()(pod_effect::StopContainer& e) {
      self.run(worker, self.calls_.stop(worker.uid, std::move(e)));
    }
    void operator()(pod_effect::RunHook& e) {
      self.run(worker, self.calls_.hook(pod, addresses, std::move(e)));
    }
    void operator()(pod_effect::RunCheck& e) {
      self.run(worker, self.calls_.check(pod, addresses, std::move(e)));
    }
    void operator()(pod_effect::RemovePod&) { self.run(worker, self.calls_.remove(worker.uid)); }
    void operator()(pod_effect::SetLimits& e) {
      spawn_later(self.scope_, self.run_limits(worker.uid, std::move(e)));
    }
    void operator()(pod_effect::Withdraw&) {
      self.publisher_.withdraw(worker.ref.name_space, worker.uid,
                               [&pods = self, uid = worker.uid](bool was_endpoint) {
                                 pods.deliver(uid, pod_event::Withdrawn{was_endpoint});
                               });
    }
    void operator()(pod_effect::DeleteObject&) { self.let_go(worker); }
    void operator()(pod_effect::Tell& e) { self.tell(*pod, e); }
  };
  std::visit(Perform{*this, worker, pod, addresses}, effect);
}

void NodePods::run(Worker& worker, base::Task<PodEvent> call) {
  spawn_later(scope_, run_call(worker.uid, std::move(call)));
}

base::Task<> NodePods::run_call(std::string uid, base::Task<PodEvent> call) {
  PodEvent event = co_await std::move(call);
  if (!std::holds_alternative<pod_event::CheckDone>(event)) ++changes_;
  deliver(uid, std::move(event));
}

base::Task<> NodePods::run_limits(std::string uid, pod_effect::SetLimits effect) {
  const std::string container = effect.container;
  auto set = co_await calls_.set_limits(uid, std::move(effect));
  if (set || set.error().code == base::Errc::NotFound) co_return;
  const auto found = workers_.find(uid);
  if (found == workers_.end()) co_return;
  tell(*found->second->life.pod(),
       {true, "ResizeFailed",
        "Limits of container " + container + " not changed: " + set.error().describe()});
}

void NodePods::tell(const Pod& pod, const pod_effect::Tell& effect) {
  needs_.events.record({.about = {"Pod", pod.meta.name_space, pod.meta.name},
                        .about_uid = pod.meta.uid,
                        .warning = effect.warning,
                        .reason = effect.reason,
                        .message = effect.message},
                       "node", needs_.clock.wall());
  if (effect.warning) {
    needs_.log.info("pod", {{"pod", pod.meta.name_space + "/" + pod.meta.name},
                            {"reason", effect.reason},
                            {"message", effect.message}});
  }
}

void NodePods::on_driver_event(const DriverEvent& event) {
  switch (event.kind) {
    case DriverEvent::Kind::ContainerStarted:
      break;  // the call that started it says so
    case DriverEvent::Kind::ContainerExited:
      ++changes_;
      deliver(event.container.id.pod_uid, pod_event::Exited{event.container});
      break;
    case DriverEvent::Kind::DriverLost:
      for (const std::string& uid : uids()) deliver(uid, pod_event::DriverLost{});
      break;
    case DriverEvent::Kind::DriverBack:
      publisher_.apply_again();
      spawn_later(scope_, resynchronise());
      break;
  }
}

/// Everything that the driver has, by uid. What changed while it answered may be missing from the
/// answer: then it is asked again.
base::Task<base::Result<NodePods::Existing>> NodePods::list() {
  for (;;) {
    const std::uint64_t before = changes_;
    CO_TRY(auto pods, co_await needs_.driver.list_pods());
    if (changes_ != before) continue;
    Existing existing;
    for (PodStatus& pod : pods) existing.emplace(pod.uid, std::move(pod));
    co_return existing;
  }
}

std::vector<std::string> NodePods::uids() const {
  std::vector<std::string> out;
  for (const auto& [uid, worker] : workers_) out.push_back(uid);
  return out;
}

/// The driver was away: what it has now counts.
base::Task<> NodePods::resynchronise() {
  if (!started_) co_return;
  auto found = co_await list();
  if (!found) {
    needs_.log.warning("driver has no answer", {{"error", found.error()}});
    needs_.alarms.call_at(needs_.clock.now() + kResyncRetry,
                          [this] { spawn_later(scope_, resynchronise()); });
    co_return;
  }
  for (const std::string& uid : uids()) {
    pod_event::Observed observed;
    if (auto known = found->extract(uid); !known.empty())
      observed.status = std::move(known.mapped());
    deliver(uid, std::move(observed));
  }
  remove_strays(*found);
}

/// What the driver has and no lifecycle took over. A pod whose object cannot be read is none.
void NodePods::remove_strays(const Existing& left) {
  if (left.empty()) return;
  std::set<std::string> wanted;
  for (const auto& [key, object] : view_.all("Pod")) {
    const std::string bound = text(at(object->json, "spec"), "nodeName");
    if (bound.empty() || bound == node_.name)
      wanted.insert(text(at(object->json, "metadata"), "uid"));
  }
  for (const auto& [uid, pod] : left) {
    if (!wanted.contains(uid)) spawn_later(scope_, remove_stray(uid));
  }
}

base::Task<> NodePods::remove_stray(std::string uid) {
  needs_.log.info("removing a pod whose object is gone", {{"uid", uid}});
  auto removed = co_await needs_.driver.remove_pod(uid);
  if (removed) co_return;
  needs_.log.warning("stray pod not removed", {{"uid", uid}, {"error", removed.error()}});
  needs_.alarms.call_at(needs_.clock.now() + kResyncRetry, [this, uid] {
    if (!workers_.contains(uid)) spawn_later(scope_, remove_stray(uid));
  });
}

void NodePods::keep_finished(Worker& worker) {
  if (std::exchange(worker.kept, true)) return;
  kept_.push_back(worker.uid);
  if (kept_.size() <= kFinishedKeptMax) return;
  spawn_later(scope_, discard(std::move(kept_.front())));
  kept_.pop_front();
}

/// To the lifecycle nothing has changed: when the object is deleted, it finds the work done.
base::Task<> NodePods::discard(std::string uid) {
  auto removed = co_await needs_.driver.remove_pod(uid);
  if (removed || !workers_.contains(uid)) co_return;
  needs_.log.warning("finished pod not removed", {{"uid", uid}, {"error", removed.error()}});
  needs_.alarms.call_at(needs_.clock.now() + kResyncRetry, [this, uid] {
    if (workers_.contains(uid)) spawn_later(scope_, discard(uid));
  });
}

base::Task<> NodePods::stop() {
  stopped_ = true;
  needs_.driver.listen(nullptr);
  scope_.cancel();
  co_await scope_.join();
}

}  // namespace nexus::orchestration
