#include "orchestration/why.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "orchestration/json_read.hpp"
#include "orchestration/pod.hpp"
#include "orchestration/views.hpp"
#include "orchestration/why_pod.hpp"

namespace nexus::orchestration {

namespace {

/// The pods of a workload, those in trouble first.
std::vector<ObjectPtr> pods_of(const ObjectRef& ref, const ObjectView& view) {
  std::vector<ObjectPtr> pods;
  for_each_in(view, "Pod", ref.name_space, [&](const ObjectPtr& pod) {
    const Metadata meta = read_metadata(pod->json);
    const OwnerReference* owner = meta.controller();
    const WorkloadName workload = workload_of(pod->json);
    const bool direct = owner != nullptr && owner->kind == ref.kind && owner->name == ref.name;
    if (direct || (workload.kind == ref.kind && workload.name == ref.name)) pods.push_back(pod);
  });
  std::ranges::stable_sort(pods, {}, [](const ObjectPtr& pod) {
    if (troubled_container(pod->json)) return 0;
    const PodState state = read_pod_state(pod->json);
    return !state.scheduled ? 1 : !state.ready ? 2 : 3;
  });
  return pods;
}

void add(WhyAnswer& out, const WhyAnswer& pod) {
  out.reasons.push_back(fmt::format("{}: {}", pod.object, pod.summary));
  for (const std::string& reason : pod.reasons) out.reasons.push_back("  " + reason);
  for (const std::string& hint : pod.hints) {
    if (std::ranges::find(out.hints, hint) == out.hints.end()) out.hints.push_back(hint);
  }
}

void add_warnings(WhyAnswer& out, const ObjectRef& ref, const WhyInput& input) {
  if (input.events == nullptr) return;
  static constexpr std::size_t kWarningsShown = 3;
  std::size_t shown = 0;
  auto about = input.events->about(ref, input.now);
  for (auto it = about.rbegin(); it != about.rend() && shown < kWarningsShown; ++it) {
    if (!it->note.warning) continue;
    out.reasons.push_back(it->note.message);
    ++shown;
  }
}

WhyAnswer why_deployment(const Json& json, const ObjectRef& ref, const WhyInput& input) {
  const Rollout state = rollout(json);
  WhyAnswer out;
  out.state = state.rolled_back ? "RolledBack"
              : state.failed    ? "Failed"
              : state.complete  ? "Complete"
                                : "Progressing";
  out.summary = state.complete ? fmt::format("it is well: {} of {} replicas are available",
                                             state.available, state.desired)
                               : state.message;
  if (const Json* progressing = find_condition(at(json, "status"), "Progressing")) {
    out.since = time(*progressing, "lastTransitionTime");
  }
  if (flag(at(json, "spec"), "paused")) {
    out.reasons.push_back("it is paused: changes of the template wait");
    out.hints.push_back(fmt::format("hm update {} --resume", ref.name));
  }
  if (!state.complete || state.rolled_back) {
    static constexpr std::size_t kPodsShown = 2;
    std::size_t shown = 0;
    for (const ObjectPtr& pod : pods_of(ref, *input.view)) {
      if (read_pod_state(pod->json).ready || shown == kPodsShown) continue;
      add(out, why_pod(pod->json, input));
      ++shown;
    }
    if (state.failed && !state.rolled_back)
      out.hints.push_back(fmt::format("hm rollback {}", ref.name));
    out.hints.push_back(fmt::format("hm history {}", ref.name));
  }
  add_warnings(out, ref, input);
  return out;
}

WhyAnswer why_replica_set(const Json& json, const ObjectRef& ref, const WhyInput& input) {
  const auto wanted = number_or(at(json, "spec"), "replicas", 1);
  const auto ready = number_or(at(json, "status"), "readyReplicas", 0);
  WhyAnswer out;
  out.state = ready >= wanted ? "Complete" : "Progressing";
  out.summary = fmt::format("{} of {} replicas are ready", ready, wanted);
  for (const ObjectPtr& pod : pods_of(ref, *input.view)) {
    if (!read_pod_state(pod->json).ready) {
      add(out, why_pod(pod->json, input));
      break;
    }
  }
  add_warnings(out, ref, input);
  return out;
}

WhyAnswer why_job(const Json& json, const ObjectRef& ref, const WhyInput& input) {
  const JobProgress progress = job_progress(json);
  WhyAnswer out;
  out.state = progress.complete ? "Complete" : progress.gave_up ? "Failed" : "Running";
  out.summary = progress.message;
  if (flag(at(json, "spec"), "suspend"))
    out.reasons.push_back("it is suspended: spec.suspend is true");
  if (!progress.complete) {
    const auto pods = pods_of(ref, *input.view);
    if (!pods.empty()) add(out, why_pod(pods.front()->json, input));
  }
  add_warnings(out, ref, input);
  return out;
}

WhyAnswer why_service(const Json& json, const ObjectRef& ref, const WhyInput& input) {
  WhyAnswer out;
  const auto selector = text_map(at(json, "spec"), "selector");
  if (selector.empty()) {
    out.state = "NoSelector";
    out.summary = "it has no selector, so it has no endpoints of its own";
    return out;
  }
  const auto matcher = manifest::LabelSelector::from_labels(selector);
  std::size_t matching = 0, ready = 0;
  std::vector<std::string> unready;
  for_each_in(*input.view, "Pod", ref.name_space, [&](const ObjectPtr& pod) {
    const Metadata meta = read_metadata(pod->json);
    if (!matcher.matches(meta.labels)) return;
    ++matching;
    if (read_pod_state(pod->json).ready) {
      ++ready;
    } else {
      unready.push_back(meta.name);
    }
  });
  out.state = ready > 0 ? "Ready" : "NoEndpoints";
  out.summary =
      fmt::format("{} of {} pods that match \"{}\" are ready", ready, matching, matcher.text());
  if (matching == 0) {
    out.summary =
        fmt::format("no pod in namespace {} has the labels \"{}\"; connections are refused",
                    ref.name_space, matcher.text());
    out.hints.push_back(fmt::format("hm get pods -n {} -o wide", ref.name_space));
  }
  for (const std::string& name : unready)
    out.reasons.push_back(fmt::format("pod/{} is not ready", name));
  if (!unready.empty()) out.hints.push_back(fmt::format("hm why {}", unready.front()));
  return out;
}

WhyAnswer why_namespace(const Json& json, const ObjectRef& ref, const WhyInput& input) {
  WhyAnswer out;
  const Metadata meta = read_metadata(json);
  out.state = meta.deletion ? "Terminating" : "Active";
  out.summary = meta.deletion ? "it is being deleted; it goes when it is empty" : "it is in use";
  out.since = meta.deletion;
  if (!meta.deletion) return out;
  for (const char* kind :
       {"Deployment", "Job", "ReplicaSet", "Pod", "Service", "ConfigMap", "Secret"}) {
    std::size_t left = 0;
    for_each_in(*input.view, kind, ref.name, [&](const ObjectPtr&) { ++left; });
    if (left > 0) out.reasons.push_back(fmt::format("{} left: {}", kind, left));
  }
  return out;
}

}  // namespace

base::Result<WhyAnswer> why(const ObjectRef& ref, const WhyInput& input) {
  const ObjectPtr object = input.view->find(ref);
  if (object == nullptr) {
    return base::fail(base::Errc::NotFound,
                      fmt::format("{} does not exist{}", to_string(ref),
                                  ref.name_space.empty() ? "" : " in namespace " + ref.name_space));
  }
  WhyAnswer out;
  if (ref.kind == "Pod") {
    out = why_pod(object->json, input);
  } else if (ref.kind == "Deployment") {
    out = why_deployment(object->json, ref, input);
  } else if (ref.kind == "ReplicaSet") {
    out = why_replica_set(object->json, ref, input);
  } else if (ref.kind == "Job") {
    out = why_job(object->json, ref, input);
  } else if (ref.kind == "Service") {
    out = why_service(object->json, ref, input);
  } else if (ref.kind == "Namespace") {
    out = why_namespace(object->json, ref, input);
  } else {
    return base::fail(base::Errc::Unsupported,
                      fmt::format("{} has no state to explain; ask about a Pod, Deployment, "
                                  "ReplicaSet, Job, Service or Namespace",
                                  to_string(ref)));
  }
  out.object = to_string(ref);
  return out;
}

std::optional<CrashedContainer> crashed_container(const ObjectRef& ref, const ObjectView& view) {
  std::vector<ObjectPtr> pods;
  if (ref.kind == "Pod") {
    if (ObjectPtr pod = view.find(ref)) pods.push_back(std::move(pod));
  } else {
    pods = pods_of(ref, view);
  }
  for (const ObjectPtr& pod : pods) {
    const auto trouble = troubled_container(pod->json);
    if (!trouble) continue;
    const bool ended_now = find(*trouble->status, "state", "terminated") != nullptr;
    const bool ended_before = find(*trouble->status, "lastState", "terminated") != nullptr;
    if (!ended_now && !ended_before) continue;
    const Metadata meta = read_metadata(pod->json);
    return CrashedContainer{.pod = meta.name,
                            .pod_uid = meta.uid,
                            .container = text(*trouble->status, "name"),
                            .previous = find(*trouble->status, "state", "running") != nullptr};
  }
  return std::nullopt;
}

Json to_json(const WhyAnswer& answer) {
  Json json{{"object", answer.object},   {"state", answer.state}, {"summary", answer.summary},
            {"reasons", answer.reasons}, {"hints", answer.hints}, {"since", nullptr}};
  if (answer.since) json["since"] = base::to_rfc3339(*answer.since);
  return json;
}

}  // namespace nexus::orchestration
