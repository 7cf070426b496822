#include "runtime/core/user_lookup.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace hypermesh::keeper {
namespace {

std::optional<std::uint32_t> number(std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// Calls `visit` with the fields of every line that has at least `fields_min`; malformed lines are
/// passed over, as the C library does it. `visit` answers true to stop.
template <class Visit>
void each_entry(std::string_view file, std::size_t fields_min, Visit visit) {
  while (!file.empty()) {
    const std::string_view line = file.substr(0, file.find('\n'));
    file.remove_prefix(std::min(line.size() + 1, file.size()));
    std::vector<std::string_view> fields;
    for (std::string_view rest = line;;) {
      const std::size_t colon = rest.find(':');
      fields.push_back(rest.substr(0, colon));
      if (colon == rest.npos) break;
      rest.remove_prefix(colon + 1);
    }
    if (fields.size() >= fields_min && !fields[0].empty() && visit(fields)) return;
  }
}

struct PasswdEntry {
  std::string name, home;
  std::uint32_t uid = 0, gid = 0;
};

template <class Match>
std::optional<PasswdEntry> find_passwd(std::string_view passwd, Match match) {
  std::optional<PasswdEntry> found;
  each_entry(passwd, 4, [&](const std::vector<std::string_view>& f) {
    const auto uid = number(f[2]), gid = number(f[3]);
    if (!uid || !gid || !match(f[0], *uid)) return false;
    found = PasswdEntry{std::string(f[0]), f.size() > 5 ? std::string(f[5]) : "", *uid, *gid};
    return true;
  });
  return found;
}

std::optional<std::uint32_t> find_group(std::string_view group, std::string_view name) {
  std::optional<std::uint32_t> found;
  each_entry(group, 3, [&](const std::vector<std::string_view>& f) {
    if (f[0] == name) found = number(f[2]);
    return found.has_value();
  });
  return found;
}

void add_groups_of(std::string_view group, std::string_view user,
                   std::vector<std::uint32_t>& into) {
  each_entry(group, 4, [&](const std::vector<std::string_view>& f) {
    const auto gid = number(f[2]);
    for (std::string_view members = f[3]; gid && !members.empty();) {
      const std::string_view member = members.substr(0, members.find(','));
      members.remove_prefix(std::min(member.size() + 1, members.size()));
      if (member == user) {
        into.push_back(*gid);
        break;
      }
    }
    return into.size() >= kGroupsMax;
  });
}

base::Result<> check_range(const UserRequest& request, std::uint32_t id, std::string_view what) {
  const std::uint32_t end = request.ids_are_mapped ? kContainerIds : UINT32_MAX;
  if (id < end) return {};
  return base::fail(base::Errc::InvalidArgument,
                    fmt::format("{} {} does not exist in the container, whose ids are 0 to {}",
                                what, id, end - 1));
}

std::string shown(std::string_view text) {
  std::string result;
  for (char c : text.substr(0, 64)) result += c >= 0x20 && c < 0x7f ? c : '?';
  return result;
}

}  // namespace

base::Result<ResolvedUser> resolve_user(const UserRequest& request, std::string_view passwd,
                                        std::string_view group) {
  ResolvedUser user;
  std::string_view name = request.image_user;
  std::string_view group_name;
  const std::size_t colon = name.find(':');
  if (colon != name.npos) {
    group_name = name.substr(colon + 1);
    name = name.substr(0, colon);
    if (group_name.empty() || group_name.find(':') != group_name.npos) {
      return base::fail(base::Errc::InvalidArgument,
                        fmt::format("the image's user \"{}\" is not USER or USER:GROUP",
                                    shown(request.image_user)));
    }
  }

  std::optional<PasswdEntry> entry;
  if (request.uid || name.empty() || number(name)) {
    user.uid = request.uid ? *request.uid : number(name).value_or(0);
    entry =
        find_passwd(passwd, [&](std::string_view, std::uint32_t uid) { return uid == user.uid; });
  } else {
    entry = find_passwd(
        passwd, [&](std::string_view candidate, std::uint32_t) { return candidate == name; });
    if (!entry) {
      return std::unexpected(base::with_hint(
          base::make_error(
              base::Errc::InvalidArgument,
              fmt::format("the image's user \"{}\" is not in its /etc/passwd", shown(name))),
          "set securityContext.runAsUser to a number"));
    }
    user.uid = entry->uid;
  }
  if (entry) {
    user.gid = entry->gid;
    if (entry->home.starts_with('/')) user.home = entry->home;
  }

  const bool group_given = request.gid || (!group_name.empty() && !request.uid);
  if (request.gid) {
    user.gid = *request.gid;
  } else if (group_given) {
    const auto gid = number(group_name) ? number(group_name) : find_group(group, group_name);
    if (!gid) {
      return base::fail(
          base::Errc::InvalidArgument,
          fmt::format("the image's group \"{}\" is not in its /etc/group", shown(group_name)));
    }
    user.gid = *gid;
  }

  user.groups = request.supplemental_groups;
  if (entry) add_groups_of(group, entry->name, user.groups);
  std::ranges::sort(user.groups);
  user.groups.erase(std::ranges::unique(user.groups).begin(), user.groups.end());
  std::erase(user.groups, user.gid);
  if (user.groups.size() > kGroupsMax) {
    return base::fail(
        base::Errc::InvalidArgument,
        fmt::format("{} supplementary groups; at most {}", user.groups.size(), kGroupsMax));
  }
  TRY_DO(check_range(request, user.uid, "user"));
  TRY_DO(check_range(request, user.gid, "group"));
  for (std::uint32_t gid : user.groups) TRY_DO(check_range(request, gid, "group"));

  if (request.must_not_be_root && user.uid == 0) {
    return std::unexpected(
        base::with_hint(base::make_error(base::Errc::FailedPrecondition,
                                         "runAsNonRoot is set and the image runs as root"),
                        "set securityContext.runAsUser to a user other than 0, or use an image "
                        "with a user of its own"));
  }
  return user;
}

}  // namespace hypermesh::keeper
