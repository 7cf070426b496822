#pragma once

#include <vector>

#include "state/storage.hpp"

namespace hypermesh::state {

/// A list of keys: of the storage, those that only an older checkpoint needs; or full keys that a
/// slot changed, each with a '+' (it is there) or a '-' in front.
std::string encode_keys(const std::vector<std::string>& keys);
/// Errors: DataLoss.
base::Result<std::vector<std::string>> decode_keys(std::string_view bytes);

}  // namespace hypermesh::state
