#pragma once

#include <span>
#include <string>

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
  /// Name elsewhere (wire form) that the answer's alias leads to. What lies there is missing.
  std::string alias;
};

/// Answers one message from `zone` into `out`, which holds at least kPlainUdpBytesMax bytes. Over
/// UDP the answer keeps to what the client can take and is marked truncated beyond it; over TCP it
/// may fill `out`. `rotation` turns the order of addresses, so that clients that take the first
/// spread over all. `forwards`: names elsewhere are resolved for clients, and every answer says so
/// (RA, RFC 1035 section 4.1.1).
Answer answer(const Zone& zone, base::BytesView message, bool over_tcp, std::uint32_t rotation,
              std::span<std::uint8_t> out, bool forwards = false);

/// Completes `reply`, an answer of ours that ends in an alias, with what another server answered
/// for the alias: addresses and further aliases. False: there was nothing, or it did not fit
/// `limit`.
bool append_alias_records(base::Bytes& reply, base::BytesView from_elsewhere, std::size_t limit);

}  // namespace nexus::dns
