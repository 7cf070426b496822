#pragma once

#include <base/async/task_scope.hpp>

#include "api/refusal.hpp"

namespace nexus::api {

/// Runs the two directions of a session side by side. When `main` ends, `side` is waited for; when
/// `side` ends first with false (the client is gone), `main` is cancelled. Both have ended when
/// this resumes, also when the caller is cancelled meanwhile.
base::Task<> run_duplex(base::Task<> main, base::Task<bool> side);

}  // namespace nexus::api
