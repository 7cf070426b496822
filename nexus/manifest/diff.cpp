#include "manifest/diff.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "manifest/problem.hpp"
#include "manifest/schema.hpp"

namespace nexus::manifest {

namespace {

constexpr std::size_t kValueShownMax = 100;
constexpr const char* kServerMetadata[] = {
    "uid",           "resourceVersion",           "generation",
    "managedFields", "creationTimestamp",         "deletionTimestamp",
    "selfLink",      "deletionGracePeriodSeconds"};
constexpr const char* kToolAnnotations[] = {
    "kubectl.kubernetes.io/last-applied-configuration", "hypermesh.io/last-applied",
    "deployment.kubernetes.io/revision", "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas"};

std::string shown(const Json& value, bool secret) {
  if (secret) return "(secret)";
  std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  std::ranges::replace(text, '\n', ' ');
  if (text.size() > kValueShownMax) {
    std::size_t end = kValueShownMax;
    // Not in the middle of a character.
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
    text = text.substr(0, end) + "...";
  }
  return text;
}

class Diff {
 public:
  explicit Diff(bool secrets) : secrets_(secrets) {}

  void compare(const Json& before, const Json& after, const ObjectType* type) {
    if (before == after) return;
    if (before.is_object() && after.is_object()) return compare_objects(before, after, type);
    add(before, after);
  }

  std::vector<FieldChange> changes;

 private:
  void add(const Json& before, const Json& after) {
    FieldChange change{.kind = before.is_null()  ? FieldChange::Kind::Added
                               : after.is_null() ? FieldChange::Kind::Removed
                                                 : FieldChange::Kind::Changed,
                       .path = path_,
                       .before = before,
                       .after = after};
    change.secret = secrets_ && (path_.starts_with("data") || path_.starts_with("stringData"));
    changes.push_back(std::move(change));
  }

  void enter(const std::string& step, auto&& inside) {
    const std::size_t length = path_.size();
    path_ += step;
    inside();
    path_.resize(length);
  }

  std::string member_step(const std::string& key) const {
    FieldPath one;
    one.push_key(key);
    const std::string text = one.text();
    return path_.empty() || text.starts_with('[') ? text : "." + text;
  }

  void compare_objects(const Json& before, const Json& after, const ObjectType* type) {
    std::set<std::string> keys;
    for (const auto& member : before.items()) keys.insert(member.key());
    for (const auto& member : after.items()) keys.insert(member.key());
    for (const std::string& key : keys) {
      const auto old = before.find(key), now = after.find(key);
      const Json& was = old == before.end() ? null_ : *old;
      const Json& is = now == after.end() ? null_ : *now;
      if (was == is) continue;
      const Field* field = type ? type->find(key) : nullptr;
      enter(member_step(key), [&] {
        if (was.is_array() && is.is_array()) return compare_lists(was, is, field);
        // What a whole map gains or loses is told key by key; a whole secret is one change too
        // many.
        if (field && field->type == Type::Map && (was.is_object() || was.is_null()) &&
            (is.is_object() || is.is_null())) {
          return compare_objects(was.is_null() ? empty_ : was, is.is_null() ? empty_ : is, nullptr);
        }
        compare(was, is, field ? field->object : nullptr);
      });
    }
  }

  void compare_lists(const Json& before, const Json& after, const Field* field) {
    const std::string key(field ? field->merge_key : std::string_view());
    const auto keyed = [&](const Json& list) {
      std::set<Json> seen;
      return std::ranges::all_of(list, [&](const Json& one) {
        return one.is_object() && one.contains(key) && seen.insert(one[key]).second;
      });
    };
    const ObjectType* type = field ? field->object : nullptr;
    if (!key.empty() && keyed(before) && keyed(after))
      return compare_keyed(before, after, key, type);
    const bool objects = std::ranges::all_of(before, &is_object_value) &&
                         std::ranges::all_of(after, &is_object_value);
    if (!objects) return add(before, after);
    for (std::size_t i = 0; i < std::max(before.size(), after.size()); ++i) {
      enter(fmt::format("[{}]", i), [&] {
        compare(i < before.size() ? before[i] : null_, i < after.size() ? after[i] : null_, type);
      });
    }
  }

  static bool is_object_value(const Json& value) { return value.is_object(); }

  void compare_keyed(const Json& before, const Json& after, const std::string& key,
                     const ObjectType* type) {
    const auto step = [&](const Json& element) {
      const Json& name = element[key];
      return fmt::format("[{}]", name.is_string() ? name.get<std::string>() : name.dump());
    };
    const auto index = [&](const Json& list) {
      std::map<Json, const Json*> all;
      for (const Json& one : list) all.emplace(one[key], &one);
      return all;
    };
    const auto old = index(before), now = index(after);
    const auto find = [&](const auto& all, const Json& element) -> const Json& {
      const auto found = all.find(element[key]);
      return found == all.end() ? null_ : *found->second;
    };
    const std::size_t changes_before = changes.size();
    for (const Json& element : before) {
      enter(step(element), [&] { compare(element, find(now, element), type); });
    }
    for (const Json& element : after) {
      if (find(old, element).is_null())
        enter(step(element), [&] { compare(null_, element, type); });
    }
    // Equal elements in another order.
    if (changes.size() == changes_before) add(before, after);
  }

  bool secrets_;
  std::string path_;
  const Json null_;
  const Json empty_ = Json::object();
};

}  // namespace

std::string FieldChange::text() const {
  switch (kind) {
    case Kind::Added:
      return fmt::format("+ {}: {}", path, shown(after, secret));
    case Kind::Removed:
      return fmt::format("- {}: {}", path, shown(before, secret));
    case Kind::Changed:
      break;
  }
  return fmt::format("~ {}: {} -> {}", path, shown(before, secret), shown(after, secret));
}

Json without_server_fields(const KindInfo& kind, Json object) {
  if (!object.is_object()) return object;
  for (const Field& field : schema_of(kind).fields) {
    if (field.support == Support::Server) object.erase(std::string(field.name));
  }
  const auto metadata = object.find("metadata");
  if (metadata == object.end() || !metadata->is_object()) return object;
  for (const char* key : kServerMetadata) metadata->erase(key);
  const auto annotations = metadata->find("annotations");
  if (annotations == metadata->end() || !annotations->is_object()) return object;
  for (const char* key : kToolAnnotations) annotations->erase(key);
  if (annotations->empty()) metadata->erase("annotations");
  return object;
}

std::vector<FieldChange> diff_objects(const KindInfo& kind, const Json& before, const Json& after) {
  Diff diff(kind.kind == "Secret");
  const Json was = without_server_fields(kind, before), is = without_server_fields(kind, after);
  diff.compare(was.is_null() ? Json::object() : was, is.is_null() ? Json::object() : is,
               &schema_of(kind));
  return std::move(diff.changes);
}

}  // namespace nexus::manifest
