#pragma once

// Domain names in wire form without compression (RFC 1035 section 3.1): "\3web\7default\4mesh\0".
// Keys of a zone are lower case, so names compare without case.

#include <base/bytes.hpp>
#include <base/error.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace nexus::dns {

inline constexpr std::size_t kNameBytesMax = 255;
inline constexpr std::size_t kLabelBytesMax = 63;

/// From text such as "web.default.mesh"; a last dot is allowed. Errors: InvalidArgument (label or
/// name too long, empty label).
base::Result<std::string> to_wire(std::string_view text);
/// "web.default.mesh", "." for the root; bytes that are not printable as \DDD.
std::string to_text(std::string_view wire);
std::string lower_case(std::string_view wire);
/// The name without its first label; empty at the root.
std::string_view parent(std::string_view wire);
/// Whether `wire` is `apex` or below it. Both lower case.
bool is_within(std::string_view wire, std::string_view apex);

/// Reads a name at `offset` of a message, following compression pointers backwards only, and moves
/// `offset` past it. Errors: DataLoss (runs out, too long, pointer that does not lead backwards).
base::Result<std::string> read_name(base::BytesView message, std::size_t& offset);

/// "1.0.0.10.in-addr.arpa" or the ip6.arpa form of an address in text form. Errors:
/// InvalidArgument.
base::Result<std::string> reverse_name(std::string_view address);

}  // namespace nexus::dns
