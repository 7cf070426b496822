#pragma once

#include <vector>

#include "state/storage.hpp"

namespace hypermesh::state {

/// Keys of the storage that only an older checkpoint needs: what one slot left behind.
std::string encode_stale(const std::vector<std::string>& keys);
/// Errors: DataLoss.
base::Result<std::vector<std::string>> decode_stale(std::string_view bytes);

}  // namespace hypermesh::state
