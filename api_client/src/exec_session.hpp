#pragma once

#include <api_client/session.hpp>
#include <base/async/byte_stream.hpp>
#include <base/http/web_socket.hpp>
#include <memory>

namespace api_client {

std::unique_ptr<ExecSession> make_exec_session(std::unique_ptr<base::http::WebSocket> socket);
std::unique_ptr<base::ByteStream> make_port_stream(const base::Executor& executor,
                                                   std::unique_ptr<base::http::WebSocket> socket);

}  // namespace api_client
