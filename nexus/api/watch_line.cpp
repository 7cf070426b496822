#include "api/watch_line.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace nexus::api {

std::string watch_line(std::string_view type, const Json& object) {
  return fmt::format("{{\"type\":\"{}\",\"object\":{}}}\n", type, to_text(object));
}

std::string bookmark_line(const manifest::KindInfo& kind, Revision revision) {
  return watch_line("BOOKMARK", {{"kind", kind.kind},
                                 {"apiVersion", kind.api_version()},
                                 {"metadata", {{"resourceVersion", std::to_string(revision)}}}});
}

std::string error_line(const Refusal& refusal, std::string_view trace_id) {
  return watch_line("ERROR", to_status(refusal, trace_id));
}

std::optional<std::string> watch_line_of(Change change, const Json& object, const Json* before,
                                         const Selection& selection) {
  const bool matches = selection.matches(object);
  if (change == Change::Added) {
    if (!matches) return std::nullopt;
    return watch_line("ADDED", object);
  }
  // Without the state before it is taken to have matched: a second DELETED harms nobody, a missing
  // one does.
  const bool matched = before == nullptr || selection.matches(*before);
  if (change == Change::Deleted) {
    if (!matched && !matches) return std::nullopt;
    return watch_line("DELETED", object);
  }
  if (matches) return watch_line(matched ? "MODIFIED" : "ADDED", object);
  if (matched) return watch_line("DELETED", object);
  return std::nullopt;
}

}  // namespace nexus::api
