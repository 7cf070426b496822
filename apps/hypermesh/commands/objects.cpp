#include "commands/objects.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "output/suggest.hpp"

namespace cli {

using base::Errc;
using base::Result;

std::string ObjectName::text() const {
  return name.empty() ? std::string(kind->plural) : fmt::format("{}/{}", kind->singular, name);
}

const KindInfo& kind_named(std::string_view kind) {
  const KindInfo* info = nexus::manifest::find_kind(kind);
  BASE_ASSERT(info != nullptr, kind);
  return *info;
}

Result<std::vector<ObjectName>> parse_objects(std::span<const std::string> words,
                                              const KindInfo* otherwise) {
  std::vector<ObjectName> out;
  if (words.empty())
    return base::fail(Errc::InvalidArgument, "no object is named; want KIND NAME or KIND/NAME");
  const bool slashes = words[0].find('/') != std::string::npos;
  if (slashes) {
    for (const std::string& word : words) {
      const std::size_t slash = word.find('/');
      if (slash == std::string::npos || slash == 0 || slash + 1 == word.size()) {
        return base::fail(Errc::InvalidArgument, fmt::format("\"{}\" is not KIND/NAME", word));
      }
      TRY(const KindInfo* kind,
          nexus::manifest::resolve_kind(std::string_view(word).substr(0, slash)));
      out.push_back({kind, word.substr(slash + 1)});
    }
    return out;
  }
  if (otherwise != nullptr && (words.size() == 1 || nexus::manifest::find_kind(words[0].substr(
                                                        0, words[0].find(','))) == nullptr)) {
    for (const std::string& word : words) out.push_back({otherwise, word});
    return out;
  }
  std::vector<const KindInfo*> kinds;
  for (std::string_view rest = words[0]; !rest.empty();) {
    const std::size_t end = std::min(rest.find(','), rest.size());
    const std::string_view name = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (name.empty()) continue;
    if (name == "all") {
      for (const KindInfo& kind : nexus::manifest::served_kinds()) {
        if (std::ranges::find(kind.categories, "all") != kind.categories.end())
          kinds.push_back(&kind);
      }
      continue;
    }
    TRY(const KindInfo* kind, nexus::manifest::resolve_kind(name));
    kinds.push_back(kind);
  }
  for (const KindInfo* kind : kinds) {
    if (words.size() == 1) out.push_back({kind, ""});
    for (const std::string& word : words.subspan(1)) {
      if (word.find('/') != std::string::npos)
        return base::fail(Errc::InvalidArgument,
                          fmt::format("\"{}\": want either KIND NAME or KIND/NAME", word));
      out.push_back({kind, word});
    }
  }
  return out;
}

std::string kind_path(const KindInfo& kind, std::string_view name_space, std::string_view name,
                      const Query& query) {
  std::string path = kind.group.empty() ? api_path({"api", kind.version})
                                        : api_path({"apis", kind.group, kind.version});
  if (kind.namespaced && !name_space.empty()) path += api_path({"namespaces", name_space});
  path += name.empty() ? api_path({kind.plural}) : api_path({kind.plural, name});
  return with_query(std::move(path), query);
}

std::string with_query(std::string path, const Query& query) {
  const std::string encoded = api_path({"x"}, query);
  const std::size_t mark = encoded.find('?');
  return mark == std::string::npos ? path : path + encoded.substr(mark);
}

std::string own_path(std::initializer_list<std::string_view> segments, const Query& query) {
  return "/apis/hypermesh.io/v1" + api_path(segments, query);
}

Result<Json::array_t> list_all(Api& api, const KindInfo& kind, std::string_view name_space,
                               Query query) {
  Json::array_t items;
  query.emplace_back("limit", "500");
  query.emplace_back("continue", "");
  for (;;) {
    TRY(Json page, api.get(kind_path(kind, name_space, "", query)));
    for (const Json& item : list_at(page, {"items"})) {
      items.push_back(item);
      // Entries of a list do not repeat what the list says.
      items.back().emplace("apiVersion", kind.api_version());
      items.back().emplace("kind", kind.kind);
    }
    query.back().second = text_at(page, {"metadata", "continue"});
    if (query.back().second.empty()) return items;
  }
}

Result<std::string> list_version(Api& api, const KindInfo& kind, std::string_view name_space) {
  TRY(const Json page, api.get(kind_path(kind, name_space, "", {{"limit", "1"}})));
  return text_at(page, {"metadata", "resourceVersion"});
}

std::string object_text(const Json& object) {
  const std::string kind = text_at(object, {"kind"});
  const KindInfo* info = nexus::manifest::find_kind(kind);
  return fmt::format("{}/{}", info != nullptr ? info->singular : kind,
                     text_at(object, {"metadata", "name"}));
}

std::string age_of(const base::Clock& clock, const std::string& time) {
  const auto then = base::parse_rfc3339(time);
  if (!then) return "";
  return base::to_age(std::max(clock.wall() - *then, base::Duration::zero()));
}

base::Error with_nearest_name(Session&, Api& api, const ObjectName& object,
                              std::string_view name_space, base::Error error) {
  if (error.code != Errc::NotFound) return error;
  const auto items = list_all(api, *object.kind, name_space);
  if (!items) return error;
  std::vector<std::string> owned;
  for (const Json& item : *items) owned.push_back(text_at(item, {"metadata", "name"}));
  const std::vector<std::string_view> names(owned.begin(), owned.end());
  if (const std::string near = suggest(object.name, names); !near.empty())
    error.message += fmt::format("; did you mean \"{}\"?", near);
  const std::string list = fmt::format(
      "hm get {}{}", object.kind->plural,
      name_space == "default" || name_space.empty() ? "" : fmt::format(" -n {}", name_space));
  if (std::ranges::find(error.hints, list) == error.hints.end()) error.hints.push_back(list);
  return error;
}

namespace {

std::unexpected<base::Error> no_such_workload(std::string_view name, std::string_view name_space,
                                              const Json::array_t& items) {
  std::vector<std::string> owned;
  for (const Json& item : items) {
    owned.push_back(text_at(item, {"name"}));
    if (!text_at(item, {"workload"}).empty()) owned.push_back(text_at(item, {"workload"}));
  }
  const std::vector<std::string_view> names(owned.begin(), owned.end());
  std::string message = fmt::format("no pod or workload \"{}\" in namespace {}", name, name_space);
  if (const std::string near = suggest(name, names); !near.empty())
    message += fmt::format("; did you mean \"{}\"?", near);
  return std::unexpected(
      base::with_hint(base::make_error(Errc::NotFound, std::move(message)),
                      name_space == "default" ? "hm ps" : fmt::format("hm ps -n {}", name_space)));
}

}  // namespace

Result<PodChoice> pods_of(Session&, Api& api, std::string_view name_space, std::string_view name) {
  std::string_view kind, bare = name;
  if (const std::size_t slash = name.find('/'); slash != std::string_view::npos) {
    TRY(const KindInfo* info, nexus::manifest::resolve_kind(name.substr(0, slash)));
    kind = info->kind;
    bare = name.substr(slash + 1);
  }
  TRY(const Json ps, api.get(own_path({"ps"}, {{"namespace", std::string(name_space)}})));
  const Json::array_t& items = list_at(ps, {"items"});
  PodChoice choice;
  if (kind.empty() || kind == "Pod") {
    for (const Json& item : items) {
      if (text_at(item, {"name"}) == bare) choice.pods.push_back(item);
    }
    if (!choice.pods.empty()) return choice;
  }
  choice.workload = bare;
  for (const Json& item : items) {
    const bool right_kind =
        kind.empty() || kind == "ReplicaSet" || text_at(item, {"workloadKind"}) == kind;
    if (right_kind && text_at(item, {"workload"}) == bare) choice.pods.push_back(item);
  }
  if (choice.pods.empty()) {
    // A workload without pods is another thing than no workload.
    for (const char* candidate : {"Deployment", "Job", "ReplicaSet"}) {
      if (!kind.empty() && kind != candidate) continue;
      const auto object = api.get(kind_path(kind_named(candidate), name_space, bare));
      if (!object) continue;
      const std::string text = object_text(*object);
      return std::unexpected(base::with_hint(
          base::make_error(Errc::FailedPrecondition, fmt::format("{} has no pods now", text)),
          fmt::format("hm why {}", bare)));
    }
    return no_such_workload(bare, name_space, items);
  }
  std::ranges::stable_sort(choice.pods, {},
                           [](const Json& item) { return flag_at(item, {"ready"}) ? 0 : 1; });
  return choice;
}

Result<std::string> choose_pod(Session& session, Api& api, std::string_view name_space,
                               std::string_view name) {
  TRY(const PodChoice choice, pods_of(session, api, name_space, name));
  const std::string pod = text_at(choice.pods.front(), {"name"});
  if (!choice.workload.empty() && !session.console().quiet()) {
    session.console().err(
        fmt::format("{} of {}{}\n", printable(pod), printable(choice.workload),
                    flag_at(choice.pods.front(), {"ready"}) ? "" : " (not ready)"));
  }
  return pod;
}

}  // namespace cli
