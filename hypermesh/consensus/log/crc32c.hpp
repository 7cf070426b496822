#pragma once

#include <base/bytes.hpp>
#include <cstdint>

namespace hypermesh::consensus {

/// CRC-32C (Castagnoli, as in RFC 3720 appendix B.4): finds damage, proves nothing. `before` is the
/// value over what came before `bytes`.
std::uint32_t crc32c(base::BytesView bytes, std::uint32_t before = 0);

/// The same without the CPU's instruction.
std::uint32_t crc32c_portable(base::BytesView bytes, std::uint32_t before = 0);

}  // namespace hypermesh::consensus
