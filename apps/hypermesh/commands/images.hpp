#pragma once

#include "session/session.hpp"

namespace cli {

/// Has the node fetch an image, with progress. `body`: {"reference","policy",...} of the API. The
/// answer's
/// {"reference","resolved","bytes"}.
base::Result<Json> pull_image(Session& session, Api& api, const Json& body);

}  // namespace cli
