#include "orchestration/pod_lifecycle.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "orchestration/json_read.hpp"

namespace nexus::orchestration {

namespace {

using std::chrono::seconds;

/// The driver did not take the order; another try may.
bool is_passing(const base::Error& error) {
  return error.code == base::Errc::Unavailable || error.code == base::Errc::Cancelled ||
         error.code == base::Errc::TimedOut || error.code == base::Errc::ResourceExhausted;
}

std::string pull_reason(const base::Error& error, PullPolicy policy, bool again) {
  if (error.code == base::Errc::InvalidArgument) return "InvalidImageName";
  if (error.code == base::Errc::FailedPrecondition && policy == PullPolicy::Never)
    return "ErrImageNeverPull";
  return again ? "ImagePullBackOff" : "ErrImagePull";
}

std::string in_seconds(base::Duration delay) {
  return base::to_age(delay);
}

}  // namespace

PodEffects PodLifecycle::step(PodEvent event, Now now) {
  now_ = now;
  effects_.clear();
  std::visit([this](auto& each) { on(each); }, event);
  if (pod_ != nullptr && observed_) {
    if (!start_time_) start_time_ = now_.wall;
    phase_ = compute_phase();
    check_deadline();
    advance();
    refresh();
  }
  return std::exchange(effects_, {});
}

void PodLifecycle::on(pod_event::Desired& event) {
  if (event.pod == nullptr) {
    object_gone_ = true;
    return;
  }
  const std::shared_ptr<const Pod> before = std::exchange(pod_, std::move(event.pod));
  std::map<std::string, const Container*> old;
  for (const ContainerRun& run : runs_) old[run.spec->name] = run.spec;
  bind_containers();
  if (before == nullptr) {
    restore(at(pod_->object->json, "status"));
    return;
  }
  for (ContainerRun& run : runs_) {
    const auto known = old.find(run.spec->name);
    if (known == old.end()) continue;
    if (known->second->image != run.spec->image) {
      run.image.clear();
      run.pull_due.reset();
      if (run.stage == Stage::Running && !stopping()) {
        tell(false, "Killing",
             fmt::format("Container {} is restarted with its new image", run.spec->name));
        begin_stop(run, seconds(pod_->grace_seconds));
      }
    }
    if (known->second->limits == run.spec->limits) continue;
    if (run.alive()) emit(pod_effect::SetLimits{run.spec->name, run.spec->limits});
    run.limits_changed = run.stage == Stage::Starting;
  }
  delete_asked_ = false;  // finalizers may be gone
}

void PodLifecycle::on(pod_event::SandboxDone& event) {
  if (sandbox_ != Sandbox::Creating) return;
  if (event.result && event.result->ready) {
    sandbox_ = Sandbox::Ready;
    addresses_ = event.result->addresses;
    sandbox_back_off_.reset();
    sandbox_problem_.clear();
    return;
  }
  sandbox_ = Sandbox::None;
  sandbox_problem_ = event.result ? "the sandbox does not stand" : event.result.error().describe();
  sandbox_due_ = now_.mono + (event.config ? kConfigRetry : sandbox_back_off_.next());
  tell(true, event.config ? "FailedMount" : "FailedCreatePodSandBox", sandbox_problem_);
}

void PodLifecycle::on(pod_event::PullDone& event) {
  ContainerRun* run = find(event.container);
  if (run == nullptr || !run->pulling) return;
  run->pulling = false;
  if (event.image != run->spec->image) return;  // it has another one by now
  if (event.result) {
    run->image = event.result->resolved;
    run->pull_back_off.reset();
    run->pull_due.reset();
    if (run->stage == Stage::Waiting && !run->begun) {
      run->reason = run->spec->init || init_done() ? "ContainerCreating" : "PodInitializing";
      run->message.clear();
    }
    tell(false, "Pulled", fmt::format("Image {} is present", run->spec->image));
    return;
  }
  const base::Error& error = event.result.error();
  const bool again = run->pull_back_off.current() > base::Duration(0);
  const base::Duration delay = run->pull_back_off.next();
  run->pull_due = now_.mono + delay;
  run->reason = pull_reason(error, run->spec->pull_policy, again);
  run->message = again ? fmt::format("back-off {}: {}", in_seconds(delay), error.describe())
                       : error.describe();
  tell(true, "Failed",
       fmt::format("Image {} cannot be fetched: {}", run->spec->image, error.describe()));
}

void PodLifecycle::on(pod_event::StartDone& event) {
  ContainerRun* run = find(event.container);
  if (run == nullptr || run->stage != Stage::Starting || event.attempt != run->next_attempt) return;
  run->stage = Stage::Waiting;
  if (event.result && event.result->state == ContainerState::Running) {
    tell(false, "Started", fmt::format("Started container {}", run->spec->name));
    return running(*run, *event.result, false);
  }
  if (event.result && event.result->state == ContainerState::Exited) {
    run->begun = true;
    run->attempt = run->next_attempt++;
    return container_ended(*run, termination_of(*event.result, now_.wall));
  }
  const base::Error error =
      event.result ? base::make_error(base::Errc::Unavailable, "the container did not start")
                   : event.result.error();
  tell(true, "Failed",
       fmt::format("Container {} cannot start: {}", run->spec->name, error.describe()));
  if (event.config) {
    run->reason = "CreateContainerConfigError";
    run->message = error.describe();
    run->due = now_.mono + kConfigRetry;
  } else if (is_passing(error)) {
    run->reason = "CreateContainerError";
    run->message = error.describe();
    run->due = now_.mono + seconds(1);
  } else {
    // What was fetched before may have been removed since: it is fetched again.
    if (error.code == base::Errc::NotFound) run->image.clear();
    run->begun = true;
    run->attempt = run->next_attempt++;
    container_ended(*run, {.exit_code = 128,
                           .signal = 0,
                           .reason = "StartError",
                           .message = error.describe(),
                           .started = {},
                           .finished = now_.wall});
  }
}

void PodLifecycle::on(pod_event::StopDone& event) {
  ContainerRun* run = find(event.container);
  if (run == nullptr || !run->alive() || event.attempt != run->attempt) return;
  if (event.result && event.result->state == ContainerState::Exited) {
    return container_ended(*run, termination_of(*event.result, now_.wall));
  }
  if (!event.result && event.result.error().code == base::Errc::NotFound)
    return lose_container(*run);
  run->stop_asked = false;
  run->due = now_.mono + seconds(1);
}

void PodLifecycle::on(pod_event::Exited& event) {
  ContainerRun* run = find(event.status.id.name);
  if (run == nullptr) return;
  const bool of_start = run->stage == Stage::Starting && event.status.attempt == run->next_attempt;
  if (of_start) {
    run->begun = true;
    run->attempt = run->next_attempt++;
  } else if (!run->alive() || event.status.attempt != run->attempt) {
    return;
  }
  container_ended(*run, termination_of(event.status, now_.wall));
}

void PodLifecycle::on(pod_event::HookDone& event) {
  ContainerRun* run = find(event.container);
  if (run == nullptr || event.attempt != run->attempt || !run->hook_running) return;
  const bool expected = event.kind == HookKind::PostStart ? run->stage == Stage::Running
                                                          : run->stage == Stage::Stopping;
  if (!expected) return;
  run->hook_running = false;
  if (event.result) return;
  const bool post = event.kind == HookKind::PostStart;
  tell(true, post ? "FailedPostStartHook" : "FailedPreStopHook",
       fmt::format("Hook of container {} failed: {}", run->spec->name,
                   event.result.error().describe()));
  if (post) begin_stop(*run, seconds(pod_->grace_seconds));
}

void PodLifecycle::on(pod_event::CheckDone& event) {
  ContainerRun* run = find(event.container);
  if (run == nullptr || run->stage != Stage::Running || event.attempt != run->attempt) return;
  const auto probe = run->probes.find(event.kind);
  if (probe == run->probes.end()) return;
  if (!event.result.asked) {
    probe->second.skip(now_.mono);
    return tell(true, "Unhealthy",
                fmt::format("{} probe errored: {}", to_text(event.kind), event.result.detail));
  }
  const bool verdict = probe->second.finish(event.result.passed, now_.mono);
  if (!event.result.passed && probe->second.last_counted()) {
    tell(true, "Unhealthy",
         fmt::format("{} probe failed: {}", to_text(event.kind), event.result.detail));
  }
  if (!verdict) return;
  const bool healthy = probe->second.healthy();
  if (event.kind == ProbeKind::Startup && healthy) {
    run->started = true;
    begin_probes(*run, false);
  } else if (event.kind != ProbeKind::Readiness && !healthy) {
    tell(true, "Killing",
         fmt::format("Container {} failed its {} probe, it is restarted", run->spec->name,
                     event.kind == ProbeKind::Startup ? "startup" : "liveness"));
    begin_stop(*run, seconds(pod_->grace_seconds));
  }
}

void PodLifecycle::on(pod_event::ConfigChanged&) {
  for (ContainerRun& run : runs_) {
    if (run.stage == Stage::Waiting && run.reason == "CreateContainerConfigError") run.due.reset();
  }
  if (sandbox_ == Sandbox::None) sandbox_due_.reset();
}

void PodLifecycle::on(pod_event::DriverLost&) {
  driver_up_ = false;
}

void PodLifecycle::advance() {
  if (pod_->meta.deletion || object_gone_ || end_ != End::No) return advance_end();
  if (!failure_reason_.empty()) {
    stop_containers(grace_left());
    return;
  }
  if (phase_ == PodPhase::Succeeded || phase_ == PodPhase::Failed) return;
  advance_sandbox();
  advance_images();
  advance_containers();
}

void PodLifecycle::advance_sandbox() {
  if (sandbox_ != Sandbox::None || !driver_up_) return;
  if (sandbox_due_ && *sandbox_due_ > now_.mono) return;
  sandbox_ = Sandbox::Creating;
  sandbox_due_.reset();
  emit(pod_effect::CreateSandbox{});
}

// Images are fetched while the sandbox is made, those of later containers too: nothing waits that
// need not.
void PodLifecycle::advance_images() {
  if (!driver_up_) return;
  for (ContainerRun& run : runs_) {
    if (run.stage == Stage::Ended || !run.image.empty() || run.pulling) continue;
    if (run.pull_due && *run.pull_due > now_.mono) continue;
    run.pulling = true;
    emit(pod_effect::PullImage{run.spec->name, run.spec->image});
  }
}

void PodLifecycle::advance_containers() {
  for (ContainerRun& run : runs_) {
    if (run.stage == Stage::Running) advance_probes(run);
    if (run.stage == Stage::Stopping) continue_stop(run);
    if (run.spec->init && !run.succeeded()) {
      if (run.stage == Stage::Waiting) start_if_due(run);
      return;  // the others wait for it
    }
    if (run.stage == Stage::Waiting) start_if_due(run);
  }
}

bool PodLifecycle::start_if_due(ContainerRun& run) {
  if (run.reason == "PodInitializing") run.reason = "ContainerCreating";
  if (sandbox_ != Sandbox::Ready || !driver_up_ || run.image.empty()) return false;
  if (run.due && *run.due > now_.mono) return false;
  run.due.reset();
  run.stage = Stage::Starting;
  emit(pod_effect::StartContainer{run.spec->name, run.next_attempt, run.image});
  return true;
}

void PodLifecycle::advance_probes(ContainerRun& run) {
  if (run.hook_running || !driver_up_) return;
  for (auto& [kind, probe] : run.probes) {
    const auto next = probe.next();
    if (!next || *next > now_.mono) continue;
    probe.begin(now_.mono);
    emit(pod_effect::RunCheck{run.spec->name, run.attempt, kind});
  }
}

void PodLifecycle::running(ContainerRun& run, const ContainerStatus& status, bool adopted) {
  run.stage = Stage::Running;
  run.begun = true;
  run.attempt = status.attempt;
  run.next_attempt = status.attempt + 1;
  run.pid = status.pid;
  run.started_wall = status.started == base::WallTime{} ? now_.wall : status.started;
  run.started_mono = now_.mono - std::max(base::Duration(0), now_.wall - run.started_wall);
  run.due.reset();
  run.reason.clear();
  run.message.clear();
  run.stop_asked = false;
  run.stop_deadline.reset();
  if (run.ended) run.last = std::exchange(run.ended, std::nullopt);
  run.hook_running = false;
  // They may have changed while it was started, or while nobody looked.
  if (adopted || std::exchange(run.limits_changed, false)) {
    emit(pod_effect::SetLimits{run.spec->name, run.spec->limits});
  }
  if (!adopted) {
    run.started = run.ready = false;
    if (run.spec->post_start) {
      run.hook_running = true;
      emit(pod_effect::RunHook{run.spec->name, run.attempt, HookKind::PostStart});
    }
  }
  begin_probes(run, adopted);
  if (!adopted && run.image.empty())
    begin_stop(run, seconds(pod_->grace_seconds));  // it has another image by now
}

// Without a startup probe, or when it has passed, the other two begin.
void PodLifecycle::begin_probes(ContainerRun& run, bool adopted) {
  run.probes.clear();
  const auto add = [&](ProbeKind kind, bool healthy, bool eager) {
    const std::optional<Probe>& probe = run.spec->probe(kind);
    if (!probe) return;
    const base::Duration delay =
        adopted ? spread(fmt::format("{}/{}/{}", pod_->meta.uid, run.spec->name, to_text(kind)),
                         probe->timing.period)
                : base::Duration(0);
    run.probes.emplace(
        kind, ProbeSchedule(probe->timing, healthy, eager, run.started_mono, now_.mono, delay));
  };
  if (run.spec->startup && !run.started) return add(ProbeKind::Startup, false, true);
  run.started = true;
  add(ProbeKind::Liveness, true, false);
  add(ProbeKind::Readiness, adopted && run.ready, true);
}

bool PodLifecycle::will_restart(const ContainerRun& run, const Termination& end) const {
  switch (pod_->restart_policy) {
    case RestartPolicy::Never:
      return false;
    case RestartPolicy::OnFailure:
      return end.exit_code != 0;
    case RestartPolicy::Always:
      break;
  }
  return !run.spec->init || end.exit_code != 0;
}

void PodLifecycle::container_ended(ContainerRun& run, Termination end) {
  if (end.started == base::WallTime{}) end.started = run.started_wall;
  const bool ran_long =
      end.started != base::WallTime{} && end.finished - end.started >= kRestartBackOffReset;
  run.pid = 0;
  run.hook_running = false;
  run.stop_asked = false;
  run.stop_deadline.reset();
  run.probes.clear();
  run.ready = run.started = false;
  run.due.reset();
  run.started_wall = {};
  run.reason.clear();
  run.message.clear();
  if (run.ended) run.last = std::move(run.ended);
  run.ended = std::move(end);
  if (ran_long) run.ends_in_a_row = 0;
  ++run.ends_in_a_row;
  if (stopping() || !will_restart(run, *run.ended)) {
    run.stage = Stage::Ended;
    return;
  }
  run.stage = Stage::Waiting;
  const base::Duration delay = restart_delay(run.ends_in_a_row);
  if (delay == base::Duration(0)) return;
  run.due = now_.mono + delay;
  run.reason = "CrashLoopBackOff";
  run.message = fmt::format("back-off {}: next start at {}", in_seconds(delay),
                            base::to_rfc3339(now_.wall + delay));
  tell(true, "BackOff",
       fmt::format("Container {} ended {} times, it is restarted after a back-off", run.spec->name,
                   run.ends_in_a_row));
}

std::optional<base::MonotonicTime> PodLifecycle::next_timeout() const {
  std::optional<base::MonotonicTime> next;
  const auto add = [&](const std::optional<base::MonotonicTime>& when) {
    // What is due already waits for an event, not for the time.
    if (when && *when > now_.mono && (!next || *when < *next)) next = when;
  };
  if (sandbox_ == Sandbox::None) add(sandbox_due_);
  add(end_due_);
  for (const ContainerRun& run : runs_) {
    add(run.due);
    if (run.image.empty()) add(run.pull_due);
    add(run.stop_deadline);
    if (run.stop_deadline) add(*run.stop_deadline + kStopSlack);
    for (const auto& [kind, probe] : run.probes) add(probe.next());
  }
  if (pod_ != nullptr && pod_->active_deadline_seconds && start_time_ && failure_reason_.empty()) {
    const base::WallTime deadline = *start_time_ + seconds(*pod_->active_deadline_seconds);
    add(now_.mono + (deadline - now_.wall));
  }
  return next;
}

ContainerRun* PodLifecycle::find(std::string_view name) {
  const auto found =
      std::ranges::find_if(runs_, [&](const ContainerRun& run) { return run.spec->name == name; });
  return found == runs_.end() ? nullptr : &*found;
}

bool PodLifecycle::init_done() const {
  return std::ranges::all_of(
      runs_, [](const ContainerRun& run) { return !run.spec->init || run.succeeded(); });
}

}  // namespace nexus::orchestration
