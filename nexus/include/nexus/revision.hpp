#pragma once

#include <cstdint>

namespace nexus {

/// Position in the store's single order of writes. 0 is "before the first write".
using Revision = std::uint64_t;

}  // namespace nexus
