// Merging by the keys of list elements: strategic merge patches and apply.

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "manifest/patch.hpp"
#include "manifest/schema.hpp"

namespace nexus::manifest {

namespace {

using base::Errc;

constexpr std::string_view kPatchDirective = "$patch";
constexpr std::string_view kRetainDirective = "$retainKeys";
constexpr std::string_view kOrderDirective = "$setElementOrder/";
constexpr std::string_view kRemoveDirective = "$deleteFromPrimitiveList/";

/// Where the elements of a list stand, by their key; the first of equal ones.
using Index = std::map<Json, std::size_t>;

Index index_by(const Json& list, const std::string& key) {
  Index index;
  if (!list.is_array()) return index;
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (list[i].is_object() && list[i].contains(key)) index.emplace(list[i][key], i);
  }
  return index;
}

const Json* find_by(const Index& index, const Json& list, const Json& value) {
  const auto found = index.find(value);
  return found == index.end() ? nullptr : &list[found->second];
}

std::set<Json> set_of(const Json& list) {
  return list.is_array() ? std::set<Json>(list.begin(), list.end()) : std::set<Json>();
}

/// The schema of a member, as far as it is known.
const Field* field_of(const ObjectType* type, std::string_view name) {
  return type ? type->find(name) : nullptr;
}

const ObjectType* element_type(const Field* field) {
  return field ? field->object : nullptr;
}

class StrategicMerge {
 public:
  base::Result<> merge_object(Json& target, const Json& patch, const ObjectType* type) {
    const std::string directive =
        patch.contains(kPatchDirective) && patch[kPatchDirective].is_string()
            ? patch[kPatchDirective].get<std::string>()
        : patch.contains(kPatchDirective) ? "?"
                                          : "merge";
    if (directive == "delete") {
      target = Json::object();
      return {};
    }
    if (directive == "replace") {
      target = Json::object();
    } else if (directive != "merge") {
      return base::fail(Errc::InvalidArgument,
                        fmt::format("{} must be replace, delete or merge", kPatchDirective));
    }
    if (!target.is_object()) target = Json::object();
    for (const auto& member : patch.items())
      TRY_DO(merge_member(target, member.key(), member.value(), type));
    for (const auto& member : patch.items())
      TRY_DO(order_member(target, member.key(), member.value(), type));
    if (patch.contains(kRetainDirective)) TRY_DO(retain(target, patch[kRetainDirective]));
    return {};
  }

 private:
  base::Result<> merge_member(Json& target, const std::string& key, const Json& value,
                              const ObjectType* type) {
    if (key.starts_with('$')) {
      if (key.starts_with(kRemoveDirective))
        return remove_scalars(target, key.substr(kRemoveDirective.size()), value);
      if (key == kPatchDirective || key == kRetainDirective || key.starts_with(kOrderDirective))
        return {};
      return base::fail(
          Errc::InvalidArgument,
          fmt::format("{} is not a directive of a strategic merge patch", key.substr(0, 80)));
    }
    if (value.is_null()) {
      target.erase(key);
      return {};
    }
    const Field* field = field_of(type, key);
    if (value.is_object()) {
      const bool deletes = value.contains(kPatchDirective) && value[kPatchDirective] == "delete";
      if (deletes) {
        target.erase(key);
        return {};
      }
      return merge_object(target[key], value, element_type(field));
    }
    if (value.is_array() && field && !field->merge_key.empty())
      return merge_list(target[key], value, *field);
    if (value.is_array() && field && field->merges) {
      Json& list = target[key];
      if (!list.is_array()) list = Json::array();
      std::set<Json> there = set_of(list);
      for (const Json& element : value) {
        if (there.insert(element).second) list.push_back(element);
      }
      return {};
    }
    target[key] = value;
    return {};
  }

  base::Result<> merge_list(Json& target, const Json& patch, const Field& field) {
    if (!target.is_array()) target = Json::array();
    const std::string key(field.merge_key);
    const auto directive = [](const Json& element) {
      return element.is_object() && element.contains(kPatchDirective) ? element[kPatchDirective]
                                                                      : Json();
    };
    const bool replaces = std::ranges::any_of(patch, [&](const Json& element) {
      return directive(element) == "replace" && element.size() == 1;
    });
    if (replaces) target = Json::array();
    Index index = index_by(target, key);
    std::set<std::size_t> gone;
    for (const Json& element : patch) {
      if (directive(element) == "replace" && element.size() == 1) continue;
      if (!element.is_object() || !element.contains(key)) {
        return base::fail(
            Errc::InvalidArgument,
            fmt::format("an element of {} has no {}, by which it is merged", field.name, key));
      }
      const auto [same, fresh] = index.emplace(element[key], target.size());
      if (directive(element) == "delete") {
        if (!fresh) gone.insert(same->second);
        index.erase(same);
        continue;
      }
      if (fresh) target.push_back(Json::object());
      TRY_DO(merge_object(target[same->second], element, field.object));
    }
    if (gone.empty()) return {};
    Json kept = Json::array();
    for (std::size_t i = 0; i < target.size(); ++i) {
      if (!gone.contains(i)) kept.push_back(std::move(target[i]));
    }
    target = std::move(kept);
    return {};
  }

  static base::Result<> remove_scalars(Json& target, const std::string& key, const Json& gone) {
    if (!gone.is_array())
      return base::fail(Errc::InvalidArgument,
                        fmt::format("{}{} must be a list", kRemoveDirective, key));
    const auto list = target.find(key);
    if (list == target.end() || !list->is_array()) return {};
    const std::set<Json> unwanted = set_of(gone);
    Json kept = Json::array();
    for (Json& element : *list) {
      if (!unwanted.contains(element)) kept.push_back(std::move(element));
    }
    *list = std::move(kept);
    return {};
  }

  static base::Result<> retain(Json& target, const Json& keys) {
    if (!keys.is_array())
      return base::fail(Errc::InvalidArgument, fmt::format("{} must be a list", kRetainDirective));
    for (auto member = target.begin(); member != target.end();) {
      const bool kept =
          std::ranges::any_of(keys, [&](const Json& key) { return key == member.key(); });
      member = kept ? std::next(member) : target.erase(member);
    }
    return {};
  }

  /// Brings the elements that the directive names into its order; the others keep their places
  /// between.
  static base::Result<> order_member(Json& target, const std::string& directive, const Json& order,
                                     const ObjectType* type) {
    if (!directive.starts_with(kOrderDirective)) return {};
    const std::string key = directive.substr(kOrderDirective.size());
    if (!order.is_array())
      return base::fail(Errc::InvalidArgument,
                        fmt::format("{} must be a list", directive.substr(0, 80)));
    const auto list = target.find(key);
    if (list == target.end() || !list->is_array()) return {};
    const Field* field = field_of(type, key);
    const std::string merge_key(field ? field->merge_key : std::string_view());
    const auto id = [&](const Json& element) {
      return merge_key.empty()     ? element
             : element.is_object() ? element.value(merge_key, Json())
                                   : Json();
    };
    Index ranks;
    for (std::size_t i = 0; i < order.size(); ++i) ranks.emplace(id(order[i]), i);
    const auto rank = [&](const Json& element) {
      const auto found = ranks.find(id(element));
      return found == ranks.end() ? order.size() : found->second;
    };
    std::vector<std::size_t> named;
    for (std::size_t i = 0; i < list->size(); ++i) {
      if (rank((*list)[i]) < order.size()) named.push_back(i);
    }
    std::vector<std::size_t> sorted = named;
    std::ranges::stable_sort(sorted, {}, [&](std::size_t i) { return rank((*list)[i]); });
    Json ordered = *list;
    for (std::size_t i = 0; i < named.size(); ++i) ordered[named[i]] = (*list)[sorted[i]];
    *list = std::move(ordered);
    return {};
  }
};

/// Wanted over current, without what was applied before and is not wanted any more.
class ApplyMerge {
 public:
  void merge_object(const Json& before, const Json& wanted, Json& current, const ObjectType* type) {
    if (!current.is_object()) current = Json::object();
    const bool retain = type && type->retain_keys;
    for (auto member = current.begin(); member != current.end();) {
      const bool was_ours = before.is_object() && before.contains(member.key());
      bool gone = !wanted.contains(member.key()) && (was_ours || retain);
      if (gone && was_ours && is_map(field_of(type, member.key())))
        gone = is_empty_without(before[member.key()], member.value());
      member = gone ? current.erase(member) : std::next(member);
    }
    for (const auto& member : wanted.items()) {
      const std::string& key = member.key();
      if (member.value().is_null()) {
        current.erase(key);
        continue;
      }
      const auto was = before.is_object() ? before.find(key) : before.end();
      const Json& old = before.is_object() && was != before.end() ? *was : kNull;
      merge_value(old, member.value(), current[key], field_of(type, key));
    }
  }

 private:
  static bool is_map(const Field* field) { return field && field->type == Type::Map; }

  /// Takes the keys of `ours` out of a map; others may have put some of their own into it.
  static bool is_empty_without(const Json& ours, Json& map) {
    if (!ours.is_object() || !map.is_object()) return true;
    for (const auto& member : ours.items()) map.erase(member.key());
    return map.empty();
  }

  void merge_value(const Json& before, const Json& wanted, Json& current, const Field* field) {
    if (wanted.is_object()) return merge_object(before, wanted, current, element_type(field));
    if (wanted.is_array() && field && !field->merge_key.empty() && current.is_array()) {
      return merge_list(before, wanted, current, *field);
    }
    if (wanted.is_array() && field && field->merges && current.is_array()) {
      Json merged = wanted;
      std::set<Json> taken = set_of(wanted);
      taken.merge(set_of(before));
      for (const Json& element : current) {
        if (taken.insert(element).second) merged.push_back(element);
      }
      current = std::move(merged);
      return;
    }
    current = wanted;
  }

  /// What tells the elements of a list apart, each of which has its key. One port may be open over
  /// several protocols.
  static Json identity(const Json& element, const Field& field) {
    const Json& key = element[std::string(field.merge_key)];
    if (field.name != "ports") return key;
    const auto protocol = element.find("protocol");
    return Json::array({key, protocol == element.end() ? Json("TCP") : *protocol});
  }

  static Index index_of(const Json& list, const Field& field) {
    Index index;
    if (!list.is_array()) return index;
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (list[i].is_object() && list[i].contains(field.merge_key))
        index.emplace(identity(list[i], field), i);
    }
    return index;
  }

  void merge_list(const Json& before, const Json& wanted, Json& current, const Field& field) {
    const std::string key(field.merge_key);
    const Index in_current = index_of(current, field), in_before = index_of(before, field),
                in_wanted = index_of(wanted, field);
    Json merged = Json::array();
    for (const Json& element : wanted) {
      const bool keyed = element.is_object() && element.contains(key);
      if (!keyed) {
        merged.push_back(element);
        continue;
      }
      const Json* now = find_by(in_current, current, identity(element, field));
      const Json* was = find_by(in_before, before, identity(element, field));
      Json one = now ? *now : Json::object();
      merge_object(was ? *was : kNull, element, one, field.object);
      merged.push_back(std::move(one));
    }
    for (const Json& element : current) {
      if (!element.is_object() || !element.contains(key)) continue;
      const Json id = identity(element, field);
      if (!in_before.contains(id) && !in_wanted.contains(id)) merged.push_back(element);
    }
    current = std::move(merged);
  }

  const Json kNull;
};

}  // namespace

base::Result<Json> strategic_merge_patch(Json target, const Json& patch, const KindInfo& kind) {
  if (!patch.is_object())
    return base::fail(Errc::InvalidArgument, "a strategic merge patch is an object");
  TRY_DO(StrategicMerge().merge_object(target, patch, &schema_of(kind)));
  return target;
}

base::Result<Json> apply_merge(const Json& last_applied, const Json& wanted, Json current,
                               const KindInfo& kind) {
  if (!wanted.is_object()) return base::fail(Errc::InvalidArgument, "an object is wanted");
  ApplyMerge().merge_object(last_applied, wanted, current, &schema_of(kind));
  return current;
}

}  // namespace nexus::manifest
