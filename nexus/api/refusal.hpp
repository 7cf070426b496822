#pragma once

// Why a request is refused, and the Status that says so (docs/wire/api.md, "Errors").

#include <base/error.hpp>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "api/status_reader.hpp"
#include "objects/json.hpp"

namespace nexus::api {

/// An error on its way to a client. What the error's code does not say is filled in where it is
/// known.
struct Refusal {
  Refusal(base::Error what) : error(std::move(what)) {}  // NOLINT: errors of every part end up here
  base::Error error;
  int status = 0;                     ///< HTTP; 0: what the code stands for.
  std::string reason;                 ///< Of the Status; empty: what the code stands for.
  std::string group, resource, name;  ///< What it is about, as in the path.
  std::vector<StatusCause> causes;
};

template <class T = void>
using Reply = std::expected<T, Refusal>;

/// 400: the request itself cannot be understood.
[[nodiscard]] std::unexpected<Refusal> bad_request(std::string message, std::string hint = {});
[[nodiscard]] std::unexpected<Refusal> refuse(base::Errc code, std::string message,
                                              std::string hint = {});
/// With a status and a reason of its own.
[[nodiscard]] std::unexpected<Refusal> refuse(base::Errc code, int status, std::string reason,
                                              std::string message, std::string hint = {});
/// 410 Expired: list again.
[[nodiscard]] Refusal expired(std::string message);

int http_status(const Refusal& refusal);
Json to_status(const Refusal& refusal, std::string_view trace_id);
/// {"kind":"Status","status":"Success",...} about an object.
Json success_status(std::string_view group, std::string_view resource, std::string_view name,
                    std::string_view uid);

/// Compact text; bytes that are not UTF-8 become U+FFFD.
std::string to_text(const Json& json);

}  // namespace nexus::api
