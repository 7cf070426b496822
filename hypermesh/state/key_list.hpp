#pragma once

#include <vector>

#include "state/storage.hpp"

namespace hypermesh::state {

/// Keys of the storage that only an older checkpoint needs.
std::string encode_keys(const std::vector<std::string>& keys);
/// Errors: DataLoss.
base::Result<std::vector<std::string>> decode_keys(std::string_view bytes);

}  // namespace hypermesh::state
