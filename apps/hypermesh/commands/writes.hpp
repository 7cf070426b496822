#pragma once

#include <functional>

#include "commands/objects.hpp"

namespace cli {

/// Replaces `before`, an object as it was read, by what `change` makes of the object as it is now.
/// When only its status moved meanwhile it is read and changed again. Errors: Conflict (somebody
/// changed more than the status), and what the server says.
base::Result<Answer> put_unless_changed(
    Api& api, const KindInfo& kind, const Json& before,
    const std::function<base::Result<Json>(const Json& now)>& change, const Query& query = {});

}  // namespace cli
