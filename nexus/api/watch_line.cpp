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

std::optional<std::string_view> watch_type_of(Change change, const Json& object, const Json* before,
                                              const Selection& selection) {
  const bool matches = selection.matches(object);
  if (change == Change::Added) {
    if (!matches) return std::nullopt;
    return "ADDED";
  }
  // Without the state before it is taken to have matched: a second DELETED harms nobody, a missing
  // one does.
  const bool matched = before == nullptr || selection.matches(*before);
  if (change == Change::Deleted) {
    if (!matched && !matches) return std::nullopt;
    return "DELETED";
  }
  if (matches) return matched ? "MODIFIED" : "ADDED";
  if (matched) return "DELETED";
  return std::nullopt;
}

}  // namespace nexus::api
