#pragma once

#include <span>

#include "dns/zone.hpp"

namespace nexus::dns {

enum class Disposition : std::uint8_t {
  Answered,   ///< Send what was written.
  Elsewhere,  ///< Not our zone: forward it, or send the refusal that was written.
  Drop,       ///< Deserves no answer.
};

struct Answer {
  Disposition disposition = Disposition::Drop;
  std::size_t bytes = 0;  ///< Written into the output.
  Rcode rcode = Rcode::NoError;
};

/// Answers one message from `zone` into `out`, which holds at least kPlainUdpBytesMax bytes. Over
/// UDP the answer keeps to what the client can take and is marked truncated beyond it; over TCP it
/// may fill `out`. `rotation` turns the order of addresses, so that clients that take the first
/// spread over all.
Answer answer(const Zone& zone, base::BytesView message, bool over_tcp, std::uint32_t rotation,
              std::span<std::uint8_t> out);

}  // namespace nexus::dns
