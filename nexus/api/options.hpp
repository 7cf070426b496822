#pragma once

// What the query of a request asks for, as values.

#include <base/time.hpp>
#include <optional>
#include <string>

#include "api/field_selector.hpp"
#include "api/target.hpp"
#include "manifest/label_selector.hpp"
#include "objects/object_ref.hpp"

namespace nexus::api {

inline constexpr std::uint64_t kListLimitMax = 1'000'000;
inline constexpr std::uint64_t kWatchSecondsMax = 24 * 3600;
inline constexpr std::int64_t kGraceSecondsMax = 24 * 3600;

/// Which objects of a kind.
struct Selection {
  manifest::LabelSelector labels;
  FieldSelector fields;
  bool matches(const Json& object) const;
  bool matches_everything() const {
    return labels.matches_everything() && fields.matches_everything();
  }
};

/// Where a list in pages goes on.
struct ListPosition {
  Revision revision = 0;  ///< Of the first page.
  ObjectKey after;
  bool operator==(const ListPosition&) const = default;
};
std::string encode_position(const ListPosition& position);
/// Errors: 410 (nothing that was given out here).
Reply<ListPosition> decode_position(std::string_view token);

struct ListOptions {
  Selection selection;
  std::uint64_t limit = 0;  ///< 0: all.
  std::optional<ListPosition> position;
  Revision revision = 0;  ///< 0: any.
  bool exact = false;     ///< The state at exactly that revision is wanted.
  bool watch = false;
  bool bookmarks = false;
  std::optional<std::chrono::seconds> timeout;
};
Reply<ListOptions> parse_list_options(std::string_view kind, const Query& query);

enum class UnknownFields : std::uint8_t { Refuse, Warn, Ignore };
struct WriteOptions {
  bool dry_run = false;
  UnknownFields unknown_fields = UnknownFields::Refuse;
};
Reply<WriteOptions> parse_write_options(const Query& query);

enum class Propagation : std::uint8_t { Background, Foreground, Orphan };
struct DeleteOptions {
  std::optional<std::int64_t> grace_seconds;
  Propagation propagation = Propagation::Background;
  RemovePrecondition precondition;
  bool dry_run = false;
};
/// From the query and, where there is one, the body ({"kind":"DeleteOptions",...}), which wins.
Reply<DeleteOptions> parse_delete_options(const Query& query, const Json& body);

struct LogOptions {
  std::string container;
  bool follow = false, previous = false, timestamps = false, as_json = false;
  std::optional<base::WallTime> since;
  std::optional<std::uint64_t> tail_lines, bytes_max;
  bool output = true, error_output = true;
};
Reply<LogOptions> parse_log_options(const Query& query, base::WallTime now);

struct ExecOptions {
  std::string container;
  std::vector<std::string> command;
  bool input = false, output = false, error_output = false, terminal = false;
};
Reply<ExecOptions> parse_exec_options(const Query& query);

/// "10m", "1h30m", "90s", or an RFC 3339 time: the moment that is meant.
Reply<std::optional<base::WallTime>> parse_moment(std::string_view name, const Query& query,
                                                  base::WallTime now);

}  // namespace nexus::api
