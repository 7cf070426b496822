#pragma once

// Short questions over the network, asked on the calling thread: is it there, what does the name
// mean.

#include <base/bytes.hpp>
#include <base/error.hpp>
#include <base/time.hpp>
#include <cstdint>
#include <string>

namespace cli {

struct ProbeAnswer {
  enum class Kind { Http, Connected } kind = Kind::Connected;
  int status = 0;  ///< Of HTTP.
  base::Duration took{};
};
/// Connects and asks for "/" over HTTP. A server that accepts and speaks something else is
/// Connected. Errors: Unavailable, TimedOut.
base::Result<ProbeAnswer> probe_http(const std::string& address, std::uint16_t port,
                                     base::Duration limit);

/// One datagram out, the first one back that begins with the same two bytes. Errors: Unavailable,
/// TimedOut.
base::Result<base::Bytes> ask_udp(const std::string& address, std::uint16_t port,
                                  base::BytesView question, base::Duration limit);
/// DNS over TCP: the question and the answer with their lengths in front.
base::Result<base::Bytes> ask_dns_tcp(const std::string& address, std::uint16_t port,
                                      base::BytesView question, base::Duration limit);

}  // namespace cli
