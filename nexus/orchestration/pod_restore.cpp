// What a new lifecycle learns from the object's status and from the driver.

#include <algorithm>

#include "orchestration/json_read.hpp"
#include "orchestration/pod_lifecycle.hpp"

namespace nexus::orchestration {

namespace {

Termination read_termination(const Json& json) {
  return {.exit_code = static_cast<std::int32_t>(number_or(json, "exitCode", 0)),
          .signal = static_cast<std::int32_t>(number_or(json, "signal", 0)),
          .reason = text(json, "reason"),
          .message = text(json, "message"),
          .started = time(json, "startedAt").value_or(base::WallTime{}),
          .finished = time(json, "finishedAt").value_or(base::WallTime{})};
}

}  // namespace

void PodLifecycle::bind_containers() {
  std::vector<ContainerRun> before = std::exchange(runs_, {});
  for (const auto* list : {&pod_->init_containers, &pod_->containers}) {
    for (const Container& spec : *list) {
      const auto known = std::ranges::find_if(before, [&](const ContainerRun& run) {
        return run.spec != nullptr && run.spec->name == spec.name;
      });
      ContainerRun run = known == before.end() ? ContainerRun{} : std::move(*known);
      if (known != before.end()) known->spec = nullptr;
      run.spec = &spec;
      if (known == before.end() && !spec.init && !pod_->init_containers.empty())
        run.reason = "PodInitializing";
      runs_.push_back(std::move(run));
    }
  }
}

void PodLifecycle::restore(const Json& status) {
  start_time_ = time(status, "startTime");
  const PodState state = read_pod_state(pod_->object->json);
  phase_ = state.phase;
  addresses_ = state.addresses;
  if (phase_ == PodPhase::Failed) {
    failure_reason_ = text(status, "reason");
    failure_message_ = text(status, "message");
  }
  for (const Json& condition : items(status, "conditions")) {
    conditions_[text(condition, "type")] = {
        .holds = text(condition, "status") == "True",
        .reason = text(condition, "reason"),
        .message = text(condition, "message"),
        .since = time(condition, "lastTransitionTime").value_or(base::WallTime{})};
  }
  // Conditions of others stay in the object and are not ours to remember.
  std::erase_if(conditions_, [](const auto& each) {
    return each.first != "PodScheduled" && each.first != "PodReadyToStartContainers" &&
           each.first != "Initialized" && each.first != "ContainersReady" && each.first != "Ready";
  });
  ready_ = conditions_.contains("Ready") && conditions_["Ready"].holds;
  for (const char* list : {"initContainerStatuses", "containerStatuses"}) {
    for (const Json& container : items(status, list)) {
      if (ContainerRun* run = find(text(container, "name"))) restore_container(*run, container);
    }
  }
}

void PodLifecycle::restore_container(ContainerRun& run, const Json& status) {
  const Json& state = at(status, "state");
  const auto restarts =
      static_cast<std::uint32_t>(std::max<std::int64_t>(0, number_or(status, "restartCount", 0)));
  if (const Json* last = orchestration::find(status, "lastState", "terminated"))
    run.last = read_termination(*last);
  const Json* ended = orchestration::find(state, "terminated");
  const Json* runs = orchestration::find(state, "running");
  const Json* waiting = orchestration::find(state, "waiting");
  run.begun = ended != nullptr || runs != nullptr || run.last.has_value();
  if (!run.begun) return;
  run.attempt = restarts;
  run.next_attempt = restarts + 1;
  run.ends_in_a_row = restarts;
  run.image = text(status, "imageID");
  if (runs != nullptr) {
    // Observed says whether it still does.
    run.stage = Stage::Running;
    run.started_wall = time(*runs, "startedAt").value_or(now_.wall);
    run.started = flag(status, "started");
    run.ready = flag(status, "ready");
    run.reason.clear();
    return;
  }
  if (ended != nullptr) {
    run.ended = read_termination(*ended);
  } else {
    run.ended = std::exchange(run.last, std::nullopt);
  }
  ++run.ends_in_a_row;
  if (phase_ == PodPhase::Succeeded || phase_ == PodPhase::Failed ||
      !will_restart(run, *run.ended)) {
    run.stage = Stage::Ended;
    return;
  }
  if (waiting != nullptr && text(*waiting, "reason") == "CrashLoopBackOff") {
    const base::Duration passed = std::max(base::Duration(0), now_.wall - run.ended->finished);
    run.due = now_.mono + std::max(base::Duration(0), restart_delay(run.ends_in_a_row) - passed);
    run.reason = "CrashLoopBackOff";
    run.message = text(*waiting, "message");
  }
}

void PodLifecycle::on(pod_event::Observed& event) {
  const bool first = !observed_;
  observed_ = true;
  driver_up_ = true;
  const PodStatus* status = event.status ? &*event.status : nullptr;
  // With a sandbox goes everything in it: such an end says nothing about the container.
  const bool sandbox_lost = status == nullptr || !status->ready;
  for (ContainerRun& run : runs_) {
    const ContainerStatus* found = nullptr;
    if (status != nullptr) {
      const auto it = std::ranges::find_if(status->containers, [&](const ContainerStatus& each) {
        return each.id.name == run.spec->name;
      });
      if (it != status->containers.end()) found = &*it;
    }
    if (found != nullptr) {
      if (sandbox_lost && run.alive()) run.ends_in_a_row = 0;
      adopt(run, *found);
    } else if (run.alive()) {
      lose_container(run);
    }
    // What failed because the driver was away is tried again.
    if (!first) run.pull_due.reset();
  }
  if (sandbox_ == Sandbox::Creating) return;  // the answer is on its way
  if (status != nullptr && status->ready) {
    sandbox_ = Sandbox::Ready;
    addresses_ = status->addresses;
  } else {
    lose_sandbox();
  }
}

void PodLifecycle::adopt(ContainerRun& run, const ContainerStatus& status) {
  if (run.stage == Stage::Starting) return;  // the answer is on its way
  const bool known = run.begun && run.attempt == status.attempt;
  if (run.image.empty()) run.image = status.image;
  switch (status.state) {
    case ContainerState::Created:
      if (!known) run.next_attempt = status.attempt;
      if (run.alive()) lose_container(run);
      break;
    case ContainerState::Running:
      if (run.stage == Stage::Stopping && known) {
        run.pid = status.pid;
        run.stop_asked = false;
        break;
      }
      if (!known) run.ready = run.started = false;
      if (run.stage != Stage::Running || !known || run.pid == 0) running(run, status, true);
      break;
    case ContainerState::Exited:
      if (known && !run.alive()) break;  // the end that we know of
      if (!known && run.begun && status.attempt < run.attempt) break;
      run.begun = true;
      run.attempt = status.attempt;
      run.next_attempt = status.attempt + 1;
      container_ended(run, termination_of(status, now_.wall));
      break;
  }
}

/// Its addresses and volumes are gone, and with them everything that ran.
void PodLifecycle::lose_sandbox() {
  sandbox_ = Sandbox::None;
  if (phase_ == PodPhase::Succeeded || phase_ == PodPhase::Failed || stopping()) return;
  addresses_.clear();
  bool init_again = false;
  for (ContainerRun& run : runs_) {
    if (run.alive()) lose_container(run);
    init_again = init_again || (!run.spec->init && run.stage != Stage::Ended);
  }
  if (!init_again) return;
  for (ContainerRun& run : runs_) {
    if (!run.spec->init || !run.succeeded()) continue;
    run.stage = Stage::Waiting;
    run.reason = "ContainerCreating";
  }
}

void PodLifecycle::lose_container(ContainerRun& run) {
  run.ends_in_a_row = 0;  // not its fault
  container_ended(run, {.exit_code = 137,
                        .signal = 0,
                        .reason = "ContainerStatusUnknown",
                        .message = "the container is gone, its exit code is not known",
                        .started = run.started_wall,
                        .finished = now_.wall});
}

}  // namespace nexus::orchestration
