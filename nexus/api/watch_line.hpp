#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "api/options.hpp"
#include "manifest/kinds.hpp"
#include "objects/object_ref.hpp"

namespace nexus::api {

/// {"type":...,"object":...} and a line's end.
std::string watch_line(std::string_view type, const Json& object);
/// Only kind, apiVersion and metadata.resourceVersion.
std::string bookmark_line(const manifest::KindInfo& kind, Revision revision);
std::string error_line(const Refusal& refusal, std::string_view trace_id);

/// What happened to an object.
enum class Change : std::uint8_t { Added, Modified, Deleted };

/// As what a watch with `selection` tells a change: an object that begins to match is ADDED, one
/// that stops is DELETED. Empty: not at all. `before` may be null: not known.
std::optional<std::string_view> watch_type_of(Change change, const Json& object, const Json* before,
                                              const Selection& selection);

}  // namespace nexus::api
