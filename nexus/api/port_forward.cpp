#include <fmt/format.h>

#include "api/channels.hpp"
#include "api/duplex.hpp"
#include "api/handlers.hpp"
#include "api/write_rules.hpp"
#include "objects/object.hpp"

namespace nexus::api {
namespace {

using base::http::WebSocket;

constexpr std::uint16_t kNormalClosure = 1000;

// Bytes of the pod to the client until both sides have ended.
base::Task<> send_bytes(base::ByteStream& stream, WebSocket& socket, base::Event& client_ended) {
  for (;;) {
    auto bytes = co_await stream.read();
    if (!bytes) {
      (void)co_await socket.write(
          encode_channel_data(Channel::Output, base::as_bytes(bytes.error().describe())));
      co_await socket.close(kNormalClosure, "");
      co_return;
    }
    if (bytes->empty()) break;
    base::BytesView rest = *bytes;
    while (!rest.empty()) {
      const auto piece = rest.first(std::min(rest.size(), kChannelDataBytesMax));
      if (!co_await socket.write(encode_channel_data(Channel::Input, piece))) co_return;
      rest = rest.subspan(piece.size());
    }
  }
  // The client may still send; without the newer protocol it cannot be told that the pod does not.
  if (socket.subprotocol() == kChannelProtocolV5) {
    if (!co_await socket.write(encode_channel_end(Channel::Input))) co_return;
    co_await client_ended.wait();
  }
  co_await socket.close(kNormalClosure, "");
}

base::Task<bool> take_bytes(base::ByteStream& stream, WebSocket& socket,
                            base::Event& client_ended) {
  for (;;) {
    const auto message = co_await socket.read();
    if (!message || !*message) co_return false;
    const auto decoded = decode_channel_message(**message);
    if (!decoded) co_return false;
    if (const auto* data = std::get_if<ChannelData>(&*decoded);
        data != nullptr && data->channel == Channel::Input) {
      if (!co_await stream.write(data->data)) co_return false;
    } else if (const auto* end = std::get_if<ChannelEnd>(&*decoded);
               end != nullptr && end->channel == Channel::Input) {
      stream.close_write();
      client_ended.notify();
    }
  }
}

base::Bytes port_bytes(std::uint16_t port) {
  return {static_cast<std::uint8_t>(port & 255), static_cast<std::uint8_t>(port >> 8)};
}

}  // namespace

base::Task<Reply<>> forward_port(Exchange& exchange) {
  const auto ports = exchange.query().all("ports");
  if (ports.size() != 1) co_return bad_request("one port for each connection: ?ports=80");
  CO_TRY(const auto port, exchange.query().number("ports", 65535));
  if (!port || *port == 0)
    co_return bad_request(fmt::format("ports=\"{}\" is not a port", ports.front()));
  CO_TRY(const ObjectPtr found, find_named(exchange));
  CO_TRY_DO(check_entry(found->json, exchange.principal.role));
  if (!exchange.head.web_socket)
    co_return bad_request("this is served over a WebSocket (RFC 6455)");
  const std::string protocol(
      choose_channel_protocol(exchange.head.headers.get("Sec-WebSocket-Protocol").value_or("")));
  if (protocol.empty())
    co_return bad_request(fmt::format("Sec-WebSocket-Protocol: there are {} and {}",
                                      kChannelProtocolV5, kChannelProtocolV4));
  CO_TRY(const Seats::Seat seat, exchange.shared.sessions.take());
  const auto number = static_cast<std::uint16_t>(*port);
  auto connected = co_await exchange.backend().driver.connect(
      found->json.at("metadata").value("uid", ""), number);
  CO_TRY(std::string receipt,
         co_await exchange.record("portforward", "pod/" + exchange.route.name,
                                  fmt::format("port {}", number), audit_result(connected)));
  CO_TRY(const auto stream, std::move(connected));
  base::http::Headers headers{{"X-Trace-Id", exchange.trace_id},
                              {"HyperMesh-Receipt", std::move(receipt)}};
  CO_TRY(const auto socket,
         co_await exchange.connection.upgrade(exchange.head, protocol, std::move(headers), {}));
  for (const Channel channel : {Channel::Input, Channel::Output}) {
    CO_TRY_DO(co_await socket->write(encode_channel_data(channel, port_bytes(number))));
  }
  base::Event client_ended(co_await base::asio::this_coro::executor);
  co_await run_duplex(send_bytes(*stream, *socket, client_ended),
                      take_bytes(*stream, *socket, client_ended));
  co_return Reply<>{};
}

}  // namespace nexus::api
