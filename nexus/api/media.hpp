#pragma once

#include <string_view>

#include "api/refusal.hpp"

namespace nexus::api {

enum class AnswerForm : std::uint8_t { Json, Table };

/// Which form of an answer the client wants most of those that are made. Errors: 406.
Reply<AnswerForm> choose_answer_form(std::string_view accept);

enum class PatchType : std::uint8_t { Merge, Json, Strategic };
/// Errors: 415 (names those that there are).
Reply<PatchType> patch_type_of(std::string_view content_type);

/// Whether a body of this Content-Type can be read as JSON. An absent type can.
bool is_json(std::string_view content_type);

/// A text as a Warning header carries it (RFC 7234 section 5.5): 299 - "text".
std::string warning_value(std::string_view text);

}  // namespace nexus::api
