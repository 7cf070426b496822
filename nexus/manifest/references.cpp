// check_references(): what a set of objects names and nobody has.

#include <fmt/format.h>

#include <map>
#include <set>
#include <tuple>

#include "manifest/manifest_file.hpp"
#include "manifest/view.hpp"

namespace nexus::manifest {

namespace {

View template_of(const FileObject& object) {
  const View root(&object.object, {});
  return object.kind->kind == "Pod" ? root : root["spec"]["template"];
}

bool makes_pods(const FileObject& object) {
  const std::string_view kind = object.kind->kind;
  return kind == "Pod" || kind == "Deployment" || kind == "ReplicaSet" || kind == "Job";
}

class References {
 public:
  References(std::span<const FileObject> objects, const ReferenceSource& source)
      : objects_(objects), source_(source) {
    for (const FileObject& object : objects) {
      by_name_.emplace(Key{object.kind->kind, object.name_space(), object.name()}, &object.object);
      if (makes_pods(object)) workloads_[object.name_space()].push_back(workload_of(object));
    }
  }

  std::vector<Problem> check() {
    for (const FileObject& object : objects_) {
      object_ = &object;
      check_namespace();
      if (makes_pods(object)) check_pod(template_of(object)["spec"]);
      if (object.kind->kind == "Service") check_service();
    }
    return std::move(problems_);
  }

 private:
  using Key =
      std::tuple<std::string_view, std::string_view, std::string_view>;  // Kind, namespace, name.
  struct Workload {
    Labels labels;
    std::set<std::string_view> port_names;
  };

  static Workload workload_of(const FileObject& object) {
    const View pod = template_of(object), labels = pod["metadata"]["labels"];
    Workload workload{.labels = labels.present() ? string_map(labels.json()) : Labels{},
                      .port_names = {}};
    for (const View& container : pod["spec"]["containers"].items()) {
      for (const View& port : container["ports"].items())
        workload.port_names.insert(port["name"].text());
    }
    return workload;
  }

  const Json* find(std::string_view kind, std::string_view name_space,
                   std::string_view name) const {
    if (const auto found = by_name_.find(Key{kind, name_space, name}); found != by_name_.end())
      return found->second;
    return source_.find ? source_.find(kind, name_space, name) : nullptr;
  }

  void note(const FieldPath& path, std::string message) {
    Problem problem{.reason = Reason::Note, .field = path.text(), .message = std::move(message)};
    problem.file = object_->file;
    problem.position = object_->positions.nearest(path).key;
    problems_.push_back(std::move(problem));
  }

  void check_namespace() {
    const std::string_view name = object_->name_space();
    if (name.empty() || name == "default" || !source_.find || find("Namespace", {}, name)) return;
    const FieldPath path = FieldPath().key("metadata").key("namespace");
    note(path, fmt::format("names a namespace that does not exist: {}", name));
  }

  /// `keys` are places of names of keys in the object.
  void check_object(std::string_view kind, const View& reference, const View& name,
                    const std::vector<View>& keys) {
    if (name.text().empty() || reference["optional"].truth()) return;
    const Json* found = find(kind, object_->name_space(), name.text());
    if (!found) {
      if (source_.find)
        note(name.path(), fmt::format("names a {} that does not exist: {}", kind, name.text()));
      return;
    }
    const View data(found, {});
    for (const View& key : keys) {
      if (key.text().empty() || data["data"][key.text()].present() ||
          data["binaryData"][key.text()].present())
        continue;
      note(key.path(),
           fmt::format("names a key that {} {} does not have: {}", kind, name.text(), key.text()));
    }
  }

  static std::vector<View> item_keys(const View& reference) {
    std::vector<View> keys;
    for (const View& item : reference["items"].items()) keys.push_back(item["key"]);
    return keys;
  }

  void check_pod(const View& spec) {
    for (std::string_view list : {"initContainers", "containers"}) {
      for (const View& container : spec[list].items()) check_container(container);
    }
    for (const View& volume : spec["volumes"].items()) {
      check_sources(volume, "secretName");
      for (const View& source : volume["projected"]["sources"].items())
        check_sources(source, "name");
    }
    for (const View& secret : spec["imagePullSecrets"].items())
      check_object("Secret", secret, secret["name"], {});
  }

  void check_sources(const View& parent, std::string_view secret_name) {
    const View map = parent["configMap"], secret = parent["secret"];
    check_object("ConfigMap", map, map["name"], item_keys(map));
    check_object("Secret", secret, secret[secret_name], item_keys(secret));
  }

  void check_container(const View& container) {
    for (const View& variable : container["env"].items()) {
      const View map = variable["valueFrom"]["configMapKeyRef"],
                 secret = variable["valueFrom"]["secretKeyRef"];
      check_object("ConfigMap", map, map["name"], {map["key"]});
      check_object("Secret", secret, secret["name"], {secret["key"]});
    }
    for (const View& source : container["envFrom"].items()) {
      check_object("ConfigMap", source["configMapRef"], source["configMapRef"]["name"], {});
      check_object("Secret", source["secretRef"], source["secretRef"]["name"], {});
    }
  }

  /// A Service beside workloads that it does not choose, or with a port name that none of them has.
  void check_service() {
    const View spec = View(&object_->object, {})["spec"];
    if (spec["selector"].size() == 0) return;
    const LabelSelector selector = LabelSelector::from_labels(string_map(spec["selector"].json()));
    std::set<std::string_view> port_names;
    const auto here = workloads_.find(object_->name_space());
    if (here == workloads_.end()) return;
    bool any_chosen = false;
    for (const Workload& workload : here->second) {
      if (!selector.matches(workload.labels)) continue;
      any_chosen = true;
      port_names.insert(workload.port_names.begin(), workload.port_names.end());
    }
    if (!any_chosen) {
      note(spec["selector"].path(),
           fmt::format("chooses none of the pods here: {}", selector.text()));
      return;
    }
    for (const View& port : spec["ports"].items()) {
      const View target = port["targetPort"];
      if (target.is_string() && !port_names.contains(target.text())) {
        note(target.path(),
             fmt::format("names a port that the chosen pods do not have: {}", target.text()));
      }
    }
  }

  std::span<const FileObject> objects_;
  const ReferenceSource& source_;
  std::map<Key, const Json*> by_name_;
  std::map<std::string_view, std::vector<Workload>> workloads_;  // By namespace.
  const FileObject* object_ = nullptr;
  std::vector<Problem> problems_;
};

}  // namespace

std::vector<Problem> check_references(std::span<const FileObject> objects,
                                      const ReferenceSource& source) {
  return References(objects, source).check();
}

}  // namespace nexus::manifest
