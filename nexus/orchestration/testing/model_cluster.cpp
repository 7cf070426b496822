#include "orchestration/testing/model_cluster.hpp"

#include <base/random.hpp>

#include "orchestration/conditions.hpp"
#include "orchestration/deployment_planner.hpp"
#include "orchestration/job_planner.hpp"
#include "orchestration/json_read.hpp"
#include "orchestration/replica_set_planner.hpp"

namespace nexus::orchestration {

namespace {

const std::string kSpace = "default";

}  // namespace

ObjectPtr ModelCluster::find(const ObjectRef& ref) const {
  const ObjectMap& objects = all(ref.kind);
  const auto found = objects.find({ref.name_space, ref.name});
  return found == objects.end() ? nullptr : found->second;
}

const ObjectMap& ModelCluster::all(std::string_view kind) const {
  static const ObjectMap none;
  const auto found = kinds_.find(kind);
  return found == kinds_.end() ? none : found->second;
}

void ModelCluster::put(Json json) {
  auto object = std::make_shared<Object>();
  object->revision = ++revision_;
  json["metadata"]["resourceVersion"] = std::to_string(revision_);
  object->json = std::move(json);
  owners_.put(*object);
  const ObjectRef ref = ref_to(*object);
  kinds_[ref.kind][{ref.name_space, ref.name}] = object;
}

void ModelCluster::erase(const ObjectRef& ref) {
  const ObjectPtr object = find(ref);
  if (object == nullptr) return;
  owners_.erase(*object);
  summaries_.erase(object);
  kinds_[ref.kind].erase({ref.name_space, ref.name});
}

ObjectPtr ModelCluster::create(Json json) {
  Json& meta = json["metadata"];
  meta["uid"] = base::make_uuid(rng_);
  meta["creationTimestamp"] = base::to_rfc3339(now().wall);
  meta["generation"] = 1;
  Object probe{.json = json, .revision = 0};
  const ObjectRef ref = ref_to(probe);
  BASE_ASSERT(find(ref) == nullptr, "the model creates nothing twice");
  put(std::move(json));
  return find(ref);
}

void ModelCluster::update(Json json) {
  Object probe{.json = json, .revision = 0};
  const ObjectPtr stored = find(ref_to(probe));
  BASE_ASSERT(stored != nullptr, "the model updates what exists");
  if (json["spec"] != at(stored->json, "spec")) {
    json["metadata"]["generation"] = number_or(at(stored->json, "metadata"), "generation", 1) + 1;
  }
  json["status"] = at(stored->json, "status");
  put(std::move(json));
}

bool ModelCluster::apply(const Plan& plan) {
  std::set<ObjectRef> seen;
  for (const ObjectWrite& write : plan.writes) {
    const bool removes = write.verb == ObjectWrite::Verb::Remove;
    const Object probe{.json = write.json, .revision = 0};
    const ObjectRef ref = removes ? write.ref : ref_to(probe);
    BASE_ASSERT(seen.insert(ref).second, "a plan writes each object once");
    const ObjectPtr stored = find(ref);
    if (write.verb == ObjectWrite::Verb::Create) {
      if (stored != nullptr) return false;
      continue;
    }
    if (stored == nullptr) return false;
    const std::string version = text(at(write.json, "metadata"), "resourceVersion");
    if (!removes && !version.empty() && version != std::to_string(stored->revision)) return false;
    if (removes && write.precondition.uid &&
        *write.precondition.uid != text(at(stored->json, "metadata"), "uid")) {
      return false;
    }
  }
  for (const ObjectWrite& write : plan.writes) {
    if (write.verb == ObjectWrite::Verb::Create) {
      create(write.json);
    } else if (write.verb == ObjectWrite::Verb::Remove) {
      erase(write.ref);
    } else if (write.verb == ObjectWrite::Verb::Update) {
      update(write.json);
    } else {
      const Object probe{.json = write.json, .revision = 0};
      Json json = find(ref_to(probe))->json;
      json["status"] = at(write.json, "status");
      put(std::move(json));
    }
  }
  note_wake(plan);
  return true;
}

void ModelCluster::note_wake(const Plan& plan) {
  if (plan.again && (!wake_ || *plan.again < *wake_)) wake_ = plan.again;
}

Plan ModelCluster::sync_deployment(const std::string& name) {
  const ObjectPtr object = find({"Deployment", kSpace, name});
  if (object == nullptr) return {};
  DeploymentInput input{.deployment = *read_deployment(object), .sets = sets(), .pods = pods()};
  Plan plan = plan_deployment(input, now());
  BASE_ASSERT(apply(plan), "a plan of the present state applies");
  return plan;
}

Plan ModelCluster::sync_replica_set(const std::string& name) {
  const ObjectPtr object = find({"ReplicaSet", kSpace, name});
  if (object == nullptr) return {};
  Plan plan = plan_replica_set(*read_replica_set(object), pods(), now(), rng_);
  BASE_ASSERT(apply(plan), "a plan of the present state applies");
  return plan;
}

void ModelCluster::sync_replica_sets() {
  for (const ReplicaSet& set : sets()) sync_replica_set(set.meta.name);
}

Plan ModelCluster::sync_job(const std::string& name) {
  const ObjectPtr object = find({"Job", kSpace, name});
  if (object == nullptr) return {};
  Plan plan = plan_job(*read_job(object), pods(), now(), rng_);
  BASE_ASSERT(apply(plan), "a plan of the present state applies");
  return plan;
}

void ModelCluster::collect() {
  for (bool again = true; again;) {
    again = false;
    std::vector<ObjectPtr> everything;
    for (const auto& [kind, objects] : kinds_) {
      for (const auto& [key, object] : objects) everything.push_back(object);
    }
    for (const ObjectPtr& object : everything) {
      if (find(ref_to(*object)) != object) continue;
      const Plan plan = text(object->json, "kind") == "Namespace"
                            ? plan_namespace(*object, *this, now())
                            : plan_garbage(*object, *this, owners_, now());
      if (plan.writes.empty()) continue;
      again = apply(plan) || again;
    }
  }
}

std::vector<PodSummaryPtr> ModelCluster::pods() {
  return summaries_.in(*this, kSpace);
}

std::vector<ReplicaSet> ModelCluster::sets() const {
  std::vector<ReplicaSet> out;
  for_each_in(*this, "ReplicaSet", kSpace,
              [&](const ObjectPtr& object) { out.push_back(*read_replica_set(object)); });
  return out;
}

Json ModelCluster::get(const std::string& kind, const std::string& name) const {
  const ObjectPtr object = find({kind, kSpace, name});
  return object == nullptr ? Json() : object->json;
}

void ModelCluster::edit_status(const std::string& pod, const std::function<void(Json&)>& edit) {
  Json json = get("Pod", pod);
  if (json.is_null()) return;
  Json& status = json["status"];
  if (!status.is_object()) status = Json::object();
  edit(status);
  put(std::move(json));
}

void ModelCluster::set_ready(const std::string& pod, bool ready) {
  place(pod);
  edit_status(pod, [&](Json& status) {
    status["phase"] = "Running";
    set_condition(status["conditions"], {"Ready", ready ? "True" : "False", "", ""}, now().wall,
                  false);
  });
}

void ModelCluster::finish(const std::string& pod, bool success) {
  place(pod);
  edit_status(pod, [&](Json& status) {
    status["phase"] = success ? "Succeeded" : "Failed";
    status["containerStatuses"] = Json::array(
        {{{"name", "c"},
          {"state",
           {{"terminated",
             {{"exitCode", success ? 0 : 1}, {"finishedAt", base::to_rfc3339(now().wall)}}}}}}});
    set_condition(status["conditions"], {"Ready", "False", "", ""}, now().wall, false);
  });
}

void ModelCluster::restart(const std::string& pod, std::int64_t count) {
  edit_status(pod, [&](Json& status) {
    status["containerStatuses"] = Json::array({{{"name", "c"}, {"restartCount", count}}});
  });
}

void ModelCluster::place(const std::string& pod) {
  Json json = get("Pod", pod);
  if (json.is_null() || !text(json["spec"], "nodeName").empty()) return;
  json["spec"]["nodeName"] = "n1";
  put(std::move(json));
}

void ModelCluster::stopped(const std::string& pod) {
  const Json json = get("Pod", pod);
  if (json.is_null()) return;
  const Metadata meta = read_metadata(json);
  if (meta.finalizers.empty()) {
    erase({"Pod", kSpace, pod});
    return;
  }
  if (read_pod_state(json).phase != PodPhase::Succeeded) finish(pod, false);
}

Json web_deployment(std::int32_t replicas, const std::string& image, const Json& max_surge,
                    const Json& max_unavailable) {
  Json json = Json::parse(R"({
    "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"},
    "spec": {"selector": {"matchLabels": {"app": "web"}},
             "strategy": {"type": "RollingUpdate", "rollingUpdate": {}},
             "progressDeadlineSeconds": 600, "revisionHistoryLimit": 10,
             "template": {"metadata": {"labels": {"app": "web"}},
                          "spec": {"terminationGracePeriodSeconds": 5, "containers": [{"name": "web"}]}}}})");
  json["spec"]["replicas"] = replicas;
  json["spec"]["template"]["spec"]["containers"][0]["image"] = image;
  json["spec"]["strategy"]["rollingUpdate"] = {{"maxSurge", max_surge},
                                               {"maxUnavailable", max_unavailable}};
  return json;
}

}  // namespace nexus::orchestration
