#pragma once

#include <base/error.hpp>
#include <filesystem>

namespace cli::dev {

/// Somebody listens on this Unix socket. The path may be longer than a socket's address holds.
bool accepts(const std::filesystem::path& socket);

/// What a node says of itself at GET /readyz on its Unix socket: 200 is yes. Errors: Unavailable
/// (nobody answers), FailedPrecondition (it answers, and says why it is not ready).
base::Result<> ask_ready(const std::filesystem::path& socket, int limit_ms);

}  // namespace cli::dev
