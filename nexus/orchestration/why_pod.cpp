#include "orchestration/why_pod.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "orchestration/json_read.hpp"
#include "orchestration/pod.hpp"
#include "orchestration/views.hpp"

namespace nexus::orchestration {

namespace {

const Json* waiting_of(const Json& status) {
  return find(status, "state", "waiting");
}
const Json* ended_of(const Json& status) {
  return find(status, "state", "terminated");
}
/// How the container ended last.
const Json* last_end(const Json& status) {
  const Json* ended = ended_of(status);
  return ended != nullptr ? ended : find(status, "lastState", "terminated");
}

bool holds(const Json& status, std::string_view type) {
  const Json* condition = find_condition(status, type);
  return condition != nullptr && text(*condition, "status") == "True";
}

std::string times(std::int64_t count) {
  return count == 1 ? "once" : count == 2 ? "twice" : fmt::format("{} times", count);
}

std::string describe_end(const Json& ended) {
  const std::string reason = text(ended, "reason");
  const auto code = number_or(ended, "exitCode", 0);
  if (reason == "OOMKilled") return "was killed by the kernel: it used more memory than its limit";
  if (reason == "StartError" || reason == "ContainerCannotRun") {
    return fmt::format("could not start: {}", text(ended, "message"));
  }
  if (code > 128 && code < 160)
    return fmt::format("was ended by signal {} (exit {})", code - 128, code);
  return fmt::format("exited {}", code);
}

std::string memory_limit(const Json& spec) {
  const Json* limit = find(at(spec, "resources"), "limits", "memory");
  return limit != nullptr && limit->is_string() ? limit->get<std::string>() : "";
}

class PodAnswer {
 public:
  PodAnswer(const Json& pod, const WhyInput& input)
      : pod_(pod), status_(at(pod, "status")), input_(input), meta_(read_metadata(pod)) {
    const PodRow row = pod_row(pod, 0);
    workload_ = row.workload;
    out_.object = "pod/" + meta_.name;
    out_.state = row.state;
  }

  WhyAnswer take() {
    decide();
    add_events();
    return std::move(out_);
  }

 private:
  void decide() {
    if (meta_.deletion) return terminating();
    const PodState state = read_pod_state(pod_);
    const auto trouble = troubled_container(pod_);
    if (state.phase == PodPhase::Failed) return failed(trouble);
    if (state.phase == PodPhase::Succeeded) {
      out_.summary = "it has finished: every container exited 0";
      return;
    }
    const Json* scheduled = find_condition(status_, "PodScheduled");
    if (scheduled != nullptr && text(*scheduled, "status") == "False") return unplaced(*scheduled);
    if (trouble) return container_trouble(*trouble);
    if (state.ready) return well(state);
    not_ready();
  }

  void terminating() {
    since(*meta_.deletion);
    const auto left = *meta_.deletion - input_.now;
    out_.summary = left > base::Duration(0)
                       ? fmt::format("it is being stopped; it is killed in {} at the latest",
                                     base::to_age(left))
                       : "it is being removed";
    if (!meta_.finalizers.empty()) {
      out_.reasons.push_back(
          fmt::format("waits for {} to let it go", fmt::join(meta_.finalizers, ", ")));
    }
  }

  void failed(const std::optional<Trouble>& trouble) {
    const std::string reason = text(status_, "reason");
    out_.summary = reason.empty() ? "it has failed and is not started again"
                                  : fmt::format("it has failed: {}", reason);
    if (const std::string message = text(status_, "message"); !message.empty())
      reason_line(message);
    if (trouble) ended(*trouble);
    hint(fmt::format("hm logs {}", meta_.name));
  }

  void unplaced(const Json& scheduled) {
    since_of(scheduled);
    out_.summary = "no node fits it";
    reason_line(text(scheduled, "message"));
    hint("hm node ls");
    hint("lower resources.requests, or remove the nodeSelector");
  }

  void container_trouble(const Trouble& trouble) {
    const std::string name = text(*trouble.status, "name");
    const Json* waiting = waiting_of(*trouble.status);
    const std::string reason = waiting == nullptr ? "" : text(*waiting, "reason");
    const std::string message = waiting == nullptr ? "" : text(*waiting, "message");
    if (reason == "ErrImagePull" || reason == "ImagePullBackOff" || reason == "InvalidImageName" ||
        reason == "ErrImageNeverPull") {
      out_.summary = fmt::format("image {} cannot be fetched", text(*trouble.spec, "image"));
      reason_line(message);
      hint(fmt::format("hm image pull {}", text(*trouble.spec, "image")));
      return;
    }
    if (reason == "CreateContainerConfigError" || reason == "CreateContainerError") {
      out_.summary = fmt::format("container {} cannot be set up: {}", name, message);
      return;
    }
    ended(trouble);
    const auto restarts = number_or(*trouble.status, "restartCount", 0);
    if (reason == "CrashLoopBackOff") reason_line(message);
    if (const Json* end = last_end(*trouble.status); end != nullptr && restarts > 0) {
      out_.summary = fmt::format(
          "{} has ended {}; it {}", trouble.init ? "an init container" : "a container",
          times(restarts + (ended_of(*trouble.status) != nullptr || waiting != nullptr ? 1 : 0)),
          describe_end(*end));
      since_end(*end);
    }
    hint(fmt::format("hm logs {} -c {} --previous", meta_.name, name));
    if (workload_.kind == "Deployment") hint(fmt::format("hm rollback {}", workload_.name));
  }

  void ended(const Trouble& trouble) {
    const Json* end = last_end(*trouble.status);
    if (end == nullptr) return;
    const std::string line =
        fmt::format("container {} {}", text(*trouble.status, "name"), describe_end(*end));
    if (out_.summary.empty()) out_.summary = line;
    reason_line(line);
    if (!input_.last_line.empty()) reason_line(fmt::format("last line: \"{}\"", input_.last_line));
    if (text(*end, "reason") == "OOMKilled") {
      const std::string limit = memory_limit(*trouble.spec);
      if (!limit.empty()) reason_line("its memory limit is " + limit);
      if (workload_.kind == "Deployment") {
        hint(fmt::format("hm update {} --memory MORE", workload_.name));
      } else {
        hint("raise resources.limits.memory");
      }
    }
  }

  void not_ready() {
    if (const Json* ready = find_condition(status_, "Ready")) since_of(*ready);
    std::vector<std::string> waiting, unready;
    for (const char* list : {"initContainerStatuses", "containerStatuses"}) {
      for (const Json& container : items(status_, list)) {
        if (find(container, "state", "running") == nullptr) {
          if (ended_of(container) == nullptr) waiting.push_back(text(container, "name"));
        } else if (!flag(container, "ready")) {
          unready.push_back(text(container, "name"));
        }
      }
    }
    if (!unready.empty()) {
      out_.summary = fmt::format("it runs, but container {} is not ready; it gets no traffic",
                                 fmt::join(unready, ", "));
      for (const std::string& name : unready) probe_line(name);
      hint(fmt::format("hm logs {}", meta_.name));
      return;
    }
    for (const Json& gate : items(at(pod_, "spec"), "readinessGates")) {
      const std::string type = text(gate, "conditionType");
      if (holds(status_, type)) continue;
      out_.summary = fmt::format("its readiness gate {} is not True", type);
      return;
    }
    out_.summary = waiting.empty()
                       ? "it is being started"
                       : fmt::format("it is being started: {} of {} containers wait",
                                     waiting.size(), items(at(pod_, "spec"), "containers").size());
  }

  void probe_line(const std::string& container) {
    for (const Json& spec : items(at(pod_, "spec"), "containers")) {
      if (text(spec, "name") != container) continue;
      const Json* probe = find(spec, "readinessProbe");
      if (probe == nullptr) return;
      if (const Json* http = find(*probe, "httpGet")) {
        reason_line(fmt::format("its readiness probe is GET {} on port {}",
                                text(*http, "path", "/"), at(*http, "port").dump()));
      } else if (const Json* tcp = find(*probe, "tcpSocket")) {
        reason_line(
            fmt::format("its readiness probe connects to port {}", at(*tcp, "port").dump()));
      } else if (const Json* exec = find(*probe, "exec")) {
        reason_line(
            fmt::format("its readiness probe runs: {}", fmt::join(texts(*exec, "command"), " ")));
      }
    }
  }

  void well(const PodState& state) {
    since(state.ready_since);
    out_.summary = "it is well: every container runs and is ready";
    if (state.restarts > 0)
      reason_line(fmt::format("containers were restarted {}", times(state.restarts)));
    for (const Json& container : items(status_, "containerStatuses")) {
      const Json* last = find(container, "lastState", "terminated");
      if (last == nullptr) continue;
      reason_line(fmt::format("container {} {} at {}", text(container, "name"), describe_end(*last),
                              text(*last, "finishedAt")));
    }
  }

  /// The latest warnings say what the status leaves out: which probe failed how.
  void add_events() {
    if (input_.events == nullptr) return;
    static constexpr std::size_t kEventsShown = 3;
    auto about = input_.events->about({"Pod", meta_.name_space, meta_.name}, input_.now);
    std::size_t shown = 0;
    for (auto it = about.rbegin(); it != about.rend() && shown < kEventsShown; ++it) {
      if (!it->note.warning || it->note.about_uid != meta_.uid) continue;
      if (it->note.reason == "BackOff" || it->note.reason == "FailedScheduling") continue;
      reason_line(it->count > 1 ? fmt::format("{} ({})", it->note.message, times(it->count))
                                : it->note.message);
      ++shown;
    }
  }

  void reason_line(std::string line) {
    if (line.empty() || line == out_.summary) return;
    if (std::ranges::find(out_.reasons, line) == out_.reasons.end())
      out_.reasons.push_back(std::move(line));
  }
  void hint(std::string line) { out_.hints.push_back(std::move(line)); }
  void since(base::WallTime when) { out_.since = when; }
  void since_of(const Json& condition) { out_.since = time(condition, "lastTransitionTime"); }
  void since_end(const Json& ended) { out_.since = time(ended, "finishedAt"); }

  const Json& pod_;
  const Json& status_;
  const WhyInput& input_;
  Metadata meta_;
  WorkloadName workload_;
  WhyAnswer out_;
};

}  // namespace

std::optional<Trouble> troubled_container(const Json& pod) {
  const Json& status = at(pod, "status");
  const Json& spec = at(pod, "spec");
  struct List {
    const char *specs, *statuses;
    bool init;
  };
  for (const List& list : {List{"initContainers", "initContainerStatuses", true},
                           List{"containers", "containerStatuses", false}}) {
    for (const Json& each : items(status, list.statuses)) {
      const Json* waiting = waiting_of(each);
      const std::string reason = waiting == nullptr ? "" : text(*waiting, "reason");
      const Json* ended = ended_of(each);
      const bool bad_wait =
          !reason.empty() && reason != "ContainerCreating" && reason != "PodInitializing";
      const bool bad_end = ended != nullptr && number_or(*ended, "exitCode", 0) != 0;
      // A container that was restarted and is not ready again yet.
      const Json* last = find(each, "lastState", "terminated");
      const bool unsettled = last != nullptr && !flag(each, "ready") && ended == nullptr &&
                             number_or(*last, "exitCode", 0) != 0;
      if (!bad_wait && !bad_end && !unsettled) continue;
      for (const Json& container : items(spec, list.specs)) {
        if (text(container, "name") == text(each, "name"))
          return Trouble{&each, &container, list.init};
      }
    }
  }
  return std::nullopt;
}

WhyAnswer why_pod(const Json& pod, const WhyInput& input) {
  return PodAnswer(pod, input).take();
}

}  // namespace nexus::orchestration
