// The end of a pod: see pod_lifecycle.hpp.

#include <fmt/format.h>

#include <algorithm>

#include "orchestration/pod_lifecycle.hpp"

namespace nexus::orchestration {

namespace {

using std::chrono::seconds;

}  // namespace

void PodLifecycle::check_deadline() {
  if (!pod_->active_deadline_seconds || !failure_reason_.empty() || end_ != End::No) return;
  if (phase_ == PodPhase::Succeeded || phase_ == PodPhase::Failed) return;
  if (now_.wall < *start_time_ + seconds(*pod_->active_deadline_seconds)) return;
  failure_reason_ = "DeadlineExceeded";
  failure_message_ = fmt::format("Pod was active longer than its deadline of {} s",
                                 *pod_->active_deadline_seconds);
  tell(true, failure_reason_, failure_message_);
}

/// What is left of the grace. The object says when it ends, so that a restart of the daemon does
/// not give it anew.
base::Duration PodLifecycle::grace_left() const {
  if (object_gone_) return base::Duration(0);
  if (!pod_->meta.deletion) return seconds(pod_->grace_seconds);
  const std::int64_t given = pod_->meta.deletion_grace_seconds.value_or(pod_->grace_seconds);
  if (given == 0) return base::Duration(0);
  return std::clamp<base::Duration>(*pod_->meta.deletion - now_.wall, seconds(1), seconds(given));
}

void PodLifecycle::advance_end() {
  const auto due = [&] { return end_due_ && *end_due_ <= now_.mono; };
  const bool at_once = grace_left() == base::Duration(0);
  if (end_ == End::No) {
    const bool serves =
        std::ranges::any_of(runs_, [](const ContainerRun& run) { return run.alive(); });
    if (serves && !at_once) {
      end_ = End::Withdrawing;
      end_due_ = now_.mono + std::min<base::Duration>(kWithdrawMax, grace_left());
      emit(pod_effect::Withdraw{});
    } else {
      end_ = End::Stopping;
    }
  }
  if (end_ == End::Withdrawing && (due() || at_once)) end_ = End::Stopping;
  if (end_ == End::Draining && (due() || at_once)) end_ = End::Stopping;
  if (end_ == End::Stopping) {
    end_due_.reset();
    const bool calls_out =
        sandbox_ == Sandbox::Creating || std::ranges::any_of(runs_, [](const ContainerRun& run) {
          return run.stage == Stage::Starting;
        });
    // Without grace the driver kills what runs when it removes the pod.
    const bool stopped = !at_once && stop_containers(grace_left());
    const bool overdue = std::ranges::any_of(runs_, [&](const ContainerRun& run) {
      return run.stop_deadline && *run.stop_deadline + kStopSlack <= now_.mono;
    });
    if (!calls_out && (stopped || at_once || overdue)) end_ = End::Removing;
  }
  if (end_ == End::Removing && !removing_ && driver_up_ && (!end_due_ || due())) {
    end_due_.reset();
    removing_ = true;
    emit(pod_effect::RemovePod{});
  }
  if (end_ == End::Gone && !delete_asked_ && !object_gone_) {
    delete_asked_ = true;
    emit(pod_effect::DeleteObject{});
  }
}

void PodLifecycle::on(pod_event::Withdrawn& event) {
  if (end_ != End::Withdrawing) return;
  if (!event.was_endpoint) {
    end_ = End::Stopping;
    return;
  }
  end_ = End::Draining;
  end_due_ = now_.mono + kDrain;
}

void PodLifecycle::on(pod_event::RemoveDone& event) {
  if (!removing_) return;
  removing_ = false;
  if (!event.result) {
    end_due_ = now_.mono + seconds(1);
    tell(true, "FailedKillPod", event.result.error().describe());
    return;
  }
  for (ContainerRun& run : runs_) {
    if (run.alive()) lose_container(run);
    run.stage = Stage::Ended;
  }
  sandbox_ = Sandbox::None;
  end_ = End::Gone;
}

/// True when none runs and none is being started.
bool PodLifecycle::stop_containers(base::Duration grace) {
  bool stopped = true;
  for (ContainerRun& run : runs_) {
    switch (run.stage) {
      case Stage::Waiting:
        run.stage = Stage::Ended;
        run.due.reset();
        break;
      case Stage::Running:
        begin_stop(run, grace);
        [[fallthrough]];
      case Stage::Stopping:
        if (run.stop_deadline && now_.mono + grace < *run.stop_deadline)
          run.stop_deadline = now_.mono + grace;
        continue_stop(run);
        stopped = false;
        break;
      case Stage::Starting:
        stopped = false;
        break;
      case Stage::Ended:
        break;
    }
  }
  return stopped;
}

void PodLifecycle::begin_stop(ContainerRun& run, base::Duration grace) {
  run.stage = Stage::Stopping;
  run.stop_asked = false;
  run.stop_deadline = now_.mono + grace;
  run.due.reset();
  run.probes.clear();
  run.ready = false;
  run.hook_running = run.spec->pre_stop.has_value() && grace > base::Duration(0);
  if (run.hook_running) emit(pod_effect::RunHook{run.spec->name, run.attempt, HookKind::PreStop});
  tell(false, "Killing", fmt::format("Stopping container {}", run.spec->name));
}

void PodLifecycle::continue_stop(ContainerRun& run) {
  if (run.stop_asked || !driver_up_ || (run.due && *run.due > now_.mono)) return;
  if (run.hook_running && now_.mono < *run.stop_deadline) return;
  // A hook that used up the grace leaves a little for the program, as in Kubernetes.
  const base::Duration least = run.hook_running ? base::Duration(seconds(2)) : base::Duration(0);
  run.hook_running = false;
  run.stop_asked = true;
  run.due.reset();
  emit(pod_effect::StopContainer{run.spec->name, run.attempt,
                                 std::max(least, *run.stop_deadline - now_.mono)});
}

}  // namespace nexus::orchestration
