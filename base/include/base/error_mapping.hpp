#pragma once

// The one place where an error code becomes an exit code, an HTTP status or an RPC status.

#include <base/error.hpp>

namespace base {

/// Exit codes of every command: docs/operating/cli.md, rule 10.
int exit_code(Errc code);
/// HTTP status, and back: what an HTTP status of the API means to its client.
int http_status(Errc code);
Errc errc_of_http_status(int status);
/// Kubernetes' `reason` of a Status object, e.g. "NotFound", "Conflict", "Invalid".
std::string_view status_reason(Errc code);
/// Number of the status on the RPC wire. Fixed for ever; an unknown number reads as Internal.
std::uint8_t rpc_status(Errc code);
Errc errc_of_rpc_status(std::uint8_t status);

}  // namespace base
