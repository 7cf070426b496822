#pragma once

#include "dev/dev_cluster.hpp"
#include "session/session.hpp"

namespace cli {

/// The development cluster that a session means, started as its flags and environment say.
dev::DevOptions development_options(const Session& session);

}  // namespace cli
