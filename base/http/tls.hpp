#pragma once

#include <base/http/socket.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <optional>

namespace base::http {

std::unique_ptr<ByteStream> make_tls_server_stream(asio::ip::tcp::socket socket,
                                                   std::shared_ptr<TlsIdentity::Context> context);
/// Without `pinned_pem` every certificate will do.
Task<Result<std::unique_ptr<ByteStream>>> shake_hands_as_client(
    asio::ip::tcp::socket socket, std::optional<std::string> pinned_pem);

}  // namespace base::http
