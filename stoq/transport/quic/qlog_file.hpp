#pragma once

#include <string>

#include "transport/quic/session.hpp"

namespace stoq::quic {

/// For each connection a file in `folder`, named by the id that the client chose for the server:
/// "<id>_client.sqlog", "<id>_server.sqlog" (draft-ietf-quic-qlog-main-schema, JSON text
/// sequences). A file that cannot be written, or that has become too large, ends; the connection
/// goes on.
QlogFactory qlog_files(std::string folder);

inline constexpr std::size_t kQlogBytesMax = 64 << 20;

}  // namespace stoq::quic
