#include "api/options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <base/bytes.hpp>
#include <charconv>
#include <nlohmann/json.hpp>

namespace nexus::api {
namespace {

constexpr std::uint8_t kPositionVersion = 1;
constexpr std::size_t kCommandWordsMax = 1000;
constexpr std::size_t kNameBytesMax = 253;
constexpr std::chrono::seconds kAgeMax = std::chrono::hours(24) * 36'500;

base::Result<ListPosition> read_position(std::string_view token) {
  TRY(const base::Bytes bytes, base::from_hex(token));
  base::ByteReader reader(bytes);
  ListPosition position;
  TRY(const std::uint8_t version, reader.u8());
  if (version != kPositionVersion)
    return base::fail(base::Errc::InvalidArgument, "another version");
  TRY(position.revision, reader.u64());
  TRY(const auto name_space, reader.sized(kNameBytesMax));
  TRY(const auto name, reader.sized(kNameBytesMax));
  TRY_DO(reader.end());
  position.after = {std::string(base::as_text(name_space)), std::string(base::as_text(name))};
  return position;
}

Reply<Revision> parse_revision(std::string_view name, std::string_view text) {
  Revision revision = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), revision);
  if (code != std::errc() || end != text.data() + text.size()) {
    return bad_request(fmt::format("{}=\"{}\" is not a revision", name, text));
  }
  return revision;
}

Reply<bool> parse_dry_run(std::string_view text, bool present) {
  if (!present) return false;
  if (text != "All") return bad_request(fmt::format("dryRun=\"{}\": only \"All\" is known", text));
  return true;
}

Reply<Propagation> parse_propagation(std::string_view text) {
  if (text.empty() || text == "Background") return Propagation::Background;
  if (text == "Foreground") return Propagation::Foreground;
  if (text == "Orphan") return Propagation::Orphan;
  return bad_request(
      fmt::format("propagationPolicy=\"{}\": there are Background, Foreground and Orphan", text));
}

// Days, hours, minutes and seconds: "1h30m". What is longer than a century is no age: the clock's
// nanoseconds do not reach back so far.
std::optional<std::chrono::seconds> parse_age(std::string_view text) {
  std::chrono::seconds total{0};
  if (text.empty()) return std::nullopt;
  while (!text.empty()) {
    std::int64_t count = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), count);
    if (code != std::errc() || count < 0 || count > 1'000'000'000 ||
        end == text.data() + text.size())
      return std::nullopt;
    switch (*end) {
      case 'd':
        total += std::chrono::hours(24) * count;
        break;
      case 'h':
        total += std::chrono::hours(count);
        break;
      case 'm':
        total += std::chrono::minutes(count);
        break;
      case 's':
        total += std::chrono::seconds(count);
        break;
      default:
        return std::nullopt;
    }
    if (total > kAgeMax) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end + 1 - text.data()));
  }
  return total;
}

std::string_view text_of(const Json& object, const char* name) {
  if (!object.is_object()) return {};
  const auto found = object.find(name);
  return found != object.end() && found->is_string()
             ? std::string_view(found->get_ref<const std::string&>())
             : std::string_view();
}

#define API_TRY(target, ...) \
  BASE_TRY_IMPL(BASE_CONCAT(api_try_, __COUNTER__), target, (__VA_ARGS__), return)

}  // namespace

bool Selection::matches(const Json& object) const {
  if (!fields.matches(object)) return false;
  if (labels.matches_everything()) return true;
  return labels.matches(manifest::labels_of(object));
}

// Hexadecimal, so that it needs no escaping in a query.
std::string encode_position(const ListPosition& position) {
  base::ByteWriter writer;
  writer.u8(kPositionVersion);
  writer.u64(position.revision);
  writer.sized(position.after.name_space);
  writer.sized(position.after.name);
  return base::to_hex(writer.view());
}

Reply<ListPosition> decode_position(std::string_view token) {
  auto position = read_position(token);
  if (!position) return std::unexpected(expired("the continue token was not given out here"));
  return *std::move(position);
}

Reply<ListOptions> parse_list_options(std::string_view kind, const Query& query) {
  ListOptions options;
  auto labels = manifest::LabelSelector::parse(query.get("labelSelector"));
  if (!labels) return bad_request(fmt::format("labelSelector: {}", labels.error().message));
  options.selection.labels = *std::move(labels);
  API_TRY(options.selection.fields, FieldSelector::parse(kind, query.get("fieldSelector")));
  API_TRY(const auto limit, query.number("limit", kListLimitMax));
  options.limit = limit.value_or(0);
  if (const auto token = query.get("continue"); !token.empty()) {
    API_TRY(options.position, decode_position(token));
  }
  if (const auto text = query.get("resourceVersion"); !text.empty()) {
    API_TRY(options.revision, parse_revision("resourceVersion", text));
  }
  const auto match = query.get("resourceVersionMatch");
  if (!match.empty() && match != "NotOlderThan" && match != "Exact") {
    return bad_request(
        fmt::format("resourceVersionMatch=\"{}\": there are NotOlderThan and Exact", match));
  }
  options.exact = match == "Exact";
  API_TRY(options.watch, query.flag("watch"));
  API_TRY(options.bookmarks, query.flag("allowWatchBookmarks"));
  // The answer that clients know from servers without this feature; they list and watch then.
  if (query.has("sendInitialEvents")) {
    return refuse(
        base::Errc::InvalidArgument,
        "sendInitialEvents is not served: list, and watch from the list's resourceVersion");
  }
  API_TRY(const auto timeout, query.number("timeoutSeconds", kWatchSecondsMax));
  if (timeout) options.timeout = std::chrono::seconds(*timeout);
  return options;
}

Reply<WriteOptions> parse_write_options(const Query& query) {
  WriteOptions options;
  API_TRY(options.dry_run, parse_dry_run(query.get("dryRun"), query.has("dryRun")));
  const auto validation = query.get("fieldValidation");
  if (validation.empty() || validation == "Strict") {
    options.unknown_fields = UnknownFields::Refuse;
  } else if (validation == "Warn") {
    options.unknown_fields = UnknownFields::Warn;
  } else if (validation == "Ignore") {
    options.unknown_fields = UnknownFields::Ignore;
  } else {
    return bad_request(
        fmt::format("fieldValidation=\"{}\": there are Strict, Warn and Ignore", validation));
  }
  return options;
}

Reply<DeleteOptions> parse_delete_options(const Query& query, const Json& body) {
  DeleteOptions options;
  API_TRY(options.dry_run, parse_dry_run(query.get("dryRun"), query.has("dryRun")));
  API_TRY(const auto grace, query.number("gracePeriodSeconds", kGraceSecondsMax));
  if (grace) options.grace_seconds = static_cast<std::int64_t>(*grace);
  API_TRY(options.propagation, parse_propagation(query.get("propagationPolicy")));
  if (body.is_null()) return options;
  if (!body.is_object()) return bad_request("the body of a DELETE is a DeleteOptions object");

  if (const auto found = body.find("gracePeriodSeconds");
      found != body.end() && !found->is_null()) {
    if (!found->is_number_integer() || found->get<std::int64_t>() < 0 ||
        found->get<std::int64_t>() > kGraceSecondsMax) {
      return bad_request(
          fmt::format("gracePeriodSeconds is not a whole number from 0 to {}", kGraceSecondsMax));
    }
    options.grace_seconds = found->get<std::int64_t>();
  }
  if (const auto policy = text_of(body, "propagationPolicy"); !policy.empty()) {
    API_TRY(options.propagation, parse_propagation(policy));
  }
  if (const auto found = body.find("dryRun");
      found != body.end() && found->is_array() && !found->empty()) {
    API_TRY(
        options.dry_run,
        parse_dry_run(
            found->front().is_string() ? found->front().get_ref<const std::string&>() : "", true));
  }
  if (const auto found = body.find("preconditions"); found != body.end() && found->is_object()) {
    if (const auto uid = text_of(*found, "uid"); !uid.empty()) options.precondition.uid = uid;
    if (const auto revision = text_of(*found, "resourceVersion"); !revision.empty()) {
      API_TRY(options.precondition.revision,
              parse_revision("preconditions.resourceVersion", revision));
    }
  }
  return options;
}

Reply<std::optional<base::WallTime>> parse_moment(std::string_view name, const Query& query,
                                                  base::WallTime now) {
  const std::string_view text = query.get(name);
  if (text.empty()) return std::nullopt;
  if (const auto age = parse_age(text)) return now - *age;
  const auto time = base::parse_rfc3339(text);
  if (!time)
    return bad_request(fmt::format(
        "{}=\"{}\" is neither an age such as 10m nor a time such as 2026-11-21T12:25:07Z", name,
        text));
  return *time;
}

Reply<LogOptions> parse_log_options(const Query& query, base::WallTime now) {
  LogOptions options;
  options.container = query.get("container");
  API_TRY(options.follow, query.flag("follow"));
  API_TRY(options.previous, query.flag("previous"));
  API_TRY(options.timestamps, query.flag("timestamps"));
  API_TRY(options.tail_lines, query.number("tailLines", std::numeric_limits<std::int64_t>::max()));
  API_TRY(options.bytes_max, query.number("limitBytes", std::numeric_limits<std::int64_t>::max()));
  if (options.bytes_max == 0) return bad_request("limitBytes must be at least 1");
  API_TRY(const auto seconds, query.number("sinceSeconds", 1'000'000'000));
  if (seconds) options.since = now - std::chrono::seconds(*seconds);
  if (query.has("sinceTime")) {
    if (seconds) return bad_request("sinceSeconds and sinceTime exclude each other");
    const auto time = base::parse_rfc3339(query.get("sinceTime"));
    if (!time)
      return bad_request(fmt::format("sinceTime=\"{}\" is not a time such as 2026-11-21T12:25:07Z",
                                     query.get("sinceTime")));
    options.since = *time;
  }
  const auto stream = query.get("stream");
  if (!stream.empty() && stream != "All" && stream != "Stdout" && stream != "Stderr") {
    return bad_request(fmt::format("stream=\"{}\": there are All, Stdout and Stderr", stream));
  }
  options.output = stream != "Stderr";
  options.error_output = stream != "Stdout";
  const auto format = query.get("format");
  if (!format.empty() && format != "json" && format != "text")
    return bad_request(fmt::format("format=\"{}\": there are text and json", format));
  options.as_json = format == "json";
  return options;
}

Reply<ExecOptions> parse_exec_options(const Query& query) {
  ExecOptions options;
  options.container = query.get("container");
  options.command = query.all("command");
  if (options.command.size() > kCommandWordsMax)
    return bad_request(fmt::format("the command has more than {} words", kCommandWordsMax));
  API_TRY(options.input, query.flag("stdin"));
  API_TRY(options.output, query.flag("stdout"));
  API_TRY(options.error_output, query.flag("stderr"));
  API_TRY(options.terminal, query.flag("tty"));
  // A terminal has one output; what goes to standard error comes out there.
  if (options.terminal) options.error_output = false;
  if (!options.input && !options.output && !options.error_output) {
    return bad_request("none of stdin, stdout and stderr is asked for");
  }
  return options;
}

#undef API_TRY

}  // namespace nexus::api
