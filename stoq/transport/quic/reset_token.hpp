#pragma once

#include <base/crypto.hpp>
#include <cstdint>

namespace stoq::quic {

inline constexpr std::size_t kResetTokenBytes = 16;

/// The token of a stateless reset for a connection id of ours (RFC 9000, section 10.3.2): keyed
/// BLAKE2b, because every connection needs several. Writes kResetTokenBytes to `token`.
void reset_token(std::uint8_t* token, const base::Digest& secret, base::BytesView id);

}  // namespace stoq::quic
