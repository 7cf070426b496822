#include "orchestration/metadata.hpp"

#include "orchestration/json_read.hpp"

namespace nexus::orchestration {

const OwnerReference* Metadata::controller() const {
  for (const OwnerReference& owner : owners) {
    if (owner.controller) return &owner;
  }
  return nullptr;
}

std::string Metadata::annotation(const std::string& key) const {
  const auto found = annotations.find(key);
  return found == annotations.end() ? std::string() : found->second;
}

OwnerReference read_owner(const Json& reference) {
  return {.api_version = text(reference, "apiVersion"),
          .kind = text(reference, "kind"),
          .name = text(reference, "name"),
          .uid = text(reference, "uid"),
          .controller = flag(reference, "controller"),
          .block_deletion = flag(reference, "blockOwnerDeletion")};
}

Metadata read_metadata(const Json& object) {
  const Json& from = at(object, "metadata");
  Metadata meta;
  meta.name = text(from, "name");
  meta.name_space = text(from, "namespace");
  meta.uid = text(from, "uid");
  meta.generation = number_or(from, "generation", 0);
  meta.labels = text_map(from, "labels");
  meta.annotations = text_map(from, "annotations");
  for (const Json& owner : items(from, "ownerReferences")) meta.owners.push_back(read_owner(owner));
  meta.finalizers = texts(from, "finalizers");
  meta.created = time(from, "creationTimestamp").value_or(base::WallTime{});
  meta.deletion = time(from, "deletionTimestamp");
  meta.deletion_grace_seconds = number(from, "deletionGracePeriodSeconds");
  return meta;
}

Json to_json(const OwnerReference& owner) {
  Json json{{"apiVersion", owner.api_version},
            {"kind", owner.kind},
            {"name", owner.name},
            {"uid", owner.uid}};
  if (owner.controller) json["controller"] = true;
  if (owner.block_deletion) json["blockOwnerDeletion"] = true;
  return json;
}

OwnerReference controller_reference(const Json& owner) {
  const Metadata meta = read_metadata(owner);
  return {.api_version = text(owner, "apiVersion"),
          .kind = text(owner, "kind"),
          .name = meta.name,
          .uid = meta.uid,
          .controller = true,
          .block_deletion = true};
}

ObjectWrite update_of(Json object) {
  ObjectWrite write;
  write.verb = ObjectWrite::Verb::Update;
  write.json = std::move(object);
  return write;
}

ObjectWrite status_of(const Object& object, Json status) {
  const Json& meta = at(object.json, "metadata");
  ObjectWrite write;
  write.verb = ObjectWrite::Verb::UpdateStatus;
  Json identity{{"name", text(meta, "name")},
                {"uid", text(meta, "uid")},
                {"resourceVersion", std::to_string(object.revision)}};
  if (const Json* name_space = find(meta, "namespace")) identity["namespace"] = *name_space;
  write.json = Json{{"apiVersion", text(object.json, "apiVersion")},
                    {"kind", text(object.json, "kind")},
                    {"metadata", std::move(identity)},
                    {"status", std::move(status)}};
  return write;
}

ObjectWrite removal_of(const Object& object) {
  ObjectWrite write;
  write.verb = ObjectWrite::Verb::Remove;
  write.ref = ref_to(object);
  write.precondition.uid = text(at(object.json, "metadata"), "uid");
  return write;
}

std::optional<ObjectWrite> deletion_of(const Object& object, base::WallTime now,
                                       std::int64_t grace_seconds) {
  if (find(object.json, "metadata", "deletionTimestamp") != nullptr) return std::nullopt;
  Json marked = object.json;
  marked["metadata"]["deletionTimestamp"] =
      base::to_rfc3339(now + std::chrono::seconds(grace_seconds));
  marked["metadata"]["deletionGracePeriodSeconds"] = grace_seconds;
  return update_of(std::move(marked));
}

ObjectWrite adoption_of(const Object& object, const OwnerReference& owner) {
  Json json = object.json;
  Json& owners = json["metadata"]["ownerReferences"];
  if (!owners.is_array()) owners = Json::array();
  owners.push_back(to_json(owner));
  return update_of(std::move(json));
}

ObjectWrite release_of(const Object& object, const std::string& owner_uid) {
  Json json = object.json;
  Json kept = Json::array();
  for (const Json& owner : items(at(object.json, "metadata"), "ownerReferences")) {
    if (text(owner, "uid") != owner_uid) kept.push_back(owner);
  }
  if (kept.empty()) {
    json["metadata"].erase("ownerReferences");
  } else {
    json["metadata"]["ownerReferences"] = std::move(kept);
  }
  return update_of(std::move(json));
}

ObjectWrite without_finalizer(const Object& object, std::string_view finalizer) {
  Json json = object.json;
  Json kept = Json::array();
  for (const Json& each : items(at(object.json, "metadata"), "finalizers")) {
    if (!each.is_string() || each.get_ref<const std::string&>() != finalizer) kept.push_back(each);
  }
  if (kept.empty()) {
    json["metadata"].erase("finalizers");
  } else {
    json["metadata"]["finalizers"] = std::move(kept);
  }
  return update_of(std::move(json));
}

ObjectRef ref_to(const Object& object) {
  const Json& meta = at(object.json, "metadata");
  return {.kind = text(object.json, "kind"),
          .name_space = text(meta, "namespace"),
          .name = text(meta, "name")};
}

}  // namespace nexus::orchestration
