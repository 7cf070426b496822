#include "objects/object_plan.hpp"

#include <fmt/format.h>

#include <charconv>

namespace nexus {
namespace {

// What a caller that names a revision has read. Empty: it names none.
base::Result<std::optional<Revision>> wanted_revision(const Json& json) {
  const auto metadata = json.find("metadata");
  const auto found = metadata->find("resourceVersion");
  if (found == metadata->end() || found->is_null()) return std::optional<Revision>();
  const auto* text = found->get_ptr<const std::string*>();
  Revision revision = 0;
  if (text != nullptr && text->empty()) return std::optional<Revision>();
  const char* end = text == nullptr ? nullptr : text->data() + text->size();
  if (text == nullptr || std::from_chars(text->data(), end, revision).ptr != end ||
      (revision == 0 && *text != "0")) {  // too large for a revision leaves it at 0
    return base::fail(
        base::Errc::InvalidArgument,
        fmt::format("metadata.resourceVersion is {}; must be a number as text", found->dump()));
  }
  if (revision == 0) return std::optional<Revision>();
  return revision;
}

std::string text_at(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return {};
  return found->get<std::string>();
}

base::Result<> check_revision(const ObjectRef& ref, const Object& current,
                              std::optional<Revision> wanted) {
  if (!wanted || *wanted == current.revision) return {};
  return base::fail(base::Errc::Conflict,
                    fmt::format("{} changed since you read it (revision {} by {}, you have {})",
                                to_string(ref), current.revision,
                                current.writer.empty() ? "the system" : current.writer, *wanted));
}

base::Result<> check_uid(const ObjectRef& ref, const Object& current, const std::string& wanted) {
  const std::string found = text_at(current.json.at("metadata"), "uid");
  if (wanted.empty() || wanted == found) return {};
  return base::fail(base::Errc::Conflict,
                    fmt::format("{} is another object of that name now (uid {}, you have {})",
                                to_string(ref), found, wanted));
}

std::unexpected<base::Error> not_found(const ObjectRef& ref) {
  return base::fail(base::Errc::NotFound, ref.name_space.empty()
                                              ? fmt::format("{} does not exist", to_string(ref))
                                              : fmt::format("{} does not exist in namespace {}",
                                                            to_string(ref), ref.name_space));
}

void copy_member(const Json& from, Json& to, const char* key) {
  if (const auto found = from.find(key); found != from.end()) {
    to[key] = *found;
  } else {
    to.erase(key);
  }
}

bool differs(const Json& a, const Json& b, const char* key) {
  const auto in_a = a.find(key), in_b = b.find(key);
  if (in_a == a.end() || in_b == b.end()) return (in_a == a.end()) != (in_b == b.end());
  return *in_a != *in_b;
}

Json created(Json json, const ObjectStamp& stamp) {
  Json& metadata = json["metadata"];
  metadata.erase("resourceVersion");
  metadata["uid"] = stamp.uid;
  metadata["creationTimestamp"] = stamp.now;
  metadata.erase("generation");
  if (json.contains("spec")) metadata["generation"] = 1;
  return json;
}

Json updated(Json json, const Json& current) {
  const Json& before = current.at("metadata");
  Json& metadata = json["metadata"];
  metadata.erase("resourceVersion");
  copy_member(before, metadata, "uid");
  copy_member(before, metadata, "creationTimestamp");
  copy_member(before, metadata, "generation");
  // Nobody takes back that an object is going.
  for (const char* key : {"deletionTimestamp", "deletionGracePeriodSeconds"}) {
    if (before.contains(key) && !metadata.contains(key)) copy_member(before, metadata, key);
  }
  copy_member(current, json, "status");
  if (differs(json, current, "spec")) metadata["generation"] = before.value("generation", 0) + 1;
  return json;
}

Json with_status(Json current, const Json& json) {
  current["metadata"].erase("resourceVersion");
  copy_member(json, current, "status");
  return current;
}

bool same_content(const Json& json, const Json& current) {
  Json before = current;
  before["metadata"].erase("resourceVersion");
  return json == before;
}

}  // namespace

base::Result<ObjectPlan> plan_object_write(const ObjectWrite& write, const ObjectPtr& current,
                                           const ObjectStamp& stamp) {
  ObjectPlan plan;
  if (write.verb == ObjectWrite::Verb::Remove) {
    plan.ref = write.ref;
  } else {
    TRY(plan.ref, ref_of(write.json));
  }
  plan.expected = current ? current->revision : 0;
  if (write.verb == ObjectWrite::Verb::Create) {
    if (current)
      return base::fail(base::Errc::AlreadyExists,
                        fmt::format("{} exists already", to_string(plan.ref)));
    plan.action = "create";
    plan.json = created(write.json, stamp);
    return plan;
  }
  if (!current) return not_found(plan.ref);
  if (write.verb == ObjectWrite::Verb::Remove) {
    TRY_DO(check_revision(plan.ref, *current, write.precondition.revision));
    TRY_DO(check_uid(plan.ref, *current, write.precondition.uid.value_or("")));
    plan.action = "delete";
    return plan;
  }
  TRY(const auto wanted, wanted_revision(write.json));
  TRY_DO(check_revision(plan.ref, *current, wanted));
  TRY_DO(check_uid(plan.ref, *current, text_at(write.json.at("metadata"), "uid")));
  plan.audited = write.verb == ObjectWrite::Verb::Update;
  plan.action = "update";
  plan.json =
      plan.audited ? updated(write.json, current->json) : with_status(current->json, write.json);
  plan.changed = !same_content(*plan.json, current->json);
  return plan;
}

base::Result<std::string> object_text(const ObjectRef& ref, const Json& json) {
  std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() <= kObjectBytesMax) return text;
  return base::fail(base::Errc::ResourceExhausted,
                    fmt::format("{} has {} bytes; at most {} are allowed", to_string(ref),
                                text.size(), kObjectBytesMax));
}

}  // namespace nexus
